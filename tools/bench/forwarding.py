# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames through the lab's VNF host, as many as the client can send; a server counts and drops.

    client ── cli0 [ vnf: rules ] srv1 ── server1
"""
import math
import time

import sfc  # noqa: F401  (for where the lab is found)
from lab import Lab, LabError

DESTINATION = "10.0.11.2"
FLOWS = 64
SLICE = 0.25  # seconds of each look at the counter
# Before anything else of the receiver sees them.
SINK = """table netdev sink { chain in { type filter hook ingress device %s priority 0;
%s counter drop; }; }"""


def address(i):
    """Of many, those that rules are about: RFC 2544's."""
    return f"198.18.{i >> 8}.{i & 255}"


class Forwarding(Lab):
    def start_nginx(self, server):
        """Servers count what they get, and throw it away as early as they can."""
        server.run("nft", "-f", "-", input=SINK % ("eth0", "ip protocol udp"))

    def prepare(self):
        self.start()
        # A veth takes frames from XDP only if its other end polls.
        self.vnf.run("ethtool", "-K", "cli0", "gro", "on")
        self.vnf.run("ip", "neigh", "replace", DESTINATION, "lladdr",
                     self.servers[0].mac("eth0"), "dev", "srv1")

    def clear(self):
        self.vnf.run("nft", "flush", "ruleset")
        self.vnf.run("iptables-legacy-restore", input="*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n"
                     ":OUTPUT ACCEPT\nCOMMIT\n")

    def end_daemon(self):
        """Nothing of it stays."""
        self.stop_daemon()
        self.vnf.run(self.evnfd, "--detach", *self.daemon_args())

    def received(self):
        return self.servers[0].link("eth0")[0]

    def rates(self, source, seconds, received=None):
        """Packets a second that arrive, in each slice of the middle of a flood."""
        received = received or self.received
        flood = self.client.start(self.build / "tools/bench/evnf-bench-flood", "eth0",
                                  self.vnf.mac("cli0"), source, DESTINATION, "--seconds",
                                  str(math.ceil(seconds + 1)), "--flows", str(FLOWS), log="flood.log")
        time.sleep(0.7)
        looks = [(time.monotonic(), received())]
        while looks[-1][0] - looks[0][0] < seconds:
            time.sleep(SLICE)
            looks.append((time.monotonic(), received()))
        if flood.wait() != 0:
            raise LabError((self.dir / "flood.log").read_text())
        if looks[-1][1] == looks[0][1]:
            raise LabError(f"nothing of {source} arrives")
        return [(n - before) / (now - then)
                for (then, before), (now, n) in zip(looks, looks[1:])]

    def rates_of_sender(self, source, seconds):
        """What is sent if the host drops it at once: the ceiling."""
        self.vnf.run("nft", "-f", "-", input=SINK % ("cli0", ""))
        out = self.rates(source, seconds, lambda: self.vnf.link("cli0")[0])
        self.vnf.run("nft", "delete table netdev sink")
        return out
