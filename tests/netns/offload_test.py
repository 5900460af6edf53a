#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The live rules of netfilter are offloaded, and no packet meets another verdict for it."""
import subprocess
import sys
import time

from case import LabCase, main

CONFIG = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[[chain]]
name = "back"
path = "in(srv1, srv2) -> out"

[efw]
offload = true
"""
SERVER = "10.0.11.2"

# One datagram for each line that comes, and a line for each datagram.
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    s.sendto(line.strip().encode(), ("%s", 9000))
    print("sent", flush=True)
""" % SERVER
RECEIVE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("%s", 9000))
print("ready", flush=True)
while True:
    print(s.recv(100).decode(), flush=True)
""" % SERVER


class OffloadTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG)
        self.lab.start_daemon()

    def talk(self, host, script):
        p = subprocess.Popen(host.command([sys.executable, "-u", "-c", script]), text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def end():
            p.kill()
            p.wait()
            p.stdin.close()
            p.stdout.close()
        self.addCleanup(end)
        return p

    def iptables(self, *words, variant="nft"):
        self.lab.vnf.run(f"iptables-{variant}", *words)

    def offload(self):
        return self.lab.evnf_json("efw", "offload", "status")

    def in_force(self, more_than=0):
        """Waits for a plan of the rules as they are."""
        for _ in range(600):
            status = self.offload()
            if status["state"] == "in force" and status["plans"] > more_than:
                return status
            time.sleep(0.1)
        self.fail(f"not in force: {status}")

    def counted(self, status, rule):
        return sum(r["fast_path"]["packets"] for r in status["rules"] if rule in r["rule"])

    def change(self, *words):
        plans = self.offload()["plans"]
        self.iptables(*words)
        return self.in_force(plans)

    def drops_early(self, more_than=0):
        """Port 8080 is closed, and soon by the fast path: it leaves all to netfilter while
        the daemon gets no processor to look whether the rules are the same."""
        def dropped():
            self.assertIsNone(self.curl(f"http://{SERVER}:8080/", seconds=1))
            return self.reason("in", "efw", "offload_drop") > more_than
        self.wait_for(dropped)

    def test_drops_are_offloaded(self):
        self.change("-A", "FORWARD", "-p", "tcp", "--dport", "8080", "-j", "DROP")
        self.drops_early()
        stale = self.reason("in", "efw", "offload_stale")
        self.assertEqual(self.curl(f"http://{SERVER}/"), "server1")
        self.assertEqual(self.counted(self.offload(), "8080"),
                         self.reason("in", "efw", "offload_drop"))
        # Netfilter has not seen them.
        listed = self.lab.vnf.run("iptables-nft", "-nvxL", "FORWARD").stdout
        self.assertEqual(int(listed.splitlines()[2].split()[0]), stale, listed)

    def test_accepts_are_offloaded_where_nothing_else_matters(self):
        self.lab.vnf.run("iptables-nft", "-P", "FORWARD", "DROP")
        self.iptables("-A", "FORWARD", "-i", "srv1", "-j", "ACCEPT")
        self.change("-A", "FORWARD", "-p", "tcp", "--dport", "80", "-j", "ACCEPT")
        for _ in range(5):
            self.assertEqual(self.curl(f"http://{SERVER}/"), "server1")
        self.drops_early()
        def accepts_early():
            self.assertEqual(self.curl(f"http://{SERVER}/"), "server1")
            return self.reason("in", "efw", "offload_accept") > 0
        self.wait_for(accepts_early)
        decided = sum(self.reason("in", "efw", f"offload_{how}") for how in ("accept", "stale"))
        self.assertGreater(decided, 15)

    def test_connections_stay_with_netfilter(self):
        self.iptables("-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED",
                      "-j", "ACCEPT")
        self.iptables("-A", "FORWARD", "-p", "tcp", "--dport", "80", "-j", "ACCEPT")
        self.iptables("-P", "FORWARD", "DROP")
        plans = self.in_force()["plans"]
        for _ in range(3):
            self.assertEqual(self.curl(f"http://{SERVER}/"), "server1")
        self.drops_early()
        self.assertEqual(self.reason("in", "efw", "offload_accept"), 0)
        # That there are connections now is nothing new to a plan of stateful rules.
        self.assertEqual(self.in_force()["plans"], plans)

    def follow(self, add, delete, pause=0.0):
        """Each packet meets the rules as they are when it comes, however they change."""
        receiver = self.talk(self.lab.servers[0], RECEIVE)
        sender = self.talk(self.lab.client, SEND)
        self.assertEqual(receiver.stdout.readline(), "ready\n")
        wanted = []
        for i in range(40):
            plans = self.offload()["plans"]
            (add if i % 2 else delete)()
            time.sleep(pause)
            if i % 4 > 1:  # with a plan of them, or without
                self.in_force(plans)
            for k in range(3):
                name = f"{i}.{k}"
                sender.stdin.write(name + "\n")
                sender.stdin.flush()
                sender.stdout.readline()
                if i % 2 == 0:
                    wanted.append(name)
        delete()
        time.sleep(pause)
        sender.stdin.write("last\n")
        sender.stdin.flush()
        got = []
        while not got or got[-1] != "last":
            got.append(receiver.stdout.readline().strip())
        self.assertEqual(got, wanted + ["last"])
        self.assertGreater(self.reason("in", "efw", "offload_drop"), 0)

    def rule(self, action, variant="nft"):
        if action == "-D" and self.lab.vnf.run(
                f"iptables-{variant}", "-C", "FORWARD", "-p", "udp", "--dport", "9000", "-j",
                "DROP", check=False).returncode != 0:
            return
        self.iptables(action, "FORWARD", "-p", "udp", "--dport", "9000", "-j", "DROP",
                      variant=variant)

    def test_no_packet_meets_the_rules_before(self):
        self.iptables("-A", "FORWARD", "-p", "tcp", "--dport", "9", "-j", "DROP")
        if not self.in_force()["seen_by_kernel"]:
            self.skipTest("this kernel does not show the generation of nftables to XDP")
        self.follow(lambda: self.rule("-A"), lambda: self.rule("-D"))

    def test_changes_of_legacy_rules_are_followed(self):
        self.iptables("-A", "FORWARD", "-p", "tcp", "--dport", "9", "-j", "DROP",
                      variant="legacy")
        self.in_force()
        self.follow(lambda: self.rule("-A", "legacy"), lambda: self.rule("-D", "legacy"), 1.0)

    def test_without_the_daemon_netfilter_decides(self):
        self.change("-A", "FORWARD", "-p", "tcp", "--dport", "8080", "-j", "DROP")
        self.assertIsNone(self.curl(f"http://{SERVER}:8080/", seconds=1))
        self.lab.kill_daemon()
        time.sleep(1)
        self.iptables("-F", "FORWARD")
        self.assertEqual(self.curl(f"http://{SERVER}:8080/"), "server1")

    def test_off_and_on(self):
        self.change("-A", "FORWARD", "-p", "tcp", "--dport", "8080", "-j", "DROP")
        self.lab.evnf("efw", "offload", "disable")
        before = self.reason("in", "efw", "offload_drop")
        self.assertIsNone(self.curl(f"http://{SERVER}:8080/", seconds=1))
        self.assertEqual(self.reason("in", "efw", "offload_drop"), before)
        off = self.offload()
        self.assertFalse(off["enabled"])
        self.assertEqual({r["state"] for r in off["rules"]}, {"not offloaded"})
        self.lab.evnf("efw", "offload", "enable")
        self.in_force()
        self.drops_early(before)


if __name__ == "__main__":
    main()
