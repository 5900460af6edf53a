#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""elb with direct server return: real nginx on hosts that have the service's address on lo, and
answer the client past elb."""
import hashlib
import os
from pathlib import Path

import elb_ends
from case import LabCase, main
from lab import VIP, VIP6

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

CHAIN = """\
[[chain]]
name = "in"
path = "in(cli0) -> elb -> out"

[[chain]]
name = "servers"
path = "in(srv1, srv2) -> out"
"""


def services(first=1, second=1, net="10.0.{}.2", net6="fd00:{}::2"):
    out = ""
    for address, at, port, protocol in ((VIP, net, 8090, "tcp"), (VIP6, net6, 8090, "tcp"),
                                        (VIP, net, 7001, "udp"), (VIP6, net6, 7001, "udp")):
        out += (f'\n[[elb.service]]\naddress = "{address}"\nport = {port}\n'
                f'protocol = "{protocol}"\nforward = "direct"\nbackends = [ '
                f'{{ address = "{at.format(11)}", weight = {first} }}, '
                f'{{ address = "{at.format(12)}", weight = {second} }} ]\n')
    return CHAIN + out


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
        self.lab.run(["ip", "link", "add", "direct", "netns", server.netns, "type", "veth",
                      "peer", "name", server.name, "netns", self.lab.client.netns])
        for at, interface, last in ((server, "direct", 2), (self.lab.client, server.name, 1)):
            at.run("ip", "addr", "add", f"10.0.{net}.{last}/24", "dev", interface)
            at.run("ip", "addr", "add", f"fd00:{net}::{last}/64", "dev", interface, "nodad")
            at.run("ip", "link", "set", interface, "up")
        server.run("ip", "route", "add", "10.0.1.0/24", "via", f"10.0.{net}.1")
        server.run("ip", "-6", "route", "add", "fd00:1::/64", "via", f"fd00:{net}::1")
        server.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1",
                   "net.ipv4.conf.all.arp_announce=2")
        server.run("ip", "addr", "add", f"{VIP}/32", "dev", "lo")
        server.run("ip", "addr", "add", f"{VIP6}/128", "dev", "lo", "nodad")
        conf = self.lab.dir / f"{server.name}-direct.conf"
        conf.write_text(NGINX.format(dir=self.lab.dir, name=server.name))
        server.run("nginx", "-c", conf)
        server.start("python3", ENDS, "serve_udp", server.name, "7001", log="ends.log")
        server.run("sh", "-c", "until ss -Hlun sport = :7001 | grep -q .; do sleep 0.05; done",
                   timeout=20)

    def begin(self, text):
        self.lab.write_config(text)
        self.lab.start_daemon()

    def apply(self, text, check=True):
        other = self.lab.dir / "other.toml"
        other.write_text(text)
        return self.lab.evnf("apply", other, check=check)

    def names(self, address, times):
        return [self.curl(f"http://{address}:8090/name", "--retry", "3") for _ in range(times)]

    def counted(self, way):
        return sum(b[way]["packets"] for s in self.lab.api("/v1/elb")["service"]
                   for b in s["backends"])

    def test_downloads_go_past_the_balancer(self):
        self.begin(services())
        for address in (VIP, f"[{VIP6}]"):
            self.assertEqual(set(self.names(address, 30)), {"server1", "server2"})
            before = [self.lab.vnf.link(port)[0] for port in ("srv1", "srv2")]
            out = self.lab.client.run("sh", "-c", f"curl -s -m 60 http://{address}:8090/big | "
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
                                    "do sleep 0.05; done", timeout=20)
            self.assertNotIn("mtu", self.lab.servers[1].run(*known).stdout)

    def test_a_backend_behind_a_router_is_refused(self):
        self.begin(services())
        self.lab.vnf.run("ip", "route", "add", "10.9.11.2", "via", "10.0.11.2")
        done = self.apply(services(net="10.9.{}.2"), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"backend 10.9.11.2 of service tcp {VIP}:8090 is behind the router 10.0.11.2, "
                      'and forward = "direct" needs its MAC', done.stderr)
        # Routes that change later make it get nothing, and the answers are its own.
        self.lab.vnf.run("ip", "route", "add", "10.0.12.2", "via", "10.0.11.2")
        self.lab.vnf.run("ip", "route", "add", "10.0.11.2", "via", "10.0.12.2")

        def dropped():
            self.lab.client.run("curl", "-s", "-m", "1", f"http://{VIP}:8090/name", check=False)
            return self.reason("in", "out", "via") > 0
        self.wait_for(dropped)


if __name__ == "__main__":
    main()
