#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of efw are taken from other formats and given in them, all or nothing."""
import json
import sys

from case import LabCase, main
from lab import CONFIG

GOOD = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -s 203.0.113.0/24 -j DROP
-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
"""
BAD = GOOD.replace("COMMIT", "-A FORWARD -p udp -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT")


class ExchangeTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG)
        self.lab.start_daemon()
        self.lab.evnf("efw", "rule", "add", "--owner", "mine", "tcp dport 22 accept")

    def file(self, text):
        path = self.lab.dir / "rules"
        path.write_text(text)
        return path

    def rules(self, owner="imported"):
        return [r["rule"] for r in self.lab.evnf_json("efw", "rule", "list", "--owner", owner)
                ["rules"]]

    def test_import_replaces_what_was_imported(self):
        done = self.lab.evnf("efw", "rule", "import", self.file(GOOD))
        self.assertEqual(done.stdout, "rules of imported from filter/FORWARD: 3 added, 0 removed, "
                         "0 kept\n")
        self.assertEqual(self.rules(), ["ip saddr 203.0.113.0/24 drop", "ip tcp dport 80 accept",
                                        "ip drop"])
        done = self.lab.evnf("efw", "rule", "import",
                             self.file(GOOD.replace("--dport 80", "--dport 443")))
        self.assertIn("1 added, 1 removed, 2 kept", done.stdout)
        self.assertEqual(self.rules("mine"), ["tcp dport 22 accept"])
        self.assertIsNone(self.curl("http://10.0.11.2/", seconds=1))

    def test_what_cannot_be_taken_changes_nothing(self):
        path = self.file(BAD)
        done = self.lab.evnf("efw", "rule", "import", path, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{path}:7:32: it asks for the state of a connection", done.stderr)
        self.assertEqual(self.rules(), [])
        left = self.lab.evnf_json("efw", "rule", "import", "--leave", path)["left"]
        self.assertEqual([(r["line"], r["column"]) for r in left], [(7, 32)])
        self.assertEqual(self.rules()[2:], ["ip udp slow", "ip drop"])

    def test_what_is_exported_is_what_the_kernel_and_efw_take(self):
        self.lab.evnf("efw", "rule", "import", self.file(GOOD))
        before = self.rules()
        for form, program in (("iptables", "iptables-restore"), ("nft", "nft -j -f -")):
            text = self.lab.evnf("efw", "rule", "export", "--owner", "imported", "--format",
                                 form).stdout
            self.lab.vnf.run(*program.split(), input=text)
            self.lab.evnf("efw", "rule", "import", self.file(text))
            self.assertEqual(self.rules(), before)
        for form in ("toml", "json"):
            text = self.lab.evnf("efw", "rule", "export", "--format", form).stdout
            self.assertIn("tcp dport 22 accept", text)
            self.lab.evnf("efw", "rule", "import", "--owner", "all", self.file(text))
            self.assertEqual(self.rules("all"), ["tcp dport 22 accept", *before])
            self.lab.evnf("efw", "rule", "import", "--owner", "all", self.file('{"rules": []}'))
        asked = self.lab.evnf_json("efw", "rule", "export", "--format", "json")
        self.assertEqual(len(json.loads(asked["text"])["rules"]), 4)

    def test_what_a_format_cannot_say_is_refused_by_name(self):
        self.lab.evnf("efw", "rule", "add", "vlan 7 tcp drop")
        done = self.lab.evnf("efw", "rule", "export", "--format", "iptables", check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("rule 'vlan 7 tcp drop': iptables has no word for a VLAN tag", done.stderr)


if __name__ == "__main__":
    main()
