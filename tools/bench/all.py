#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the papers measure, one benchmark after the other: program, sfc1, sfc2, rules, scale.

Ends with 1 if one of them fails; the others are run and reported all the same.
"""
import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import plots
import report

HERE = Path(__file__).resolve().parent
PARTS = ("program", "sfc1", "sfc2", "rules", "scale")


def command(part, build):
    if part in ("program", "scale"):
        return [str(build / f"tools/bench/evnf-bench-{part}")]
    return [sys.executable, str(HERE / f"{part}.py"), "--build", str(build)]


def say(text):
    print(f"\033[1m== {text}\033[0m", file=sys.stderr, flush=True)


def run(args):
    """The reports of those that do not fail, and which do."""
    reports, failed = [], []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate(PARTS, 1):
            say(f"{number}/{len(PARTS)} {part}, after {time.monotonic() - begin:.0f} s")
            path = Path(folder) / f"{part}.json"
            done = subprocess.run([*command(part, args.build), *(["--quick"] if args.quick else []),
                                   "--json", str(path)], check=False)
            print(flush=True)
            if done.returncode == 0:
                reports.append(report.read(path))
            else:
                failed.append(part)
    say(f"all, after {time.monotonic() - begin:.0f} s")
    return reports, failed


def main():
    parser = argparse.ArgumentParser(prog="run bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default="build", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="in under 5 minutes; else under 30")
    parser.add_argument("--json", metavar="FILE", help="every number of all of them, there")
    parser.add_argument("--plots", metavar="DIR", help="pictures of them, there, as SVG and PNG")
    args = parser.parse_args()
    if args.plots and not shutil.which("gnuplot"):
        parser.error("--plots needs gnuplot: ./run install-deps")
    if args.json and not Path(args.json).resolve().parent.is_dir():
        parser.error(f"--json: there is no folder for {args.json}")
    reports, failed = run(args)
    if reports:
        merged = report.merge(reports)
        if args.json:
            report.write(args.json, merged)
        if args.plots:
            say(f"{len(plots.draw(merged, args.plots))} pictures are in {args.plots}")
    if failed:
        sys.exit(f"run bench: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
