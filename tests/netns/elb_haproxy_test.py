#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""elb in front of HAProxy on the same host: what is plain TCP goes through XDP, the rest and
what was open before stays with HAProxy, and all goes back to it when elb goes."""
import json

from case import main
from elb_case import ACCEPTED
from elb_talk import TalkCase
from lab import CONFIG, VIP

HAPROXY = f"""\
defaults
    timeout connect 2s
    timeout client 1m
    timeout server 1m

frontend web
    mode http
    bind {VIP}:80
    http-response set-header X-Balanced-By haproxy
    acl second path_beg /second
    use_backend second if second
    default_backend first
backend first
    mode http
    server s1 10.0.11.2:80
backend second
    mode http
    server s2 10.0.12.2:80

listen plain
    bind {VIP}:7000
    server s1 10.0.11.2:7001 weight 10 check inter 300ms
    server s2 10.0.12.2:7001 weight 10 check inter 300ms

listen pages
    bind {VIP}:7080
    server s1 10.0.11.2:8080
"""


class ElbHaproxyTest(TalkCase):
    def setUp(self):
        super().setUp()
        lab = self.lab
        lab.vnf.run("ip", "addr", "add", f"{VIP}/32", "dev", "lo")
        self.cfg = lab.dir / "haproxy.cfg"
        self.cfg.write_text(HAPROXY)
        for server in lab.servers:
            self.ends(server, "serve", server.name, "7001")
        lab.vnf.start("haproxy", "-db", "-f", self.cfg, log="haproxy.log")
        lab.write_config(CONFIG + ACCEPTED)
        lab.start_daemon()
        self.wait_for(lambda: self.curl(f"http://{VIP}/") == "server1")
        say = self.talker()
        self.wait_for(lambda: "failed" not in say("open", "1-4", VIP, 7000))
        say("close", "1-4")

    def has_sockets(self, state, port=7000):
        """How many connections of clients this host itself has at a port of the service."""
        return len(self.lab.vnf.run("ss", "-Htn", "state", state, "sport", "=",
                                    f":{port}").stdout.splitlines())

    def placed(self):
        return sum(b["connections"] for s in self.lab.evnf_json("elb", "backend", "list")["service"]
                   for b in s["backends"])

    def import_it(self, *more):
        return json.loads(self.lab.evnf("--json", "elb", "import", self.cfg, *more).stdout)

    def test_haproxy_keeps_what_only_it_can(self):
        say = self.talker()
        self.assertNotIn("failed", say("open", "1-50", VIP, 7000))
        self.assertEqual(self.has_sockets("established"), 50)
        before = say("ask", "1-50")

        out = self.import_it("--apply")
        self.assertEqual(out["added"], [f"tcp {VIP}:7000", f"tcp {VIP}:7080"])
        self.assertEqual([(f["line"], f["proxy"]) for f in out["left"]], [(7, "frontend web")])
        self.assertEqual(self.import_it("--apply")["kept"], 2)

        # Connections that HAProxy has, it goes on having; new ones do not meet it.
        self.assertEqual(say("ask", "1-50"), before)
        self.assertNotIn("failed", say("open", "51-100", VIP, 7000))
        self.assertNotIn("failed", say("ask", "51-100"))
        self.assertEqual(self.has_sockets("established"), 50)
        self.assertEqual(self.placed(), 50)
        # The frontend with an ACL is HAProxy's.
        for path, server in (("", "server1"), ("second", "server2")):
            answer = self.curl(f"http://{VIP}/{path}", "-i")
            self.assertIn("x-balanced-by: haproxy", answer.lower())
            self.assertIn(server, answer)
        # Connections that HAProxy has end there in order.
        self.assertEqual(say("close", "1-20"), "20 ok")
        self.wait_for(lambda: self.has_sockets("established") == 30)

        # And back: what is open with elb stays as long as it stands in the chain.
        during = say("ask", "51-100")
        self.lab.evnf("elb", "service", "del", "tcp", f"{VIP}:7000")
        self.assertNotIn("failed", say("open", "101-120", VIP, 7000))
        self.assertEqual(self.has_sockets("established"), 50)
        self.assertEqual(say("ask", "51-100"), during)
        self.assertNotIn("failed", say("ask", "21-50"))

    def test_clients_that_a_rule_leaves_to_haproxy(self):
        self.lab.client.run("ip", "addr", "add", "10.0.1.77/24", "dev", "eth0")
        self.import_it("--apply")
        self.lab.evnf("efw", "rule", "add", "ip saddr 10.0.1.77 tcp dport 7080 slow")
        url = f"http://{VIP}:7080/"
        self.assertEqual(self.curl(url, "--interface", "10.0.1.77"), "server1")
        self.assertEqual(self.placed(), 0)
        self.assertEqual(self.curl(url, "--interface", "10.0.1.2"), "server1")
        self.assertEqual(self.placed(), 1)

    def test_haproxy_is_there_when_no_server_is(self):
        """No packet is balanced while elb has nobody to send it to: the kernel has it."""
        self.import_it("--apply")
        self.lab.evnf("elb", "backend", "set", "tcp", f"{VIP}:7000", "10.0.11.2:7001", "weight", 0)
        self.lab.evnf("elb", "backend", "set", "tcp", f"{VIP}:7000", "10.0.12.2:7001", "weight", 0)
        say = self.talker()
        self.assertNotIn("failed", say("open", "1-10", VIP, 7000))
        self.assertEqual(self.has_sockets("established"), 10)

    def test_what_is_printed_can_be_applied(self):
        text = self.lab.evnf("elb", "import", self.cfg).stdout
        self.assertIn("# stays with HAProxy:\n", text)
        whole = self.lab.dir / "whole.toml"
        whole.write_text(CONFIG + ACCEPTED + text)
        self.lab.evnf("apply", whole)
        self.assertEqual(self.import_it("--apply")["kept"], 2)
        wrong = self.lab.dir / "wrong.cfg"
        wrong.write_text(HAPROXY.replace("inter 300ms", "inter 10ms"))
        refused = self.lab.evnf("elb", "import", wrong, "--apply", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("wrong.cfg:21:5: listen plain: interval", refused.stderr)


if __name__ == "__main__":
    main()
