#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Benchmarks of programs, as short as they can be: they run to their end, and what they write with
--json is a report of the form that `./run bench compare` reads. Their numbers say nothing here."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/bench"))
import report  # noqa: E402  (found by the line above)

FOLDER = Path(os.environ["EVNF_BUILD"]) / "tools/bench"
# Each with a case that must be among its results.
RUNS = {
    ("balancer", "--flows", "1", "--seconds", "1"): "root -> elb -> forward",
    ("balancer", "--reweight", "--rounds", "1"): "other weights for all backends",
    ("classify", "--flows", "100", "--rates", "1000", "--seconds", "0.1"): "flows at a rate",
    ("decide", "--rules", "10", "--flows", "1", "--family", "4", "--shape", "acl", "--changes"):
        "rules",
}


class Programs(unittest.TestCase):
    def test_reports_have_their_form(self):
        for (name, *options), case in RUNS.items():
            with self.subTest(name, options=options), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "report.json"
                done = subprocess.run([FOLDER / f"evnf-bench-{name}", *options, "--json", path],
                                      capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                results = report.read(path)["results"]
                self.assertIn((name, case), {(r["bench"], r["case"]) for r in results})


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("BPF needs root")
        sys.exit(1 if os.environ.get("EVNF_REQUIRE_BPF") else 77)
    unittest.main()
