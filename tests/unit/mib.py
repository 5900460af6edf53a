#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""mib.py SOURCE: smilint has nothing to say against EVNF-MIB, and would have if it were wrong."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv[1])
MIB = SOURCE / "tools/monitoring/EVNF-MIB.txt"


def judged(file):
    # What it complains of is on stderr; its exit code is 0 all the same.
    path = f"{SOURCE}/tests/data/mibs:/usr/share/snmp/mibs"
    done = subprocess.run(["smilint", "-l", "6", "-s", file], env={**os.environ, "SMIPATH": path},
                          capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


class Mib(unittest.TestCase):
    def test_it_is_good(self):
        self.assertEqual(judged(MIB), "")

    def test_what_is_wrong_is_seen(self):
        text = MIB.read_text()
        for good, bad in (("        evnfEfwRules,\n", ""), ("SYNTAX      Counter64", "SYNTAX      Counter63"),
                          ("::= { evnfSlotEntry 5 }", "::= { evnfSlotEntry 4 }"),
                          ("FROM NET-SNMP-MIB", "FROM NO-SUCH-MIB")):
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                self.assertIn(good, text)
                file.write(text.replace(good, bad))
                file.flush()
                self.assertNotEqual(judged(file.name), "", good)


if __name__ == "__main__":
    if not shutil.which("smilint"):
        print("smilint is not here: apt install smitools")
        sys.exit(77)
    unittest.main(argv=["mib"], verbosity=1)
