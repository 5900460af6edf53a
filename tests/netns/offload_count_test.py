#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each packet is counted once for each rule of netfilter, by the fast path or by netfilter."""
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
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[1])):
    for port in sys.argv[2:]:
        s.sendto(b"x" * 22, ("10.0.11.2", int(port)))
"""
# Until its input ends; says how often.
SEND_ON = """
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
times = 0
while not select.select([sys.stdin], [], [], 0.003)[0]:
    times += 1
    for port in sys.argv[1:]:
        s.sendto(b"x" * 22, ("10.0.11.2", int(port)))
print(times)
"""
SIZE = 20 + 8 + 22

# A counter on the way, a chain that is jumped to, a rule that ends in another chain.
IPTABLES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:USER - [0:0]
-A FORWARD -p udp -m udp --dport 9000:9009 -j USER
-A FORWARD -p udp -m udp --dport 9002 -j DROP
-A USER -p udp -m udp --dport 9000
-A USER -p udp -m udp --dport 9001 -j DROP
-A USER -p udp -m udp --dport 9002 -j RETURN
-A USER -p udp -m udp --dport 9003 -j RETURN
-A USER -p udp -m udp --dport 9000 -j DROP
COMMIT
"""
PORTS = (9000, 9001, 9002)
WANTED = {"--dport 9000:9009 -j USER": 3, "FORWARD -p udp -m udp --dport 9002 -j DROP": 1,
          "USER -p udp -m udp --dport 9000": 1, "--dport 9001 -j DROP": 1,
          "--dport 9002 -j RETURN": 1, "--dport 9003 -j RETURN": 0,
          "USER -p udp -m udp --dport 9000 -j DROP": 1}

NFT = """
table inet t {
    counter shared { }
    chain forward {
        type filter hook forward priority 0
        udp dport 9000 counter drop
        udp dport 9001 drop
        udp dport 9002 counter name shared drop
        udp dport 9003 counter counter drop
        counter udp dport 9004 drop
    }
}
"""


class CountTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG)
        self.lab.start_daemon()

    def status(self):
        return self.lab.evnf_json("efw", "offload", "status")

    def enable(self):
        self.lab.evnf("efw", "offload", "enable")
        self.in_force()

    def in_force(self):
        for _ in range(600):
            status = self.status()
            if status.get("state") == "in force":
                return
            time.sleep(0.1)
        self.fail(f"not in force: {status}")

    def disable(self):
        self.lab.evnf("efw", "offload", "disable")

    def send(self, times, *ports):
        self.lab.client.run(sys.executable, "-c", SEND, str(times), *map(str, ports))

    def stale(self):
        return self.reason("in", "efw", "offload_stale")

    def send_offloaded(self, times, *ports):
        """As often as needed until the fast path decides all of once: it leaves to netfilter what
        comes while the daemon gets no processor to look whether the rules are the same. Gives
        how often that was."""
        for n in range(1, 100):
            stale, packets = self.stale(), self.slots("in")["efw"]["packets"]
            self.send(times, *ports)
            self.wait_for(lambda: self.slots("in")["efw"]["packets"] >=  # noqa: B023 (at once)
                          packets + times * len(ports))
            if self.stale() == stale:
                return n * times
        self.fail("the fast path does not decide")

    def load(self, variant):
        self.lab.vnf.run(f"iptables-{variant}-restore", input=IPTABLES)

    def rules(self):
        return self.status()["rules"]

    def rule(self, text):
        return next(r for r in self.rules() if r["rule"].endswith(text))

    def ways(self, text):
        """A rule's packets: by the fast path, and by netfilter."""
        rule = self.rule(text)
        return rule["fast_path"]["packets"], rule["netfilter"]["packets"]

    def check_sums(self, times):
        """Once the last packet is through."""
        def sums():
            rules = self.rules()
            found = {text: next(r for r in rules if r["rule"].endswith(text)) for text in WANTED}
            return {text: (rule.get("sum"), "at_least" in rule) for text, rule in found.items()}
        self.wait_until_equal(sums, {
            text: ({"packets": times * each, "bytes": times * each * SIZE}, False)
            for text, each in WANTED.items()})

    def before_with_and_after(self, variant):
        self.load(variant)
        self.send(20, *PORTS)
        self.check_sums(20)
        self.assertEqual(self.rule("9001 -j DROP")["fast_path"]["packets"], 0)
        self.enable()
        sent = 20 + self.send_offloaded(30, *PORTS)
        self.check_sums(sent)
        fast, slow = self.ways("9001 -j DROP")
        self.assertGreaterEqual(fast, 30)
        # Netfilter itself agrees about its part.
        saved = self.lab.vnf.run(f"iptables-{variant}-save", "-c").stdout
        self.assertIn(f"[{slow}:{slow * SIZE}] -A USER -p udp -m udp --dport 9001 -j DROP", saved)
        self.disable()
        self.send(10, *PORTS)
        self.check_sums(sent + 10)
        self.assertEqual(self.ways("9001 -j DROP"), (fast, slow + 10))

    def test_before_with_and_after_an_offload(self):
        self.before_with_and_after("nft")

    def test_the_same_of_iptables_legacy(self):
        self.before_with_and_after("legacy")

    def test_whatever_happens_meanwhile_each_packet_is_counted_once(self):
        self.load("nft")
        words = [sys.executable, "-c", SEND_ON, *map(str, PORTS)]
        sender = subprocess.Popen(self.lab.client.command(words), text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(sender.kill)
        for change in range(6):
            self.enable()
            fast, slow = self.ways("9001 -j DROP")
            self.wait_for(lambda: self.ways("9001 -j DROP")[0] > fast + 10)
            if change % 3 == 0:  # a new plan, of other rules
                self.lab.vnf.run("iptables-nft", "-A", "FORWARD", "-p", "tcp", "--dport",
                                 str(1000 + change), "-j", "DROP")
            elif change % 3 == 1:  # another fast path
                self.lab.evnf("chain", "set", "back", "in(srv1, srv2) -> efw -> out"
                              if change < 3 else "in(srv1, srv2) -> out")
            else:
                self.disable()
                self.wait_for(lambda: self.ways("9001 -j DROP")[1] > slow + 10)
        self.check_sums(int(sender.communicate()[0]))

    def test_counts_outlive_the_daemon(self):
        self.load("nft")
        self.enable()
        self.send(20, *PORTS)
        self.lab.stop_daemon()
        self.send(5, *PORTS)
        self.lab.start_daemon()
        self.in_force()
        self.check_sums(25)
        self.send(10, *PORTS)
        self.check_sums(35)
        # Killed: what it had not kept yet may be missing, which is said.
        self.lab.kill_daemon()
        time.sleep(1)
        self.lab.start_daemon()
        self.in_force()
        rule = self.rule("9001 -j DROP")
        self.assertIn("killed", rule["at_least"])
        self.assertLessEqual(rule["sum"]["packets"], 35)
        self.assertIn(">=", self.lab.evnf("efw", "offload", "status").stdout)
        # A rule that is put there anew begins at zero, in both places.
        self.load("nft")
        self.in_force()
        self.send(3, *PORTS)
        self.check_sums(3)

    def test_a_sum_that_cannot_be_told_is_not_told(self):
        self.lab.vnf.run("nft", "-f", "-", input=NFT)
        self.enable()
        sent = self.send_offloaded(4, 9000, 9001, 9002, 9003, 9004)
        told = {r["rule"]: r for r in self.rules() if r["table"] == "t"}
        first, plain, named, several, *_ = [r for r in told.values() if "number" in r]
        before = [r for r in told.values() if "number" in r][4]
        self.assertEqual(first["sum"], {"packets": sent, "bytes": sent * SIZE})
        self.assertTrue(4 <= plain["fast_path"]["packets"] <= sent, plain)
        self.assertEqual(plain["fast_path"]["bytes"], plain["fast_path"]["packets"] * SIZE)
        self.assertNotIn("netfilter", plain)
        for rule, why in ((plain, "no counter"), (named, "named"), (several, "several")):
            self.assertNotIn("sum", rule)
            self.assertIn(why, rule["no_sum"])
        # Its counter stands before its match, so it counts more than it drops.
        self.assertEqual(before["sum"]["packets"], before["fast_path"]["packets"] +
                         before["netfilter"]["packets"])
        self.assertGreaterEqual(before["sum"]["packets"], 4)

    def test_rules_that_nothing_tells_apart(self):
        twice = "-A FORWARD -p udp -m udp --dport 9000 -j DROP\n"
        text = IPTABLES.replace("-A FORWARD", twice + twice + "-A FORWARD", 1)
        self.lab.vnf.run("iptables-legacy-restore", input=text)
        self.enable()
        rule = self.rule("FORWARD -p udp -m udp --dport 9000 -j DROP")
        self.assertIn("more than once", rule["no_sum"])
        self.lab.vnf.run("iptables-legacy-restore", input="*filter\nCOMMIT\n")
        self.lab.vnf.run("iptables-nft-restore", input=text)  # here they have handles
        self.in_force()
        self.send(6, 9000)
        self.wait_until_equal(lambda: [r["sum"]["packets"] for r in self.rules()
                                       if r["rule"] == twice.strip()], [6, 0])

    def test_metrics(self):
        self.load("nft")
        self.enable()
        self.send_offloaded(7, 9001)
        fast, _ = self.ways("9001 -j DROP")
        self.assertGreaterEqual(fast, 7)
        text = self.lab.run(["curl", "-s", "--unix-socket",
                             self.lab.dir / f"run/{self.lab.name}.sock",
                             "http://evnf/metrics"]).stdout
        line = next(x for x in text.splitlines() if "offloaded_packets_total{" in x and
                    "--dport 9001 -j DROP" in x)
        self.assertTrue(line.endswith(f" {fast}"), line)
        self.assertIn('table="filter",chain="USER",number="2"', line)


if __name__ == "__main__":
    main()
