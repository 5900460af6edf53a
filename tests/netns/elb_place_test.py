#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which server a new connection gets: its client's, or that with the fewest connections."""
from case import main
from elb_case import CHAINS, listens, service
from elb_talk import TalkCase
from lab import VIP

ONE, TWO = "10.0.11.2:7001", "10.0.12.2:7001"

BOTH = [("10.0.11.2", 7001), ("10.0.12.2", 7001)]
SOURCE, LEAST = ("tcp", f"{VIP}:7000"), ("tcp", f"{VIP}:7100")


class ElbPlaceTest(TalkCase):
    def setUp(self):
        super().setUp()
        for server in self.lab.servers:
            self.ends(server, "serve", server.name, "7001")
        self.lab.write_config(CHAINS + service(VIP, 7000, "tcp", BOTH, 'affinity = "source"') +
                              service(VIP, 7100, "tcp", BOTH, 'balance = "least_connections"'))
        self.lab.start_daemon()
        self.wait_for(lambda: self.curl("http://10.0.11.2/") == "server1"
                      and self.curl("http://10.0.12.2/") == "server2")
        for server in self.lab.servers:
            listens(server, 7001, "t")

    def shown(self, port, key):
        for s in self.lab.evnf_json("elb", "stats")["service"]:
            if s["port"] == port:
                return [b[key] for b in s["backends"]]

    @staticmethod
    def server(answer):
        return answer.removeprefix("1 ")

    def restart_daemon(self):
        self.lab.stop_daemon()
        self.lab.start_daemon()

    def weigh(self, service, one, two):
        for backend, weight in ((ONE, one), (TWO, two)):
            self.lab.evnf("elb", "backend", "set", *service, backend, "weight", weight)

    def test_a_client_stays_where_it_is(self):
        say = self.talker()
        first = self.server(say("open", 1, VIP, 7000))
        self.assertIn(first, ("server1", "server2"))
        mine, other = (ONE, TWO) if first == "server1" else (TWO, ONE)

        def where(n):
            return {self.server(say("open", i, VIP, 7000)) for i in range(n, n + 8)}
        self.assertEqual(where(10), {first})
        # The hash would send it to the other now.
        self.lab.evnf("elb", "backend", "set", *SOURCE, other, "weight", 1000)
        self.assertEqual(where(20), {first})
        self.restart_daemon()
        self.assertEqual(where(30), {first})
        self.lab.evnf("elb", "backend", "drain", *SOURCE, mine)
        drained = self.shown(7000, "state")
        self.assertIn("draining", drained)
        self.wait_for(lambda: 0 in self.shown(7000, "slots"))
        moved = where(40)
        self.assertEqual(moved, {"server1", "server2"} - {first})
        self.lab.evnf("elb", "backend", "undrain", *SOURCE, mine)
        self.wait_for(lambda: 0 not in self.shown(7000, "slots"))
        self.assertEqual(where(50), moved)
        followed = sum(a["followed"] for a in self.shown(7000, "affinity"))
        self.assertGreaterEqual(followed, 24)
        self.assertEqual([a["not_kept"] for a in self.shown(7000, "affinity")], [0, 0])
        out = self.lab.evnf("elb", "service", "set", *SOURCE, "affinity_timeout=60").stdout
        self.assertEqual(out, f"service tcp {VIP}:7000: affinity=source affinity_timeout=60\n")
        refused = self.lab.evnf("elb", "service", "set", *SOURCE, "affinity=cookie", check=False)
        self.assertIn("is not an affinity: none or source", refused.stderr)

    def test_who_has_fewer_gets_the_next(self):
        self.weigh(LEAST, 1, 0)
        say = self.talker()
        self.assertNotIn("failed", say("open", "1-48", VIP, 7100))
        self.assertEqual(self.shown(7100, "active"), [48, 0])
        self.weigh(LEAST, 1, 1)
        self.restart_daemon()  # which does not forget what each has
        self.assertEqual(self.shown(7100, "active"), [48, 0])
        self.assertNotIn("failed", say("open", "61-100", VIP, 7100))
        # One slot in 32 finds no other backend's beside it: fewer than 30 of 40 are one in 10^7
        # runs. With no regard it would be 20.
        self.assertGreaterEqual(self.shown(7100, "active")[1], 30)


if __name__ == "__main__":
    main()
