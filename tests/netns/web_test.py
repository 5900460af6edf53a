#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Web traffic through firewall and load balancer: no request fails, also while the daemon
is killed; shares follow the weights; every packet is accounted for."""
import json
import time

from case import LabCase, Load, main
from lab import CONFIG, VIP, VIP6

RULES = f"""
[efw]
rules = ["tcp dport 80 accept"]

[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
backends = [ {{ address = "10.0.11.2", port = 80, weight = 2 }},
             {{ address = "10.0.12.2", port = 8080 }} ]

[[elb.service]]
address = "{VIP6}"
port = 80
protocol = "tcp"
backends = [ {{ address = "fd00:11::2", port = 80 }}, {{ address = "fd00:12::2", port = 80 }} ]
"""
ENOUGH = 25000  # connections, to look at their shares


class WebTest(LabCase):
    keepalive_requests = 4  # few requests to a connection make many connections

    def setUp(self):
        super().setUp()
        # A queue counts what the kernel sends; frames that XDP sends pass it by.
        for port in ("cli0", "srv1", "srv2"):
            self.lab.vnf.run("tc", "qdisc", "add", "dev", port, "root", "pfifo")
        self.lab.write_config(CONFIG + RULES)
        self.lab.start_daemon()
        self.start = self.snapshot()

    def kernel_sent(self, port):
        out = self.lab.vnf.run("tc", "-s", "-j", "qdisc", "show", "dev", port).stdout
        return json.loads(out)[0]["packets"]

    def backends(self, address):
        for service in self.lab.evnf_json("elb", "backend", "list")["service"]:
            if service["address"] == address:
                return {b["address"]: b for b in service["backends"]}
        raise KeyError(address)

    def connections(self, address):
        return sum(b["connections"] for b in self.backends(address).values())

    def check_shares(self, address, weights):
        """Of ENOUGH connections that are placed at random: within 5 % of the weights, which are
        more than five standard deviations of any of these shares."""
        backends = self.backends(address)
        connections = sum(b["connections"] for b in backends.values())
        for backend, weight in weights.items():
            share = backends[backend]["connections"] / connections
            wanted = weight / sum(weights.values())
            self.assertLess(abs(share / wanted - 1), 0.05, f"{backend} got {share:.4f}")

    def snapshot(self):
        """Counters of the chains and of the ends, read when no packet is under way."""
        before, now = None, self.read_counters()
        while now != before:
            time.sleep(0.5)
            before, now = now, self.read_counters()
        return now

    def read_counters(self):
        now = {}
        for chain in ("in", "back"):
            for name, slot in self.slots(chain).items():
                now[chain, name, "packets"] = slot["packets"]
                for verdict, counter in slot["verdicts"].items():
                    now[chain, name, verdict] = counter["packets"]
        for host in (self.lab.client, *self.lab.servers):
            now[host.name, "received"], now[host.name, "sent"] = host.link("eth0")
        for port in ("cli0", "srv1", "srv2"):
            now[port, "kernel sent"] = self.kernel_sent(port)
        return now

    def check_sums(self):
        """Every packet that an end sent or received since setUp is in the counters."""
        n = {key: value - self.start[key] for key, value in self.snapshot().items()}
        for chain, names in (("in", ["root@cli0", "efw", "elb", "out"]),
                             ("back", ["elb", "out"])):
            for name in names:
                verdicts = sum(n[chain, name, v] for v in ("next", "drop", "slow", "done"))
                self.assertEqual(verdicts, n[chain, name, "packets"])
            for before, after in zip(names, names[1:]):
                self.assertEqual(n[chain, before, "next"], n[chain, after, "packets"])
        self.assertEqual(n["back", "root@srv1", "next"] + n["back", "root@srv2", "next"],
                         n["back", "elb", "packets"])
        self.assertEqual(n["in", "root@cli0", "packets"], n["client", "sent"])
        self.assertEqual(n["back", "root@srv1", "packets"], n["server1", "sent"])
        self.assertEqual(n["back", "root@srv2", "packets"], n["server2", "sent"])
        self.assertEqual(n["back", "out", "done"] + n["cli0", "kernel sent"],
                         n["client", "received"])
        self.assertEqual(
            n["in", "out", "done"] + n["srv1", "kernel sent"] + n["srv2", "kernel sent"],
            n["server1", "received"] + n["server2", "received"])

    def test_requests_survive_the_daemon(self):
        load, restarts = Load(self, f"http://{VIP}/", 64), 0
        while restarts < 3 or self.connections(VIP) < ENOUGH:
            time.sleep(1)
            self.lab.kill_daemon()
            time.sleep(0.3)
            self.lab.start_daemon()
            restarts += 1
        print(f"{load.end()} requests, daemon killed and restarted {restarts} times")
        self.check_shares(VIP, {"10.0.11.2": 2, "10.0.12.2": 1})
        self.check_sums()

    def test_ipv6(self):
        load = Load(self, f"http://[{VIP6}]/", 64)
        while self.connections(VIP6) < ENOUGH:
            time.sleep(0.2)
        load.end()
        self.check_shares(VIP6, {"fd00:11::2": 1, "fd00:12::2": 1})
        self.check_sums()

    def test_rules_and_weights_change_under_load(self):
        load = Load(self, f"http://{VIP}/")
        for i in range(20):
            rule = self.lab.evnf_json("efw", "rule", "add", f"udp dport {1000 + i} drop")
            self.lab.evnf("elb", "backend", "set", "tcp", f"{VIP}:80", "10.0.11.2:80",
                          "weight", 1 + i % 3)
            self.lab.evnf("efw", "rule", "del", rule["id"])
        self.lab.evnf("elb", "backend", "del", "tcp", f"{VIP}:80", "10.0.12.2:8080")
        load.end()
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.check_sums()


if __name__ == "__main__":
    main()
