#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What each kind of packet meets in each failure: the table of docs/efw.md, packet by packet."""
import socket
import struct
import time

from case import LabCase, main
from lab import PATIENCE

CONFIG = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[[chain]]
name = "back"
path = "in(srv1) -> out"

[efw]
offload = true
rules = ["udp dport 7000 accept", "udp dport 7001 drop", "udp dport 7002 reject",
         "udp dport 7003 log accept", "udp dport 7004 limit rate 1000/second accept"]
"""
CLIENT, SERVER, CLIENT6, SERVER6 = "10.0.1.2", "10.0.11.2", "fd00:1::2", "fd00:11::2"
MARK = 7999

SEND = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line))
"""
SEEN = """table inet seen {
 set ports { type inet_service; flags dynamic; size 65535; }
 chain in { type filter hook prerouting priority -500; add @ports { udp dport }; }
}
"""

# By port. Netfilter is told to drop what efw's own rules accept, so that each is known.
OWN = {"accept": 7000, "drop": 7001, "reject": 7002, "log": 7003, "limit": 7004}
OFFLOADED_DROP, OFFLOADED_ACCEPT, LEFT = 9000, 9001, 9002
FRAGMENT, EXTENSION, OPTIONS, BROKEN, BROKEN_UDP = 9003, 9004, 9005, 9006, 9007

BY_NETFILTER = {OFFLOADED_ACCEPT, FRAGMENT, EXTENSION, OPTIONS, MARK}
BY_OWN_RULES = {OWN["accept"], OWN["log"], OWN["limit"]}


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip4(payload, options=b"", fragment=0, longer=0):
    words = 5 + len(options) // 4
    head = struct.pack(">BBHHHBBH4s4s", 0x40 | words, 0, words * 4 + len(payload) + longer, 7,
                       fragment, 64, 17, 0, address(CLIENT), address(SERVER)) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(port, data=b"01234567", length=None):
    return struct.pack(">HHHH", 4000, port, length or 8 + len(data), 0) + data


def extended(payload):
    """IPv6 with destination options; its UDP has a checksum, which nobody on the way looks at."""
    options = struct.pack(">BB6s", 17, 0, b"\x01\x04\0\0\0\0")
    return struct.pack(">IHBB16s16s", 6 << 28, len(options) + len(payload), 60, 64,
                       address(CLIENT6), address(SERVER6)) + options + payload


class FailureTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.servers[0].run("nft", "-f", "-", input=SEEN)
        for port in (OWN["accept"], OWN["log"], OWN["limit"], OFFLOADED_DROP):
            self.rule("-A", port, "DROP")
        self.rule("-A", LEFT, "REJECT")
        # Next hops are known, so that no packet waits for them.
        vnf, server = self.lab.vnf, self.lab.servers[0]
        for to in (SERVER, SERVER6):
            vnf.run("ip", "neigh", "replace", to, "lladdr", server.mac("eth0"), "dev", "srv1")
        self.lab.write_config(CONFIG)
        self.lab.start_daemon()
        self.in_force()
        self.warm_up()

    def rule(self, verb, port, target):
        self.lab.vnf.run("iptables-nft", verb, "FORWARD", "-p", "udp", "--dport", str(port), "-j",
                         target)

    def in_force(self):
        for _ in range(600):
            status = self.lab.evnf_json("efw", "offload", "status")
            if status["state"] == "in force":
                return
            time.sleep(0.1)
        self.fail(f"not in force: {status}")

    def frames(self):
        packets = [ip4(udp(port)) for port in (*OWN.values(), OFFLOADED_DROP, OFFLOADED_ACCEPT, LEFT)]
        # Where others look for ports, later fragments have data.
        packets += [ip4(udp(FRAGMENT), fragment=0x2000), ip4(udp(FRAGMENT), fragment=2),
                    extended(udp(EXTENSION)), ip4(udp(OPTIONS), options=b"\x01\x01\x01\x00"),
                    ip4(udp(BROKEN), longer=500), ip4(udp(BROKEN_UDP, length=4)), ip4(udp(MARK))]
        macs = (self.lab.vnf.mac("cli0") + self.lab.client.mac("eth0")).replace(":", "")
        return [bytes.fromhex(macs) + (b"\x08\0" if p[0] >> 4 == 4 else b"\x86\xdd") + p
                for p in packets]

    def arrive(self, wanted=frozenset({MARK})):
        """The ports of those that got to the server, of one packet of each kind; once those that
        are wanted have."""
        server = self.lab.servers[0]
        server.run("nft", "flush", "set", "inet", "seen", "ports")
        self.lab.client.run("python3", "-c", SEND,
                            input="".join(f.hex() + "\n" for f in self.frames()))
        end = time.monotonic() + PATIENCE
        while not self.seen() >= wanted and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.3)  # for others, which may take a longer way
        return self.seen()

    def check_arrive(self, wanted):
        self.assertEqual(self.arrive(wanted), wanted)

    def warm_up(self):
        """Until the forwarder knows the next hop: it leaves to the kernel what comes before."""
        for _ in range(50):
            if OWN["accept"] in self.arrive():
                return
        self.fail("nothing is forwarded")

    def seen(self):
        text = self.lab.servers[0].run("nft", "list", "set", "inet", "seen", "ports").stdout
        inside = text.split("elements = {")[1].split("}")[0] if "elements" in text else ""
        return {int(port) for port in inside.split(",") if port.strip()}

    def test_what_each_kind_meets(self):
        # What netfilter makes of a UDP header that contradicts itself is to forward it.
        usual = BY_OWN_RULES | BY_NETFILTER | {BROKEN_UDP}
        with self.subTest("evnfd runs"):
            self.check_arrive(usual)
            rejected = self.reason("in", "efw", "rule_reject")
            self.assertGreater(rejected, 0)
            self.wait_until_equal(lambda: self.lab.api("/v1/efw")["answers"]["sent"], rejected)

        self.lab.kill_daemon()
        with self.subTest("evnfd has just been killed"):
            self.check_arrive(usual)
        time.sleep(1)
        with self.subTest("the lease is over"):
            self.check_arrive(usual)
        self.rule("-D", OFFLOADED_DROP, "DROP")
        self.rule("-I", OFFLOADED_ACCEPT, "DROP")
        changed = usual - {OFFLOADED_ACCEPT} | {OFFLOADED_DROP}
        with self.subTest("netfilter's rules change meanwhile"):
            self.check_arrive(changed)

        self.lab.start_daemon()
        self.warm_up()
        with self.subTest("evnfd has just started again"):
            self.check_arrive(changed)
        self.in_force()
        with self.subTest("and has read the rules"):
            self.check_arrive(changed)
        dropped = self.reason("in", "efw", "offload_drop")
        self.rule("-D", OFFLOADED_ACCEPT, "DROP")
        self.rule("-A", OFFLOADED_DROP, "DROP")
        with self.subTest("netfilter's rules change"):
            self.check_arrive(usual)
        self.in_force()
        with self.subTest("they have been read again"):
            def dropped_more():
                self.check_arrive(usual)
                return self.reason("in", "efw", "offload_drop") > dropped
            self.wait_for(dropped_more)

        # An interface that goes takes its chain along; netfilter's rules are still there.
        self.lab.evnf("chain", "del", "in")
        with self.subTest("the chain is gone"):
            self.check_arrive(BY_NETFILTER | {OWN["drop"], OWN["reject"], BROKEN_UDP})
        self.lab.evnf("chain", "rollback")
        self.in_force()
        self.warm_up()
        with self.subTest("the chain is back"):
            self.check_arrive(usual)


if __name__ == "__main__":
    main()
