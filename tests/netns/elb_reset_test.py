#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections of a backend that is down, or whose drain is over, end at once where that is
asked for, and both sides learn it; elsewhere they stay."""
import subprocess
import sys

from case import main
from elb_case import ACCEPTED, listens, service
from elb_health_test import KEPT
from elb_talk import TalkCase
from lab import CONFIG, VIP, VIP6

SERVICE = ("tcp", f"{VIP}:7000")
ONE = "10.0.11.2:7001"


# The servers' health is that of their nginx; the connections are another program's. Who is down
# refuses at once: the timeout is for a daemon that gets no processor.
CHECK = 'type = "tcp", port = 80, interval = 0.3, timeout = 30, fall = 2'


class ElbResetTest(TalkCase):
    def begin(self, services):
        for server in self.lab.servers:
            self.ends(server, "serve", server.name, "7001")
            listens(server, 7001, "t")
        self.lab.write_config(CONFIG + ACCEPTED + services)
        self.lab.start_daemon()
        self.wait_for(lambda: self.states() <= {"up", "unchecked"})

    def states(self):
        return {b["state"] for s in self.lab.evnf_json("elb", "health", "show")
                for b in s["backends"]}

    def open_now(self, host, port, address):
        """How many connections with a port a host has, of the IP version of an address."""
        out = host.run("ss", "-Htn", "state", "established", "sport", "=", f":{port}", "or",
                       "dport", "=", f":{port}").stdout
        mapped = out.replace("[::ffff:10.0.", "10.0.")  # of a socket for both versions
        return sum(("[" in line) == (":" in address) for line in mapped.splitlines())

    def with_one(self, say, ids):
        """Which of these connections server1 has."""
        return [i for i in ids if say("ask", i) == "1 server1"]

    def test_a_backend_that_is_down(self):
        for vip, backends in ((VIP, [("10.0.11.2", 7001), ("10.0.12.2", 7001)]),
                              (VIP6, [("fd00:11::2", 7001), ("fd00:12::2", 7001)])):
            with self.subTest(vip):
                self.one_is_down(vip, backends)

    def test_a_backend_with_source_nat_that_is_down(self):
        self.one_is_down(VIP, [("10.0.11.2", 7001), ("10.0.12.2", 7001)],
                         'forward = "source_nat"\nsources = ["10.0.11.1"]\n')

    def one_is_down(self, vip, backends, more=""):
        if self.lab.daemon:
            self.lab.stop_daemon()
        self.begin(service(vip, 7000, "tcp", backends,
                           more + f'health = {{ {CHECK}, on_down = "reset" }}'))
        say = self.talker()
        self.assertNotIn("failed", say("open", "1-40", vip, 7000))
        ours = self.with_one(say, range(1, 41))
        client, server = self.lab.client, self.lab.servers[0]
        self.assertGreater(len(ours), 0)
        self.assertEqual(self.open_now(server, 7001, vip), len(ours))
        self.lab.end_nginx(self.lab.dir / "server1.pid")
        # Nobody says anything, and yet both sides know.
        self.wait_for(lambda: self.open_now(client, 7000, vip) == 40 - len(ours))
        self.wait_for(lambda: self.open_now(server, 7001, vip) == 0)
        self.assertEqual(len(self.lab.evnf_json("elb", "conn", "list", "--service",
                                                 f"[{vip}]:7000" if ":" in vip else
                                                 f"{vip}:7000")), 40 - len(ours))
        self.assertIn(f'evnf_elb_ended_connections_total{{instance="elb"}} {len(ours)}\n',
                      self.lab.run(["curl", "-s", "--unix-socket",
                                    self.lab.dir / f"run/{self.lab.name}.sock",
                                    "http://evnf/metrics"]).stdout)
        for i in range(1, 41):
            answer = say("ask", i)
            self.assertIn("reset by peer" if i in ours else "1 server2", answer)
        self.assertNotIn("server1", say("open", "41-60", vip, 7000))
        self.lab.start_nginx(server)

    def test_they_stay_unless_asked(self):
        self.begin(service(VIP, 7000, "tcp", [("10.0.11.2", 7001), ("10.0.12.2", 7001)],
                           f"health = {{ {CHECK} }}"))
        say = self.talker()
        self.assertNotIn("failed", say("open", "1-40", VIP, 7000))
        ours = self.with_one(say, range(1, 41))
        self.lab.end_nginx(self.lab.dir / "server1.pid")
        self.wait_for(lambda: self.states() == {"up", "down"})
        self.wait_for(lambda: "server1" not in say("open", "50-59", VIP, 7000))
        self.assertEqual(self.with_one(say, range(1, 41)), ours)
        # The operator may ask while it is down.
        self.lab.evnf("elb", "health", "set", *SERVICE, "on_down=reset")
        self.wait_for(lambda: self.open_now(self.lab.servers[0], 7001, VIP) == 0)
        self.assertIn("reset by peer", say("ask", ours[0]))

    def test_a_drain_that_is_over(self):
        self.begin(service(VIP, 7000, "tcp", [("10.0.11.2", 7001)], f"health = {{ {CHECK} }}") +
                   service(VIP, 80, "tcp", [("10.0.11.2", 80), ("10.0.12.2", 80)]))
        kept = subprocess.Popen(self.lab.client.command([sys.executable, "-uc", KEPT]),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
        self.lab.processes.append(kept)
        self.addCleanup(kept.stdout.close)
        self.addCleanup(kept.stdin.close)

        def ask():
            kept.stdin.write("\n")
            kept.stdin.flush()
            return kept.stdout.readline().strip()

        server = ask()
        backend = {"server1": "10.0.11.2:80", "server2": "10.0.12.2:80"}[server]
        without = self.lab.evnf("elb", "backend", "drain", *SERVICE, ONE, "--reset", check=False)
        self.assertEqual(without.returncode, 2)
        self.assertIn("deadline", without.stderr)
        out = self.lab.evnf("elb", "backend", "drain", "tcp", f"{VIP}:80", backend, "--deadline",
                            "600", "--reset").stdout
        self.assertEqual(out, f"draining tcp {VIP}:80 -> {backend} for 600 s, then what is left "
                              "is reset\n")
        self.lab.stop_daemon()  # the word outlives it
        self.lab.start_daemon()
        self.assertEqual(ask(), server)
        self.lab.evnf("elb", "backend", "drain", "tcp", f"{VIP}:80", backend, "--deadline", "1",
                      "--reset")
        self.wait_for(lambda: self.open_now(self.lab.client, 80, VIP) == 0)
        self.assertNotEqual(ask(), server)  # a new connection, if there is an answer


if __name__ == "__main__":
    main()
