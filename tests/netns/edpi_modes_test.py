#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""edpi's ways to the slow path between real hosts: what passes is whole and accounted for, what is
known stays in the fast path."""
from case import main
from edpi_web import BIG, EdpiWebCase

# What comes back by a tap goes on after one place.
ONE = """
[[chain]]
name = "both"
path = "in(cli0, srv1) -> edpi -> out"

[edpi]
flows = 1024
"""


class EdpiModesTest(EdpiWebCase):
    def tap(self):
        vnf = self.lab.vnf
        vnf.run("ip", "link", "add", "ips0", "type", "veth", "peer", "name", "ips0f")
        for end in ("ips0", "ips0f"):
            vnf.run("sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1")
            vnf.run("ip", "link", "set", end, "up")
        vnf.run("ip", "link", "set", "dev", "ips0f", "xdp", "obj",
                self.lab.build / "tests/reflect.bpf.o", "sec", "xdp")

    def through(self, section):
        """A download in a mode with a slow path: how many packets of it went each way."""
        self.start("idle = 20\nclosed = 1\nactive = 1\n" + section, chains=ONE)
        began = self.passed()
        self.assertEqual(self.download_known(), self.digest)
        self.balance(began)
        web = [r for r in self.records() if r.get("destination_port") == 8000][-1]
        self.assertEqual(web["application"], "HTTP")
        self.assertEqual(web["http"]["url"], "10.0.11.2:8000/big")
        kept, slow = (self.reason("both", "edpi", r) for r in ("next", "inspect"))
        self.assertGreater(kept + slow, BIG // 1500)
        return kept, slow

    def check_all_came_back(self):
        """What went the slow way went on after edpi, once."""
        def counted():
            edpi = self.slots("both")["edpi"]
            return edpi["resumed"]["packets"] == edpi["verdicts"]["slow"]["packets"]
        self.assertTrue(self.until(counted), self.slots("both")["edpi"])

    def test_stack_has_what_is_not_known_yet(self):
        kept, slow = self.through('mode = "stack"\nelephants = { bytes = 3_000_000 }\n')
        self.assertGreater(slow, 2_000_000 // 1514)
        self.assertGreater(kept, slow)
        self.lab.evnf("apply", self.lab.write_config(
            ONE + 'mode = "stack"\nelephants = "never"\n'))
        before = self.reason("both", "edpi", "next")
        self.assertEqual(self.download(), self.digest)
        self.assertEqual(self.reason("both", "edpi", "next"), before)

    def test_tap_has_what_is_not_known_yet(self):
        self.tap()
        kept, slow = self.through('mode = "tap"\ntap = "ips0"\n')
        self.assertGreater(slow, 0)
        self.assertGreater(kept, slow)
        self.check_all_came_back()

    def test_xsk_has_what_is_not_known_yet(self):
        kept, slow = self.through('mode = "xsk"\n')
        self.assertGreater(slow, 0)
        self.assertGreater(kept, slow)
        self.check_all_came_back()
        self.lab.kill_daemon() # without its worker the traffic goes on
        self.assertEqual(self.until(lambda: self.curl("http://10.0.11.2:8000/small")), "small")


if __name__ == "__main__":
    main()
