#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""run_all.py RUN: `./run test --all` does each part in turn, whatever becomes of the one before,
and tells of all at the end."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

RUN = Path(sys.argv.pop(1)).resolve()
# In place of what the parts call: leaves a word of what it was called with, and fails if told.
STUB = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
case "${0##*/} $*" in
*"$FAILS"*) exit 3 ;;
esac
"""
ANSWERS = {"id": "echo 0", "dpkg-query": "echo installed", "stat": "echo bpf_fs"}
PROGRAMS = ["meson", "ninja", "python3", "debootstrap"]
CALLED = ["tools/package.sh", "tests/openstack/check.sh", "build/tests/program_efw_difference",
          "build/tests/program_efw_classbench", "build/tests/fuzz/fuzz-one"]
TEST = "meson test -C build --no-rebuild --print-errorlogs --timeout-multiplier 3"
PARTS = {"test": f"{TEST} --no-suite docs", "sanitize": "meson test -C build-sanitize",
         "docs": f"{TEST} --suite docs",
         "difftest": "program_efw_classbench", "fuzz": "python3 tests/fuzz/run.py",
         "package-test": "python3 tests/package/check.py",
         "matrix": "python3 -B tests/matrix/check.py", "openstack-check": "check.sh build"}


class RunAll(unittest.TestCase):
    def setUp(self):
        self.tree = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.tree)
        shutil.copy(RUN, self.tree / "run")
        for path in CALLED + [f"bin/{p}" for p in PROGRAMS]:
            self.put(path, STUB)
        for name, body in ANSWERS.items():
            self.put(f"bin/{name}", f"#!/bin/sh\n{body}\n")
        for path in ("build/build.ninja", "build-sanitize/build.ninja", "build/tests/fuzz/libfuzzed.a"):
            self.put(path, "")
        self.put("tools/packages.txt", "python3\n")

    def put(self, path, text):
        at = self.tree / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
        at.chmod(0o755)

    def run_all(self, *parts, fails="nothing"):
        """Exit code, what the table says of each part, what was called."""
        calls = self.tree / "calls"
        calls.write_text("")
        done = subprocess.run(
            [self.tree / "run", "test", "--all", *parts], capture_output=True, text=True, check=False,
            env={"PATH": f"{self.tree}/bin:{os.environ['PATH']}", "CALLS": str(calls), "FAILS": fails})
        said = re.findall(r"^([\w-]+) +(passed|FAILED) +\d+ s", done.stdout, re.MULTILINE)
        return done.returncode, said, calls.read_text()

    def test_all_parts_in_turn(self):
        code, said, calls = self.run_all()
        self.assertEqual(said, [(part, "passed") for part in PARTS], calls)
        self.assertEqual(code, 0)
        at = [calls.find(call) for call in PARTS.values()]
        self.assertNotIn(-1, at, calls)
        self.assertEqual(at, sorted(at))

    def test_a_part_that_fails_stops_none(self):
        for broken in ("test", "package-test"):
            code, said, _ = self.run_all(fails=PARTS[broken])
            self.assertEqual(said, [(part, "FAILED" if part == broken else "passed") for part in PARTS])
            self.assertEqual(code, 1)
            self.assertTrue((self.tree / f"build/all/{broken}.log").exists())

    def test_all_fail(self):
        code, said, _ = self.run_all(fails="")
        self.assertEqual((code, said), (1, [(part, "FAILED") for part in PARTS]))

    def test_some_parts(self):
        code, said, calls = self.run_all("matrix", "fuzz")
        self.assertEqual((code, said), (0, [("matrix", "passed"), ("fuzz", "passed")]))
        self.assertNotIn("meson test", calls)

    def test_a_part_that_is_not_known(self):
        code, said, calls = self.run_all("fuzz", "fuss")
        self.assertEqual((code, said, calls), (1, [], ""))


if __name__ == "__main__":
    unittest.main()
