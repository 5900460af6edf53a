#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""In a guest: a chain on native XDP of virtio-net, with traffic through it, and Debian's
xdp-tools beside it. QEMU joins the interfaces: the lab's hosts get theirs by MAC address."""
import json
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
from case import BUILD, LabCase  # noqa: E402  (found by the line above)
from lab import VIP, Lab, LabError  # noqa: E402

REQUESTS = 50
CONFIG = f"""
[[chain]]
name = "in"
path = "in(cli0) -> efw -> edpi -> elb -> out"

[[chain]]
name = "back"
path = "in(srv1, srv2) -> elb -> edpi -> out"

[efw]
default = "drop"
rules = ["tcp dport 80 accept"]

[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
backends = [ {{ address = "10.0.11.2" }}, {{ address = "10.0.12.2" }} ]
"""


class VirtioLab(Lab):
    """The lab, on interfaces that are there before: QEMU's, in pairs by the last byte of the MAC."""

    def connect(self, host, port, net):
        for last, at, name in ((1, self.vnf, port), (2, host, "eth0")):
            [link] = [link["ifname"] for link in json.loads(self.run(["ip", "-j", "link"]).stdout)
                      if link["address"] == f"02:00:00:00:{net:02}:{last:02}"]
            self.run(["ip", "link", "set", link, "netns", at.netns, "name", name])
            at.run("ip", "addr", "add", f"10.0.{net}.{last}/24", "dev", name)
            at.run("ip", "link", "set", name, "up")
        host.run("ip", "route", "add", "default", "via", f"10.0.{net}.1")


class ChainTest(LabCase):
    def setUp(self):
        self.lab = VirtioLab(BUILD)
        self.addCleanup(self.lab.stop)
        self.lab.start()
        self.lab.write_config(CONFIG)

    def fetch(self, port=80, seconds=20):
        return self.curl(f"http://{VIP}:{port}/", seconds=seconds)

    def xdp(self, port):
        """How the interface's program is attached."""
        [link] = json.loads(self.lab.vnf.run("ip", "-d", "-j", "link", "show", port).stdout)
        return {1: "native", 2: "generic"}.get(link.get("xdp", {}).get("mode"))

    def test_a_chain_and_tools_of_others(self):
        self.others_are_named()
        self.lab.start_daemon()
        self.traffic()
        self.xdpdump()
        self.xdp_filter()

    def others_are_named(self):
        """libxdp's dispatcher on an interface of ours is not taken off, but told of."""
        vnf = self.lab.vnf
        vnf.run("xdp-filter", "load", "--mode", "native", "cli0")
        with self.assertRaises(LabError) as refused:
            self.lab.start_daemon()
        self.assertIn("cli0 has another XDP program, 'xdp_dispatcher'", str(refused.exception))
        self.assertIn("xdpfilt", vnf.run("xdp-loader", "status", "cli0").stdout)
        vnf.run("xdp-filter", "unload", "cli0")

    def traffic(self):
        for port in ("cli0", "srv1", "srv2"):
            self.assertEqual(self.xdp(port), "native")
        self.wait_for(lambda: self.fetch(seconds=3))  # neighbours are known
        before = {chain: self.slots(chain) for chain in ("in", "back")}
        answers = [self.fetch() for _ in range(REQUESTS)]
        self.assertEqual(set(answers), {"server1", "server2"})
        after = {chain: self.slots(chain) for chain in before}
        for chain, names in (("in", ("efw", "edpi", "elb")), ("back", ("elb", "edpi"))):
            passed = {name: after[chain][name]["verdicts"]["next"]["packets"] -
                      before[chain][name]["verdicts"]["next"]["packets"] for name in names}
            # A connection's packets are five at least each way.
            self.assertGreaterEqual(min(passed.values()), 4 * REQUESTS, passed)
        sent = [after[chain]["out"]["verdicts"]["done"]["packets"] for chain in after]
        self.assertGreaterEqual(min(sent), 4 * REQUESTS)
        self.assertIsNone(self.fetch(81, seconds=2))
        dropped = self.slots("in")["efw"]["verdicts"]["drop"]["packets"]
        self.assertGreater(dropped, before["in"]["efw"]["verdicts"]["drop"]["packets"])

    def xdpdump(self):
        """It shows what our program gets."""
        seen = self.lab.dir / "xdpdump.log"
        dump = self.lab.vnf.start("xdpdump", "-i", "cli0", "--rx-capture", "entry,exit", log=seen.name)
        self.wait_for(lambda: self.fetch() and "@entry" in seen.read_text())
        dump.send_signal(signal.SIGINT)
        self.assertEqual(dump.wait(60), 0, seen.read_text())
        self.assertRegex(seen.read_text(), r"@exit\[(TX|REDIRECT)\]")
        self.assertIn(self.fetch(), ("server1", "server2"))

    def xdp_filter(self):
        """On the client's interface, by libxdp's dispatcher, while the chain goes on; not on ours."""
        refused = self.lab.vnf.run("xdp-filter", "load", "--mode", "native", "cli0", check=False)
        self.assertNotEqual(refused.returncode, 0)
        client = self.lab.client
        client.run("xdp-filter", "load", "--mode", "native", "eth0")
        self.assertIn("xdp_dispatcher", client.run("xdp-loader", "status", "eth0").stdout)
        self.assertIn(self.fetch(), ("server1", "server2"))
        client.run("xdp-filter", "port", "80", "--mode", "src", "--proto", "tcp")
        self.assertIsNone(self.fetch(seconds=2))
        client.run("xdp-filter", "port", "80", "--mode", "src", "--proto", "tcp", "--remove")
        self.assertIn(self.fetch(), ("server1", "server2"))
        client.run("xdp-filter", "unload", "eth0")
        self.assertEqual(self.xdp("cli0"), "native")


if __name__ == "__main__":
    unittest.main(verbosity=2)
