#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an operator sees and changes of elb while connections come and go."""
import json

from case import main
from elb_talk import TalkCase
from lab import CONFIG, VIP

ONE, TWO = "10.0.11.2:7001", "10.0.12.2:7001"
SERVICE = ("tcp", f"{VIP}:7000")

SERVICES = f"""
[efw]
default = "accept"

[elb.health]
interval = 0.3
timeout = 30

[[elb.service]]
address = "{VIP}"
port = 7000
protocol = "tcp"
health = {{ type = "tcp" }}
backends = [ {{ address = "10.0.11.2", port = 7001, weight = 3 }},
             {{ address = "10.0.12.2", port = 7001 }} ]

[[elb.service]]
address = "{VIP}"
port = 7100
protocol = "tcp"
backends = [ {{ address = "10.0.11.2", port = 7999 }} ]

[[elb.service]]
address = "{VIP}"
port = 7200
protocol = "tcp"
backends = [ {{ address = "10.0.11.99", port = 7001 }},
             {{ address = "10.0.12.2", port = 7001, weight = 0 }} ]
"""

# Opens a connection, says something, and ends it by a RST.
RESET = """
import socket, struct, sys
s = socket.create_connection((sys.argv[1], 7000))
s.sendall(b"hello\\n")
s.recv(100)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""


class ElbOperatorTest(TalkCase):
    def setUp(self):
        super().setUp()
        for server in self.lab.servers:
            self.ends(server, "serve", server.name, "7001")
        self.lab.write_config(CONFIG + SERVICES)
        self.lab.start_daemon()
        self.wait_for(lambda: self.backend(7000, 0)["state"] == "up" and
                      self.backend(7000, 1)["state"] == "up")

    def backend(self, port, number):
        for service in self.lab.evnf_json("elb", "stats")["service"]:
            if service["port"] == port:
                return service["backends"][number]

    def test_what_is_counted(self):
        say = self.talker()
        self.assertNotIn("failed", say("open", "1-40", VIP, 7000))
        counts = [self.backend(7000, i) for i in (0, 1)]
        self.assertEqual(sum(b["connections"] for b in counts), 40)
        self.assertEqual(sum(b["established"] for b in counts), 40)
        self.assertEqual([b["slots"] for b in counts], [3072, 1024])
        for b in counts:
            self.assertEqual(b["resets"], {"by_client": 0, "by_backend": 0})
            self.assertEqual(b["moved"], 0)
            self.assertTrue(b["last"]["good"])
            self.assertGreater(b["since"], 0)
        self.wait_for(lambda: sum(self.backend(7000, i)["active"] for i in (0, 1)) == 40)

        self.lab.client.run("python3", "-c", RESET, VIP)
        self.wait_until_equal(lambda: sum(self.backend(7000, i)["resets"]["by_client"]
                                          for i in (0, 1)), 1)
        self.wait_for(lambda: sum(self.backend(7000, i)["active"] for i in (0, 1)) == 40)
        self.assertIn("refused", say("open", 50, VIP, 7100))
        self.assertEqual(self.backend(7100, 0)["resets"], {"by_client": 0, "by_backend": 1})
        metrics = self.lab.run(["curl", "-s", "--unix-socket",
                                self.lab.dir / f"run/{self.lab.name}.sock",
                                "http://evnf/metrics"]).stdout
        self.assertIn(f'evnf_elb_backend_resets_total{{instance="elb",service="tcp {VIP}:7100",'
                      'backend="10.0.11.2:7999"} 1\n', metrics)

        text = self.lab.evnf("elb", "stats").stdout.splitlines()
        self.assertEqual(text[3].split()[:6], ["tcp", f"{VIP}:7000", "all", "41", "41", "40"])
        self.assertEqual(self.lab.evnf("elb", "service", "list").stdout.splitlines()[1].split()[:6],
                         ["tcp", f"{VIP}:7000", "nat", "2", "2", "41"])

    def test_without_a_chain(self):
        self.lab.evnf("chain", "set", "in", "in(cli0) -> out")
        self.lab.evnf("chain", "set", "back", "in(srv1, srv2) -> out")
        for verb in (("service", "list"), ("backend", "list"), ("stats",)):
            self.assertIn(f"tcp {VIP}:7000", self.lab.evnf("elb", *verb).stdout)

    def test_a_connection_that_moves_while_it_opens(self):
        # Its neighbour is known, but does not listen: else the kernel would tell the client, within
        # seconds, that there is no such host.
        self.lab.vnf.run("ip", "neigh", "add", "10.0.11.99", "lladdr", "02:00:00:00:00:99", "dev",
                         "srv1")
        waiting = self.piped(self.lab.client, "talk")
        waiting.stdin.write(f"open 1 {VIP} 7200\n")
        waiting.stdin.flush()
        self.wait_for(lambda: self.backend(7200, 0)["connections"] == 1)
        for backend, weight in (("10.0.12.2:7001", 1), ("10.0.11.99:7001", 0)):
            self.lab.evnf("elb", "backend", "set", "tcp", f"{VIP}:7200", backend, "weight", weight)
        self.assertEqual(waiting.stdout.readline().strip(), "1 server2")
        self.assertEqual([self.backend(7200, i)["moved"] for i in (0, 1)], [0, 1])

    def test_one_connection(self):
        say = self.talker()
        answer = say("open", 1, VIP, 7000, 12345)
        one = self.lab.evnf_json("elb", "conn", "show", "10.0.1.2:12345")
        self.assertEqual(len(one), 1)
        self.assertEqual(one[0]["backend"], ONE if answer == "1 server1" else TWO)
        self.assertIn("state: established\n", self.lab.evnf("elb", "conn", "show",
                                                             "10.0.1.2:12345").stdout)
        none = self.lab.evnf("elb", "conn", "show", "10.0.1.2:12346", check=False)
        self.assertEqual(none.stderr, "evnf: 10.0.1.2:12346 has no established connection\n")

    def test_settings(self):
        def table(name, service=None, backend=None):
            level = self.lab.api("/v1/config")["elb"]
            if service is not None:
                level = level["service"][service]
            if backend is not None:
                level = level["backends"][backend]
            return level.get(name)

        def change(*words, check=True):
            return self.lab.evnf("elb", *words, check=check)

        change("health", "set", "fall=5", "rise=1")
        self.assertEqual(table("health"), {"interval": 0.3, "timeout": 30, "fall": 5, "rise": 1})
        change("health", "set", *SERVICE, "type=http", "status=[200, 204]", "port=80")
        self.assertEqual(table("health", 0), {"type": "http", "status": [200, 204], "port": 80})
        self.wait_for(lambda: "status 200" in self.backend(7000, 0)["last"]["text"])
        change("health", "set", *SERVICE, "port=", "type=tcp", "status=")
        self.assertEqual(table("health", 0), {"type": "tcp"})
        change("feedback", "set", *SERVICE, ONE, "interval=7", 'indices=[{"preset": "cpu"}]')
        self.assertEqual(table("feedback", 0, 0), {"interval": 7, "indices": [{"preset": "cpu"}]})
        out = change("feedback", "clear", *SERVICE, ONE).stdout
        self.assertEqual(out, f"feedback of tcp {VIP}:7000 -> {ONE}: {{}}\n")
        self.assertIsNone(table("feedback", 0, 0))
        change("timeouts", "set", "udp=40")
        change("timeouts", "set", *SERVICE, "fin_wait=30")
        self.assertEqual(table("timeouts"), {"udp": 40})
        shown = self.lab.evnf_json("elb", "timeouts", "show")
        self.assertEqual([(s["service"], s["timeouts"]["udp"], s["timeouts"]["fin_wait"])
                          for s in shown], [("all", 40, 240), (f"tcp {VIP}:7000", 40, 30)])
        before = json.dumps(self.lab.api("/v1/config"))
        for words, why in (
                (("timeouts", "set", "udp=0"), "udp is a number from 1 to 2678400"),
                (("timeouts", "set", *SERVICE, "opening=9"), "[elb.timeouts]"),
                (("timeouts", "set", *SERVICE, ONE, "udp=9"), "its service's"),
                (("health", "set", *SERVICE, "fal=5"), "'fal' is not a key of health"),
                (("health", "set", *SERVICE), "KEY=VALUE"),
                (("health", "set", "fall=5", *SERVICE), "KEY=VALUE"),
                (("health", "set", "tcp", "fall=5"), "PROTOCOL SERVICE"),
                (("health", "set", "tcp", f"{VIP}:1", "fall=5"), "no service"),
                (("health", "clear", *SERVICE, "10.0.0.1:1"), "no backend"),
                (("health", "set", *SERVICE, "fall=many"), "fall")):
            refused = change(*words, check=False)
            self.assertNotEqual(refused.returncode, 0, words)
            self.assertIn(why, refused.stderr)
        self.assertEqual(json.dumps(self.lab.api("/v1/config")), before)


if __name__ == "__main__":
    main()
