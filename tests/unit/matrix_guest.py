#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How tests/matrix takes what becomes of a guest, with a QEMU that only says what one would."""
import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "matrix"))
import check  # noqa: E402  (found by the line above)

KERNEL = SimpleNamespace(release="6.1.0-1", package="6.1.1-1", image="vmlinuz")
PLAN = {"objects": ["/b/root.bpf.o"], "beside": "", "again": [], "programs": [{"name": "elb"}], "hosts": [], "nics": []}
BOOTED = {"booted": "6.1.0-1"}
LOADED = {"kind": "load", "name": "root", "passed": True, "seconds": 1.5, "why": ""}
BROKEN = {"kind": "program", "name": "elb", "passed": False, "seconds": 2.5, "why": "elb.cpp:7"}
# Its n-th start says what is in the file n; then it ends, or stays without a word.
QEMU = """#!/bin/sh
n=$(cat "{dir}/starts")
echo $((n + 1)) >"{dir}/starts"
cat "{dir}/$n"
[ ! -e "{dir}/$n.stays" ] || exec sleep 600
"""


class Runs(unittest.TestCase):
    def setUp(self):
        at = tempfile.TemporaryDirectory()
        self.addCleanup(at.cleanup)
        self.dir = Path(at.name)
        qemu = self.dir / "qemu-system-x86_64"
        qemu.write_text(QEMU.format(dir=self.dir))
        qemu.chmod(0o755)
        for what in (mock.patch.dict(os.environ, {"PATH": f"{self.dir}:{os.environ['PATH']}"}),
                     mock.patch.multiple(check, BOOT=60, SILENCE=2, say=lambda text: None)):
            what.start()
            self.addCleanup(what.stop)

    def run_guest(self, *starts, stays=False):
        (self.dir / "starts").write_text("0")
        for n, told in enumerate(starts):
            (self.dir / str(n)).write_text("SeaBIOS\n" + "".join(json.dumps(t) + "\n" for t in told))
            if stays:
                (self.dir / f"{n}.stays").touch()
        result = check.run_kernel(KERNEL, PLAN, "initrd", self.dir / "console", [])
        self.assertEqual((self.dir / "starts").read_text(), f"{len(starts)}\n")
        return result

    @staticmethod
    def said(result):
        return {(s["kind"], s["name"]): (s["passed"], s["why"]) for s in result["steps"]}

    def test_what_it_tells_is_what_is_told(self):
        result = self.run_guest([BOOTED, {"begin": "load root"}, LOADED, BROKEN, {"done": True}])
        self.assertIsNone(result["error"])
        self.assertEqual(result["steps"], [LOADED, BROKEN])

    def test_what_is_not_heard_of_has_failed(self):
        result = self.run_guest([BOOTED, LOADED, {"done": True}])
        self.assertEqual(self.said(result), {("load", "root"): (True, ""),
                                             ("program", "elb"): (False, "it was not heard of")})

    def test_a_guest_that_ends_early(self):
        result = self.run_guest([BOOTED, LOADED])
        self.assertFalse(self.said(result)["program", "elb"][0])
        self.assertIn("it ended: SeaBIOS", result["error"])

    def test_a_guest_that_falls_silent(self):
        result = self.run_guest([BOOTED, LOADED], stays=True)
        self.assertIn("nothing is heard of it", result["error"])
        self.assertFalse(self.said(result)["program", "elb"][0])

    def test_one_that_does_not_boot_is_tried_once_more(self):
        result = self.run_guest([], [BOOTED, LOADED, {**BROKEN, "passed": True}, {"done": True}])
        self.assertTrue(all(s["passed"] for s in result["steps"]))

    def test_one_that_never_boots(self):
        result = self.run_guest([], [])
        self.assertIn("it does not boot", result["error"])
        self.assertEqual([s["passed"] for s in result["steps"]], [False, False])

    def test_what_is_said_of_nics_and_of_what_is_left_out(self):
        results = {"6.1": {"package": "6.1.1-1", "seconds": 9, "steps": [
            {"kind": "nic", "name": "e1000", "passed": True, "seconds": 3, "found": {"verdict": "not native"}},
            {"kind": "program", "name": "bench_programs", "passed": False, "seconds": 0, "skipped": "it measures"},
            {"kind": "program", "name": "efw_exchange", "passed": True, "seconds": 4}]}}
        with contextlib.redirect_stdout(io.StringIO()) as out:
            check.table(results)
        rows = [" ".join(line.split()) for line in out.getvalue().splitlines()]
        self.assertEqual(rows[1:], ["nic e1000 not native 3.0 s", "program bench_programs skipped it measures",
                                    "program efw_exchange 4.0 s a part: EVNF_ROUNDS=2",
                                    "6.1: 2 passed, 0 failed, 1 skipped in 9 s"])

    def test_several_guests_are_one_result(self):
        results = {}
        check.add(results, "6.1", self.run_guest([BOOTED, LOADED, BROKEN, {"done": True}]))
        check.add(results, "6.1", self.run_guest([BOOTED, LOADED]))
        self.assertEqual([s["passed"] for s in results["6.1"]["steps"]], [True, False, True, False])
        self.assertIn("it ended", results["6.1"]["error"])

    def test_the_table(self):
        results = {"6.1": self.run_guest([BOOTED, LOADED, BROKEN, {"done": True}]),
                   "6.12": self.run_guest([BOOTED, LOADED, {"done": True}])}
        with contextlib.redirect_stdout(io.StringIO()) as out:
            check.table(results)
        rows = [line.split() for line in out.getvalue().splitlines()]
        self.assertEqual(rows[1:3], [["load", "root", "1.5", "s", "1.5", "s"],
                                     ["program", "elb", "FAILED", "FAILED"]])
        self.assertEqual(out.getvalue().splitlines()[3].split(" in ")[0], "6.1: 1 passed, 1 failed, 0 skipped")


if __name__ == "__main__":
    unittest.main()
