#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Closes a test run: counts Meson's results, says why a test was skipped, fails if one failed."""
import json
import sys

GOOD = {"OK", "EXPECTEDFAIL"}


def main(path):
    with open(path, encoding="utf-8") as log:
        results = [json.loads(line) for line in log if line.strip()]
    skipped = [r for r in results if r["result"] == "SKIP"]
    failed = [r for r in results if r["result"] not in GOOD and r not in skipped]
    for r in skipped:
        why = (r.get("stdout", "") + r.get("stderr", "")).strip().splitlines()
        print(f"skipped {r['name']}: {why[-1] if why else 'it does not say why'}")
    for r in failed:
        print(f"failed {r['name']}: {r['result']}")
    passed = len(results) - len(skipped) - len(failed)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
