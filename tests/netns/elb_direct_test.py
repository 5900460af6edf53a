#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""elb with direct server return: real nginx on hosts that have the service's address on lo, and
answer the client past elb."""
import hashlib
import os
from pathlib import Path

import elb_ends
from case import LabCase, main
from elb_case import IN, give_way_past, listens, service
from lab import PATIENCE, VIP, VIP6, LabError

ENDS = Path(elb_ends.__file__).resolve()
MEGABYTES = 100

NGINX = """\
pid {dir}/{name}-direct.pid; error_log {dir}/{name}.err; daemon on; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; types {{ }} default_type text/plain;
  server {{ listen 8090; listen [::]:8090;
            location /name {{ return 200 "{name}\\n"; }}
            location / {{ root {dir}/files; }} }}
}}
"""

CHAIN = IN + """
[[chain]]
name = "servers"
path = "in(srv1, srv2) -> out"
"""


def services(first=1, second=1, net="10.0.{}.2", net6="fd00:{}::2", chain=CHAIN):
    return chain + "".join(
        service(address, port, protocol,
                [(at.format(11), port, first), (at.format(12), port, second)],
                'forward = "direct"')
        for address, at, port, protocol in ((VIP, net, 8090, "tcp"), (VIP6, net6, 8090, "tcp"),
                                            (VIP, net, 7001, "udp"), (VIP6, net6, 7001, "udp")))


class ElbDirectTest(LabCase):
    def setUp(self):
        super().setUp()
        files = self.lab.dir / "files"
        files.mkdir()
        self.lab.dir.chmod(0o755)  # nginx's worker is nobody
        with open(files / "big", "wb") as out:
            whole = hashlib.sha256()
            for _ in range(MEGABYTES):
                block = os.urandom(1 << 20)
                whole.update(block)
                out.write(block)
        self.digest = whole.hexdigest()
        for server, net in zip(self.lab.servers, (61, 62)):
            self.prepare(server, net)

    def prepare(self, server, net):
        """The service's address, which nobody hears of, and a way of its own to the client."""
        give_way_past(self.lab, server, net)
        server.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1",
                   "net.ipv4.conf.all.arp_announce=2")
        server.run("ip", "addr", "add", f"{VIP}/32", "dev", "lo")
        server.run("ip", "addr", "add", f"{VIP6}/128", "dev", "lo", "nodad")
        conf = self.lab.dir / f"{server.name}-direct.conf"
        conf.write_text(NGINX.format(dir=self.lab.dir, name=server.name))
        server.run("nginx", "-c", conf)
        server.start("python3", ENDS, "serve_udp", server.name, "7001", log="ends.log")
        listens(server, 7001, "u")

    def begin(self, text):
        self.lab.write_config(text)
        self.lab.start_daemon()

    def apply(self, text, check=True):
        other = self.lab.dir / "other.toml"
        other.write_text(text)
        return self.lab.evnf("apply", other, check=check)

    def names(self, address, times):
        return [self.curl(f"http://{address}:8090/name") for _ in range(times)]

    def counted(self, way):
        return sum(b[way]["packets"] for s in self.lab.api("/v1/elb")["service"]
                   for b in s["backends"])

    def test_downloads_go_past_the_balancer(self):
        self.begin(services())
        for address in (VIP, f"[{VIP6}]"):
            self.assertEqual(set(self.names(address, 30)), {"server1", "server2"})
            before = [self.lab.vnf.link(port)[0] for port in ("srv1", "srv2")]
            out = self.lab.client.run("sh", "-c", f"curl -s -m {PATIENCE} http://{address}:8090/big | "
                                      "sha256sum").stdout
            self.assertEqual(out.split()[0], self.digest)
            after = [self.lab.vnf.link(port)[0] for port in ("srv1", "srv2")]
            # A frame carries 64 kB at most: the answers would be 1600 or more. Neighbours talk.
            self.assertLess(sum(after) - sum(before), 400)
        self.assertGreater(self.counted("to_backend"), 300)
        self.assertEqual(self.counted("to_client"), 0)
        self.assertEqual(self.reason("in", "elb", "to_client"), 0)

    def test_weights_and_restart(self):
        self.begin(services(1, 0))
        self.assertEqual(set(self.names(VIP, 10)), {"server1"})
        self.apply(services(0, 1))
        for address in (VIP, f"[{VIP6}]"):
            self.assertEqual(set(self.names(address, 10)), {"server2"})
        self.lab.kill_daemon()
        self.assertEqual(set(self.names(VIP, 10)), {"server2"})
        self.lab.start_daemon()
        self.assertEqual(set(self.names(VIP, 10)), {"server2"})

    def test_errors_about_answers_reach_who_sent_them(self):
        self.begin(services(1, 0))
        for address in (VIP, VIP6):
            self.lab.client.run("python3", ENDS, "datagram", address, 7001, 5000)
        self.apply(services(0, 1))  # not of what is under way
        for address, client in ((VIP, "10.0.1.2"), (VIP6, "fd00:1::2")):
            self.lab.client.run("python3", ENDS, "too_big", address, 7001, client, 5000, 1300)
            known = ("ip", "route", "get", client, "from", address)
            self.lab.servers[0].run("sh", "-c", f"until {' '.join(known)} | grep -q 'mtu 1300'; "
                                    "do sleep 0.05; done", timeout=PATIENCE)
            self.assertNotIn("mtu", self.lab.servers[1].run(*known).stdout)

    def warned(self):
        return "\n".join(self.lab.evnf_json("status")["warnings"])

    def refused(self, text, address, reason):
        """By file and place, before anything is changed."""
        at = text.index(f'"{address}"')
        line, column = text[:at].count("\n") + 1, at - text.rfind("\n", 0, at)
        path = self.lab.dir / "other.toml"
        path.write_text(text)
        for verb in (("apply",), ("apply", "--dry-run"), ("chain", "check")):
            done = self.lab.evnf(*verb, path, check=False)
            self.assertEqual(done.returncode, 2)
            place = f"evnf: {path}:{line}:{column}: "
            said = f"backend {address} of service tcp {VIP}:8090 is {reason}"
            self.assertTrue(done.stderr.startswith(place + said), done.stderr)

    def test_a_backend_that_no_mac_reaches_is_refused(self):
        self.begin(services())
        before = self.lab.api("/v1/config")
        self.lab.vnf.run("ip", "route", "add", "10.9.11.2", "via", "10.0.11.2")
        self.refused(services(net="10.9.{}.2"), "10.9.11.2",
                     "behind the router 10.0.11.2, and forward = \"direct\" needs its MAC: ")
        self.refused(services(net="10.0.{}.1"), "10.0.11.1",
                     "not on a network of this host, and ")
        # By a verb, too.
        done = self.lab.evnf("elb", "backend", "add", "tcp", f"{VIP}:8090", "10.9.11.2",
                             check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("is behind the router 10.0.11.2", done.stderr)
        self.assertEqual(self.lab.api("/v1/config"), before)
        # One without a route may get one; until then it is warned of.
        self.apply(services(net="10.8.{}.2"))
        self.assertIn(f"backend 10.8.11.2 of service tcp {VIP}:8090 has no route now",
                      self.warned())

    def test_an_interface_without_a_chain_is_refused(self):
        text = services(chain=IN)
        self.lab.write_config(text)
        with self.assertRaises(LabError) as refused:
            self.lab.start_daemon()
        reason = ('at srv1, which no chain has, and forward = "direct" sends only by those that '
                  'one has: add a chain for it, such as path = "in(srv1) -> out"')
        self.assertIn(f"{self.lab.config}:10:26: backend 10.0.11.2 of service tcp {VIP}:8090 is "
                      f"{reason}", str(refused.exception))
        self.begin(services())
        self.refused(text, "10.0.11.2", reason)
        done = self.lab.evnf("chain", "del", "servers", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(reason, done.stderr)
        self.assertEqual(set(self.names(VIP, 30)), {"server1", "server2"})

    def test_routes_that_change(self):
        self.begin(services())
        self.assertEqual(self.warned(), "")
        for one, other in ((11, 12), (12, 11)):
            self.lab.vnf.run("ip", "route", "add", f"10.0.{one}.2", "via", f"10.0.{other}.2")

        def dropped():
            self.lab.client.run("curl", "-s", "-m", "1", f"http://{VIP}:8090/name", check=False)
            return self.reason("in", "out", "via") > 0
        self.wait_for(dropped)
        self.assertIn(f"backend 10.0.11.2 of service tcp {VIP}:8090 is behind the router 10.0.12.2",
                      self.warned())
        # That stops neither another change nor a restart.
        self.apply(services(2, 1))
        self.lab.evnf("chain", "set", "servers", "in(srv1) -> out; in(srv2) -> out")
        self.lab.kill_daemon()
        self.lab.start_daemon()
        for one in (11, 12):
            self.lab.vnf.run("ip", "route", "del", f"10.0.{one}.2")
        self.wait_for(lambda: self.curl(f"http://{VIP}:8090/name"))
        self.assertEqual(self.warned(), "")


if __name__ == "__main__":
    main()
