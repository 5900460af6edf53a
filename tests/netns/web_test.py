#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Web traffic through firewall and load balancer: no request fails, also while the daemon
is killed; shares follow the weights; every packet is accounted for."""
import json
import re
import subprocess
import threading
import time

from case import LabCase, main
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


class WebTest(LabCase):
    # Few requests to a connection make many connections: with over 20,000 of them the
    # share of a backend is within 3 % of its weight by five standard deviations.
    keepalive_requests = 4

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

    def wrk(self, url, seconds, connections=64):
        """Requests made; fails if one failed."""
        out = self.lab.client.run("wrk", "-t2", f"-c{connections}", f"-d{seconds}s", url).stdout
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)
        return int(re.search(r"(\d+) requests in", out).group(1))

    def backends(self, address):
        for service in self.lab.evnf_json("elb", "backend", "list")["service"]:
            if service["address"] == address:
                return {b["address"]: b for b in service["backends"]}
        raise KeyError(address)

    def check_shares(self, address, weights, least):
        backends = self.backends(address)
        connections = sum(b["connections"] for b in backends.values())
        self.assertGreater(connections, least)
        for backend, weight in weights.items():
            share = backends[backend]["connections"] / connections
            wanted = weight / sum(weights.values())
            # Five times the standard deviation of a share of 1/3 of 20,000, placed at random.
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
        stop = threading.Event()
        restarts = []

        def kill_and_restart():
            while not stop.wait(1.0):
                self.lab.kill_daemon()
                time.sleep(0.3)
                self.lab.start_daemon()
                restarts.append(time.monotonic())

        killer = threading.Thread(target=kill_and_restart)
        killer.start()
        requests = 0
        try:
            while requests < 100000 or len(restarts) < 3:
                requests += self.wrk(f"http://{VIP}/", 8)
        finally:
            stop.set()
            killer.join()
        print(f"{requests} requests, daemon killed and restarted {len(restarts)} times")
        self.assertGreaterEqual(requests, 100000)
        self.check_shares(VIP, {"10.0.11.2": 2, "10.0.12.2": 1}, 20000)
        self.check_sums()

    def test_ipv6(self):
        self.wrk(f"http://[{VIP6}]/", 5)
        self.check_shares(VIP6, {"fd00:11::2": 1, "fd00:12::2": 1}, 10000)
        self.check_sums()

    def test_rules_and_weights_change_under_load(self):
        wrk = subprocess.Popen(
            self.lab.client.command(["wrk", "-t2", "-c32", "-d5s", f"http://{VIP}/"]),
            stdout=subprocess.PIPE, text=True)
        self.lab.processes.append(wrk)
        for i in range(20):
            rule = self.lab.evnf_json("efw", "rule", "add", f"udp dport {1000 + i} drop")
            self.lab.evnf("elb", "backend", "set", "tcp", f"{VIP}:80", "10.0.11.2:80",
                          "weight", 1 + i % 3)
            self.lab.evnf("efw", "rule", "del", rule["id"])
        self.lab.evnf("elb", "backend", "del", "tcp", f"{VIP}:80", "10.0.12.2:8080")
        out = wrk.communicate()[0]
        wrk.stdout.close()
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.check_sums()


if __name__ == "__main__":
    main()
