#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Named sets: their elements change under traffic, without the rules, and are kept."""
import ipaddress
import time

from case import LabCase, main
from lab import CONFIG

CLIENT = "10.0.1.2"
SERVER = "http://10.0.11.2/"
SETS = """
[efw]
rules = ["ip saddr @blocked drop"]
[efw.sets.blocked]
type = "addr"
size = 1000000
"""


class SetsTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG + SETS)
        self.lab.start_daemon()

    def set(self, *words, check=True):
        return self.lab.evnf("efw", "set", *words, check=check)

    def shown(self):
        return self.set("show", "blocked").stdout.split()

    def wait_until_kept(self, text):
        self.wait_for(lambda: any(kept.read_text() == text for kept in
                                  self.lab.dir.glob("**/*.live/efw/blocked.addr")))

    def test_a_verdict_follows_the_elements(self):
        history = self.lab.evnf_json("chain", "history")
        for _ in range(3):
            self.assertEqual(self.curl(SERVER), "server1")
            self.set("add", "blocked", CLIENT)
            self.assertIsNone(self.curl(SERVER, seconds=1))
            self.set("del", "blocked", CLIENT)
        self.assertEqual(self.curl(SERVER), "server1")
        self.assertEqual(self.lab.evnf_json("chain", "history"), history)

    def test_elements_outlive_the_daemon_and_a_reboot(self):
        self.set("add", "blocked", CLIENT, "2001:db8::/32")
        self.wait_until_kept("".join(f"{e}\n" for e in self.shown()))
        self.lab.kill_daemon()
        self.assertIsNone(self.curl(SERVER, seconds=1))
        self.lab.start_daemon()
        self.assertEqual(set(self.shown()), {CLIENT, "2001:db8::/32"})
        self.set("del", "blocked", "2001:db8::/32")
        self.lab.stop_daemon()  # keeps what has just changed
        self.lab.vnf.run(self.lab.evnfd, "--detach",
                         *self.lab.daemon_args())  # as after a reboot: no map is left
        self.lab.start_daemon()
        self.assertEqual(self.shown(), [CLIENT])
        self.assertIsNone(self.curl(SERVER, seconds=1))

    def test_a_set_of_another_kind_or_size(self):
        self.set("add", "blocked", CLIENT)
        config = self.lab.write_config(CONFIG + SETS.replace("1000000", "2000000"))
        self.lab.evnf("apply", config)
        self.assertEqual(self.shown(), [CLIENT])
        self.assertIsNone(self.curl(SERVER, seconds=1))
        config = self.lab.write_config(
            CONFIG + '[efw]\nrules = ["tcp dport @blocked drop"]\n'
            '[efw.sets.blocked]\ntype = "port"\n')
        self.lab.evnf("apply", config)
        self.assertEqual(self.shown(), [])
        self.set("add", "blocked", "80")
        self.assertIsNone(self.curl(SERVER, seconds=1))
        config = self.lab.write_config(CONFIG + SETS)
        self.lab.evnf("apply", config)
        self.assertEqual(self.shown(), [])
        self.assertEqual(self.curl(SERVER), "server1")

    def test_the_command_line(self):
        self.assertIn("added", self.set("add", "blocked", "192.0.2.0/24", "2001:db8::1").stdout)
        self.assertEqual(self.lab.evnf_json("efw", "set", "list"),
                         [{"name": "blocked", "type": "addr", "size": 1000000, "count": 2}])
        self.assertEqual(self.set("test", "blocked", "192.0.2.9").stdout,
                         "192.0.2.9 is in blocked, by 192.0.2.0/24\n")
        self.assertEqual(self.lab.evnf_json("efw", "set", "test", "blocked", "192.0.3.9"),
                         {"member": False})
        wrong = self.set("add", "blocked", "198.51.100.1", "192.0.2.1/24", check=False)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("did you mean 192.0.2.0/24?", wrong.stderr)
        self.assertEqual(len(self.shown()), 2)
        path = self.lab.dir / "elements"
        path.write_text("# those of today\n198.51.100.0/24 # a net\n\n  192.0.2.300\n")
        wrong = self.set("replace", "blocked", path, check=False)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn(f"{path}:4:3: '192.0.2.300' is not an address", wrong.stderr)
        path.write_text("# those of today\n198.51.100.0/24 # a net\n192.0.2.0/24\n")
        self.assertEqual(self.set("replace", "blocked", path).stdout,
                         "1 added, 1 removed, 2 in the set\n")
        self.assertEqual(self.set("flush", "blocked").stdout,
                         "0 added, 2 removed, 0 in the set\n")
        none = self.set("show", "none", check=False)
        self.assertEqual(none.returncode, 1)
        self.assertIn("there is no set 'none': there is blocked", none.stderr)

    def test_a_file_of_elements_is_applied_with_its_set(self):
        path = self.lab.dir / "blocked"
        path.write_text("10.0.1.0/24\n")
        config = self.lab.write_config(CONFIG + SETS + f'file = "{path}"\n')
        self.lab.evnf("apply", config)
        self.assertEqual(self.shown(), ["10.0.1.0/24"])
        self.assertIsNone(self.curl(SERVER, seconds=1))
        path.write_text("10.0.1.0/24\n 10.0.1.0/33 # no\n")
        wrong = self.lab.evnf("apply", config, check=False)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn(f"{path}:2:2: ", wrong.stderr)
        path.write_text("")
        self.lab.evnf("apply", config)
        self.assertEqual(self.shown(), [])

    def test_a_million_elements(self):
        path = self.lab.dir / "million"
        first = int(ipaddress.ip_address("20.0.0.0"))
        with path.open("w") as out:
            for i in range(1_000_000):
                out.write(f"{ipaddress.ip_address(first + 2 * i)}\n")
        begin = time.monotonic()
        self.assertEqual(self.set("replace", "blocked", path).stdout,
                         "1000000 added, 0 removed, 1000000 in the set\n")
        loaded = time.monotonic() - begin
        self.assertEqual(self.curl(SERVER), "server1")
        begin = time.monotonic()
        self.assertEqual(self.shown()[:2], ["20.0.0.0", "20.0.0.2"])
        print(f"a million elements: loaded in {loaded:.1f} s, "
              f"shown in {time.monotonic() - begin:.1f} s")
        full = self.set("add", "blocked", "1.1.1.1", check=False)
        self.assertEqual(full.returncode, 1)
        self.assertIn("may have 1000000 elements, and would have 1000001", full.stderr)


if __name__ == "__main__":
    main()
