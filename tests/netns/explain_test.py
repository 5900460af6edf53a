#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `evnf efw explain` says of a packet is what then becomes of it; and explaining
counts nothing."""
import struct
import time

from case import LabCase, main
from lab import VIP

CONFIG = f"""
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[efw]
default = "accept"
rules = ["udp dport 7000 count name \\"seen\\"", "udp dport 7000-7001 drop name \\"echo\\"",
         "in cli0 udp dport 7002 slow", "udp dport 7003 limit rate 1/hour burst 1 drop",
         "ip daddr {VIP} udp sport 4000 drop", "udp dport 7004 reject"]
"""


class ExplainTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG)
        self.lab.start_daemon()

    def counts(self):
        shown = self.lab.api("/v1/efw")
        out = {r["id"]: r["packets"] for r in shown["rules"]}
        out["default"] = shown["default_packets"]
        return out

    def quiet_counts(self):
        """Counts, when other packets of the client are not under way."""
        before, now = None, self.counts()
        while before != now:
            time.sleep(0.3)
            before, now = now, self.counts()
        return now

    def send(self, sport, dport):
        """One datagram of the client's."""
        self.lab.client.run("python3", "-c",
                            "import socket\n"
                            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                            f"s.bind(('', {sport}))\n"
                            f"s.sendto(b'', ('{VIP}', {dport}))")

    def explain(self, *words):
        return self.lab.evnf_json("efw", "explain", *words)["packets"]

    def test_it_says_what_then_is(self):
        for sport, dport in [(5000, 7000), (5000, 7001), (5000, 7002), (5000, 7003), (4000, 9),
                             (5000, 7004), (5000, 9)]:
            with self.subTest(sport=sport, dport=dport):
                before = self.quiet_counts()
                text = f"udp 10.0.1.2:{sport} > {VIP}:{dport} in cli0"
                said = self.explain(text)[0]
                self.assertEqual(self.explain(text)[0], said)  # no token was taken
                self.assertEqual(self.counts(), before)
                self.send(sport, dport)
                after = self.quiet_counts()
                moved = {k for k in after if after[k] != before[k]}
                wanted = {r["id"] for r in said["counted"]}
                wanted.add("default" if said["default"] else said["decided_by"]["id"])
                self.assertEqual(moved - {"default"}, wanted - {"default"})
                self.assertLessEqual(wanted, moved)

    def test_the_chain_counts_nothing(self):
        before = self.slots("in")
        self.explain(f"udp 10.0.1.2:5000 > {VIP}:7000 in cli0")
        self.assertEqual(self.slots("in")["efw"]["packets"], before["efw"]["packets"])

    def test_a_capture_has_a_row_for_each_packet(self):
        frame = bytes.fromhex("020000000001020000000002" "0800" "4500001c000000004011"
                              "0000" "c6336407" "c000020a" "13881b58" "00080000")
        path = f"{self.lab.dir}/some.pcap"
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
            for data in (frame, frame[:12] + b"\x08\x06" + bytes(46), frame[:20], bytes(4000)):
                out.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)
        rows = self.explain("--pcap", path, "--in", "cli0")
        self.assertEqual([r["reason"] for r in rows], ["rule_drop", "not_ip", "ip_cut", "too_long"])
        self.assertEqual(rows[0]["decided_by"]["name"], "echo")
        self.assertEqual([r["name"] for r in rows[0]["counted"]], ["seen"])

    def test_what_cannot_be_is_refused(self):
        for words in [["udp 10.0.1.2:1 > 10.0.1.3:2 in nowhere"], ["tpc"],
                      ["udp 10.0.1.2:1 > 10.0.1.3:2 saddr @friends"]]:
            self.assertEqual(self.lab.evnf("efw", "explain", *words, check=False).returncode, 2)


OFFLOADING = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[efw]
offload = %s
"""
SERVER = "10.0.11.2"


class NetfilterTest(LabCase):
    """What netfilter would say, and does; with its rules offloaded and without."""

    def begin(self, offload):
        self.lab.write_config(OFFLOADING % offload)
        self.lab.start_daemon()

    def iptables(self, *words):
        self.lab.vnf.run("iptables-nft", *words)

    def in_force(self, rule):
        """Waits for a plan that knows the rule."""
        for _ in range(600):
            status = self.lab.evnf_json("efw", "offload", "status")
            if status["state"] == "in force" and any(
                    rule in r["rule"] and r["state"] != "not read yet" for r in status["rules"]):
                return
            time.sleep(0.1)
        self.fail(f"not in force: {status}")

    def explain(self, text, *more):
        """Of a plan that is in force: all is left to netfilter while the daemon gets no processor
        to look whether the rules are the same."""
        while True:
            said = self.lab.evnf_json("efw", "explain", text, *more)["packets"][0]
            if said["reason"] != "offload_stale":
                return said

    def send(self, dport, sport=4000):
        self.lab.client.run("python3", "-c",
                            "import socket\n"
                            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                            f"s.bind(('10.0.1.2', {sport}))\n"
                            f"s.sendto(b'', ('{SERVER}', {dport}))")

    def counted(self, chain):
        """Packets of each rule of a chain, by its number."""
        lines = self.lab.vnf.run("iptables-nft", "-nvxL", chain).stdout.splitlines()[2:]
        return {n: int(line.split()[0]) for n, line in enumerate(lines, 1)}

    def test_netfilter_does_what_is_said(self):
        self.begin("false")
        self.iptables("-N", "some")
        self.iptables("-A", "some", "-p", "udp", "--dport", "9001", "-j", "RETURN")
        self.iptables("-A", "some", "-p", "udp", "--dport", "9000:9002", "-j", "DROP")
        self.iptables("-A", "FORWARD", "-i", "cli0", "-s", "10.0.1.0/24", "-j", "some")
        self.iptables("-A", "FORWARD", "-p", "udp", "--dport", "9001", "-j", "REJECT")
        self.iptables("-A", "FORWARD", "-p", "udp", "--sport", "4001", "-j", "ACCEPT")
        said = []
        for sport, dport in [(4000, 9000), (4000, 9001), (4000, 9002), (4001, 9003), (4000, 9003)]:
            with self.subTest(sport=sport, dport=dport):
                packet = self.explain(f"udp 10.0.1.2:{sport} > {SERVER}:{dport} in cli0")
                self.assertEqual(packet["verdict"], "slow")
                rule = packet["netfilter"].get("rule", {})
                said.append((packet["netfilter"]["verdict"], rule.get("chain"),
                             rule.get("number")))
                before = {c: self.counted(c) for c in ("some", "FORWARD")}
                self.send(dport, sport)
                self.wait_for(lambda: self.counted("FORWARD") != before["FORWARD"])
                for chain in before:
                    for number, packets in self.counted(chain).items():
                        moved = packets - before[chain][number]
                        here = (chain, number) == (rule["chain"], rule.get("number"))
                        jump = (chain, number) == ("FORWARD", 1)
                        back = (chain, number, dport) == ("some", 1, 9001)
                        self.assertEqual(moved, int(here or jump or back), (chain, number))
        self.assertEqual(said, [("drop", "some", 2), ("reject", "FORWARD", 2), ("drop", "some", 2),
                                ("accept", "FORWARD", 3), ("accept", "FORWARD", None)])

    def test_what_depends_is_said_to_depend(self):
        self.begin("false")
        self.iptables("-A", "FORWARD", "-p", "tcp", "-m", "conntrack", "--ctstate", "ESTABLISHED",
                      "-j", "ACCEPT")
        self.iptables("-A", "FORWARD", "-m", "statistic", "--mode", "nth", "--every", "2",
                      "--packet", "0", "-j", "DROP")
        judged = self.explain(f"udp 10.0.1.2:4000 > {SERVER}:9000 in cli0")["netfilter"]
        self.assertEqual(judged["verdict"], "depends")
        self.assertEqual([c["verdict"] for c in judged["cases"]], ["drop", "accept"])
        match = "-m statistic --mode nth --every 2 --packet 0 (rule 2 of FORWARD, table filter)"
        self.assertEqual([c["assuming"] for c in judged["cases"]],
                         [["it matches " + match], ["it does not match " + match]])
        # A SYN of a connection that the kernel does not know is new.
        self.iptables("-D", "FORWARD", "2")
        self.iptables("-P", "FORWARD", "DROP")
        judged = self.explain(f"tcp 10.0.1.2:4000 > {SERVER}:80 in cli0 syn")["netfilter"]
        self.assertEqual((judged["verdict"], judged["rule"]["rule"]), ("drop", "policy drop"))
        # Of an ACK that is not certain: it may be taken up, or be invalid; neither is accepted.
        judged = self.explain(f"tcp 10.0.1.2:4000 > {SERVER}:80 in cli0 ack")["netfilter"]
        self.assertEqual((judged["verdict"], judged["rule"]["rule"]), ("drop", "policy drop"))

    def test_known_connections_are_looked_up(self):
        self.begin("false")
        self.iptables("-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j",
                      "ACCEPT")
        self.iptables("-A", "FORWARD", "-p", "udp", "--dport", "9000", "-j", "ACCEPT")
        self.iptables("-P", "FORWARD", "DROP")
        answer = ("udp {0}:9000 > 10.0.1.2:4000 in srv1").format(SERVER)
        self.assertEqual(self.explain(answer)["netfilter"]["verdict"], "drop")
        self.send(9000)
        self.wait_for(lambda: self.explain(answer)["netfilter"]["verdict"] == "accept")
        judged = self.explain(answer)["netfilter"]
        self.assertEqual((judged["verdict"], judged["rule"]["number"]), ("accept", 1))
        self.assertEqual(self.explain(f"udp 10.0.1.2:4000 > {SERVER}:9000 in cli0")
                         ["netfilter"]["rule"]["number"], 2)  # no answer has been seen

    def test_the_interface_it_leaves_by_is_that_of_the_routes(self):
        self.begin("false")
        self.iptables("-A", "FORWARD", "-o", "srv2", "-j", "DROP")
        self.iptables("-A", "FORWARD", "!", "-o", "srv+", "-j", "ACCEPT")
        self.iptables("-A", "FORWARD", "-o", "srv1", "-p", "udp", "--dport", "9000", "-j", "DROP")
        text = f"udp 10.0.1.2:4000 > {SERVER}:9000 in cli0"

        def said_and_done(*more):
            """What is said, once it has come true for a packet."""
            judged = self.explain(text, *more)["netfilter"]
            before = self.counted("FORWARD")
            self.send(9000)

            def moved():
                return {n for n, packets in self.counted("FORWARD").items() if packets != before[n]}
            self.wait_until_equal(moved, {judged["rule"]["number"]} if "rule" in judged else set())
            return judged

        judged = said_and_done()
        self.assertEqual((judged["verdict"], judged["rule"]["number"]), ("drop", 3))
        self.assertEqual(judged["route"], {"out": "srv1", "assumed": False})
        self.assertIn("route: it would leave by srv1\n",
                      self.lab.evnf("efw", "explain", text).stdout)
        # By routes for some packets only.
        ip = lambda *words: self.lab.vnf.run("ip", *words)  # noqa: E731
        ip("route", "add", "default", "dev", "srv2", "table", "77")
        ip("rule", "add", "pref", "100", "ipproto", "udp", "dport", "9000", "table", "77")
        judged = said_and_done()
        self.assertEqual((judged["rule"]["number"], judged["route"]["out"]), (1, "srv2"))
        other = self.explain(f"udp 10.0.1.2:4000 > {SERVER}:9001 in cli0")["netfilter"]
        self.assertEqual((other["verdict"], other["route"]["out"]), ("accept", "srv1"))
        judged = self.explain(text, "--out", "srv1")["netfilter"]
        self.assertEqual((judged["rule"]["number"], judged["route"]["assumed"]), (3, True))
        ip("route", "replace", "unreachable", "default", "table", "77")
        judged = said_and_done()
        self.assertEqual(judged["verdict"], "drop")
        self.assertEqual(judged["because"], "the kernel has no way for it: No route to host")
        ip("rule", "del", "pref", "100")
        # rp_filter: the client's address comes by another interface than its route's.
        self.lab.vnf.run("sysctl", "-qw", "net.ipv4.conf.srv2.rp_filter=1")
        strange = self.explain(f"udp 10.0.1.2:4000 > {SERVER}:9001 in srv2")["netfilter"]
        self.assertIn("rp_filter", strange["because"])
        failed = self.lab.evnf("efw", "explain", text, "--out", "nowhere", check=False)
        self.assertEqual(failed.returncode, 2)
        self.assertIn("nowhere", failed.stderr)

    def test_the_rule_behind_an_offloaded_decision_is_named(self):
        self.begin("true")
        self.iptables("-A", "FORWARD", "-p", "udp", "--dport", "9000", "-j", "DROP")
        rule = "-A FORWARD -p udp -m udp --dport 9000 -j DROP"
        self.in_force(rule)
        text = f"udp 10.0.1.2:4000 > {SERVER}:9000 in cli0"
        dropped = self.reason("in", "efw", "offload_drop")
        said = self.explain(text)
        self.assertEqual((said["verdict"], said["reason"]), ("drop", "offload_drop"))
        self.assertNotIn("decided_by", said)
        self.assertEqual((said["offload"]["decision"], said["offload"]["rule"]["rule"]),
                         ("drop", rule))
        self.assertEqual((said["netfilter"]["verdict"], said["netfilter"]["rule"]["rule"]),
                         ("drop", rule))
        self.assertEqual(self.reason("in", "efw", "offload_drop"), dropped)

        def sent():
            self.send(9000)
            return self.reason("in", "efw", "offload_drop") > dropped
        self.wait_for(sent)

    def test_own_rules_come_before_the_offload(self):
        self.begin("true")
        self.iptables("-A", "FORWARD", "-p", "udp", "--dport", "9000", "-j", "DROP")
        self.in_force("9000")
        self.lab.evnf("efw", "rule", "add", "ip saddr 10.0.1.2 udp accept")
        said = self.explain(f"udp 10.0.1.2:4000 > {SERVER}:9000 in cli0")
        self.assertEqual(said["verdict"], "next")
        self.assertNotIn("offload", said)
        self.assertEqual(said["netfilter"]["verdict"], "drop")
        said = self.explain(f"udp 10.0.1.3:4000 > {SERVER}:9000 in cli0")
        self.assertEqual(said["reason"], "offload_drop")

    def test_what_the_offload_leaves_is_said(self):
        self.begin("true")
        self.iptables("-A", "FORWARD", "-p", "udp", "--dport", "9000", "-j", "REJECT")
        self.in_force("9000")
        said = self.explain(f"udp 10.0.1.2:4000 > {SERVER}:9000 in cli0")
        self.assertEqual((said["verdict"], said["reason"]), ("slow", "offload_left"))
        self.assertIn("REJECT", said["offload"]["because"])
        self.assertEqual(said["netfilter"]["verdict"], "reject")
        # By another interface's address the frame would not be for this host; without any, it
        # cannot be said.
        failed = self.lab.evnf("efw", "explain", "udp 10.0.1.2:1 > 10.0.11.2:2", check=False)
        self.assertEqual(failed.returncode, 2)
        self.assertIn("in eth0", failed.stderr)


if __name__ == "__main__":
    main()
