#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `evnf efw lint`, `diff` and `explain` exit with, as docs/efw-analysis.md has it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

EVNF = sys.argv.pop(1)


class ExitCodes(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def file(self, name, *lines):
        path = pathlib.Path(self.dir.name) / name
        path.write_text("".join(line + "\n" for line in lines))
        return path

    def code(self, *words):
        return subprocess.run([EVNF, "--run-dir", self.dir.name, "efw", *words],
                              capture_output=True).returncode

    def test_lint(self):
        good = self.file("good", "default drop", "tcp dport 80 accept")
        overlap = self.file("overlap", "saddr 192.0.2.0/24 drop", "tcp dport 80 accept")
        bad = self.file("bad", "tcp dport 80 accept", "tcp dport 80 drop")
        # A search that one look does not end.
        hard = self.file("hard", "default drop",
                         *(f"udp sport {n}-{n + 9} dport {n + 3}-{n + 30} accept"
                           for n in range(0, 300, 7)))
        self.assertEqual(self.code("lint", good), 0)
        self.assertEqual(self.code("lint", overlap), 0)
        self.assertEqual(self.code("lint", bad), 1)
        self.assertEqual(self.code("lint", "/nonexistent"), 2)
        self.assertEqual(self.code("lint", self.file("wrong", "tcp dprt 80 accept")), 2)
        self.assertEqual(self.code("lint"), 2)  # no daemon
        self.assertEqual(self.code("lint", "--steps", "1", hard), 3)

    def test_diff(self):
        a = self.file("a", "default drop", "tcp dport 80 accept", "udp accept")
        b = self.file("b", "default drop", "udp accept", "tcp dport 80 accept")
        c = self.file("c", "default drop", "udp accept")
        self.assertEqual(self.code("diff", a, b), 0)
        self.assertEqual(self.code("diff", a, c), 1)
        self.assertEqual(self.code("diff", a, "/nonexistent"), 2)
        self.assertEqual(self.code("diff", "--steps", "1", a, c), 3)

    def test_explain(self):
        rules = self.file("rules", "default drop", "tcp dport 80 accept")
        packet = "tcp 198.51.100.7:4000 > 192.0.2.10:80"
        self.assertEqual(self.code("explain", "--rules", rules, packet), 0)
        self.assertEqual(self.code("explain", "--rules", rules, "tpc"), 2)
        self.assertEqual(self.code("explain", "--rules", "/nonexistent", packet), 2)
        self.assertEqual(self.code("explain"), 2)
        self.assertNotEqual(self.code("explain", packet), 0)  # no daemon


if __name__ == "__main__":
    unittest.main()
