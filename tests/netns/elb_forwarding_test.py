#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""elb in front of servers that know no way to its clients, by source NAT, or that answer them by
another way, through tunnels: real TCP and UDP."""
import elb_ends
from case import main
from elb_case import CHAINS, IN, give_way_past, listens, service
from elb_talk import ENDS, TalkCase
from lab import PATIENCE, VIP, VIP6

SOURCE, SOURCE6 = "10.0.77.5", "fd00:77::5"  # what servers know a way to


def source_nat(ports="1024-32767", first=1, second=1):
    at = [("10.0.11.2", 7001, first), ("10.0.12.2", 7001, second)]
    at6 = [("fd00:11::2", 7001, first), ("fd00:12::2", 7001, second)]
    how = f'forward = "source_nat"\nsource_ports = "{ports}"\nsources = '
    return (service(VIP, 7000, "tcp", at, f'{how}["{SOURCE}"]') +
            service(VIP6, 7000, "tcp", at6, f'{how}["{SOURCE6}"]') +
            service(VIP, 53, "udp", at, f'{how}["{SOURCE}"]'))


def tunnels(first=1, second=1):
    def to(address, port, protocol, net, source):
        at = [(net.format(11), port, first), (net.format(12), port, second)]
        return service(address, port, protocol, at, f'forward = "tunnel"\nsources = ["{source}"]')
    return (to(VIP, 7001, "tcp", "10.0.{}.2", "10.0.11.1") +
            to(VIP6, 7001, "tcp", "fd00:{}::2", "fd00:11::1") +
            to(VIP, 80, "tcp", "10.0.{}.2", "10.0.11.1"))


class ElbForwardingTest(TalkCase):
    def begin(self, services):
        for server, net in zip(self.lab.servers, (11, 12)):
            server.run("ip", "route", "del", "default")
            server.run("ip", "-6", "route", "del", "default")
            server.run("ip", "route", "add", SOURCE, "via", f"10.0.{net}.1")
            server.run("ip", "-6", "route", "add", SOURCE6, "via", f"fd00:{net}::1")
            for what in ("serve", "serve_udp"):
                server.start("python3", ENDS, what, server.name, "7001", log="ends.log")
        # The host's own: it answers for what is no connection's.
        self.lab.vnf.run("ip", "addr", "add", f"{SOURCE}/32", "dev", "lo")
        self.lab.vnf.run("ip", "addr", "add", f"{SOURCE6}/128", "dev", "lo", "nodad")
        self.lab.write_config(CHAINS + services)
        self.lab.start_daemon()
        for server in self.lab.servers:
            listens(server, 7001, "t", "u")

    def apply(self, services):
        other = self.lab.dir / "other.toml"
        other.write_text(CHAINS + services)
        self.lab.evnf("apply", other)

    def peers(self):
        """Whom the servers take for their clients."""
        out = set()
        for server in self.lab.servers:
            for line in server.run("ss", "-Htn", "state", "established",
                                   "sport = :7001").stdout.splitlines():
                out.add(line.split()[3].rsplit(":", 1)[0].strip("[]").removeprefix("::ffff:"))
        return out

    def test_source_nat(self):
        self.begin(source_nat())
        say = self.talker()
        for address, source, first in ((VIP, SOURCE, 1), (VIP6, SOURCE6, 101)):
            self.assertRegex(say("open", f"{first}-{first + 39}", address, 7000),
                             r"^\d+ server1, \d+ server2$")
            self.assertIn(source, self.peers())
        self.assertEqual(self.peers(), {SOURCE, SOURCE6})
        rows = self.lab.evnf_json("elb", "conn", "list", "--client", "10.0.1.2")
        self.assertEqual(len(rows), 40)
        # A port is one connection's for each backend: two of different ones may have the same.
        self.assertEqual(len({(row["source"], row["backend"]) for row in rows}), 40)
        self.assertEqual({row["source"].rsplit(":", 1)[0] for row in rows}, {SOURCE})
        # Established ones stay, with port and backend, whatever is changed.
        before = say("ask", "1-40")
        self.apply(source_nat("40000-41000", 0, 1))
        self.assertEqual(say("ask", "1-40"), before)
        self.assertEqual(say("open", "201-210", VIP, 7000), "10 server2")
        self.apply(service(VIP, 7000, "tcp", [("10.0.11.2", 7001, 1)]))
        self.assertEqual(say("ask", "1-40"), before)
        self.lab.kill_daemon()
        self.lab.start_daemon()
        self.assertEqual(say("ask", "1-40"), before)

    def test_download_and_udp(self):
        self.begin(source_nat())
        for address in (VIP, VIP6):
            process = self.piped(self.lab.client, "download", address, 7000, 20, 0)
            self.assertIn(process.stdout.readline().strip(), ("server1", "server2"))
            out, errors = process.communicate("end\n", timeout=PATIENCE)
            self.assertEqual(process.returncode, 0, errors)
            size, digest = out.split()
            self.assertEqual(digest, elb_ends.digest(int(size) // elb_ends.BLOCK))
        out = self.lab.client.run("python3", ENDS, "query", VIP, 53, 500, "10.0.1.2").stdout
        self.assertEqual(out.split(), ["500", "0"])

    def test_no_ports_left(self):
        self.begin(source_nat("2000-2004", 1, 0))
        say = self.talker()
        self.assertEqual(say("open", "1-3", VIP, 7000), "3 server1")
        for i in range(10, 16):  # more than the ports
            process = self.piped(self.lab.client, "talk")
            process.stdin.write(f"open {i} {VIP} 7000\n")
            process.stdin.flush()
        self.wait_for(lambda: self.reason("in", "elb", "sources_taken") > 0)
        self.assertEqual(say("ask", "1-3"), "3 server1")

    def directly(self, server, net):
        """A way from a server to the client, and ends of tunnels on it."""
        give_way_past(self.lab, server, net)
        if server.run("ip", "link", "add", "t4", "type", "ipip", "local", f"10.0.{net - 50}.2",
                      check=False).returncode:
            self.skipTest("this kernel has no ipip: no backend can take packets out of a tunnel")
        made = server.run("ip", "link", "add", "t6", "type", "ip6tnl", "mode", "ip6ip6", "local",
                          f"fd00:{net - 50}::2", "encaplimit", "none", check=False)
        self.vips = [VIP, VIP6] if made.returncode == 0 else [VIP]
        if made.returncode:
            print(f"without IPv6, ip6tnl: {made.stderr.strip()}")
        for interface in ("t4", "t6")[:len(self.vips)]:
            server.run("ip", "link", "set", interface, "up")
            server.run("sysctl", "-qw", f"net.ipv4.conf.{interface}.rp_filter=0")
        server.run("ip", "addr", "add", f"{VIP}/32", "dev", "lo")
        server.run("ip", "addr", "add", f"{VIP6}/128", "dev", "lo", "nodad")

    def begin_tunnels(self, services):
        for server, net in zip(self.lab.servers, (61, 62)):
            self.directly(server, net)
            server.start("python3", ENDS, "serve", server.name, "7001", log="ends.log")
        self.lab.write_config(IN + services)
        self.lab.start_daemon()
        for server in self.lab.servers:
            listens(server, 7001, "t")

    def test_tunnels(self):
        self.begin_tunnels(tunnels())
        say = self.talker()
        for i, address in enumerate(self.vips):
            self.assertRegex(say("open", f"{100 * i + 1}-{100 * i + 40}", address, 7001),
                             r"^\d+ server1, \d+ server2$")
        self.assertEqual({self.curl(f"http://{VIP}/") for _ in range(30)}, {"server1", "server2"})
        def ask():
            return [say("ask", f"{100 * i + 1}-{100 * i + 40}") for i in range(len(self.vips))]
        before = ask()
        other = self.lab.dir / "other.toml"
        other.write_text(IN + tunnels(0, 1))
        self.lab.evnf("apply", other)
        self.assertEqual(ask(), before)
        self.assertEqual(say("open", "201-210", VIP, 7001), "10 server2")
        self.lab.kill_daemon()
        self.lab.start_daemon()
        self.assertEqual(ask(), before)
        # The answers have not come this way.
        backends = [b for s in self.lab.api("/v1/elb")["service"] for b in s["backends"]]
        self.assertEqual(sum(b["to_client"]["packets"] for b in backends), 0)
        self.assertGreater(sum(b["to_backend"]["packets"] for b in backends), 200)

    def test_clients_find_the_mtu_of_tunnels(self):
        self.begin_tunnels(tunnels(1, 0))
        self.lab.client.run("sysctl", "-qw", "net.ipv4.tcp_mtu_probing=0")
        for address, mtu in zip(self.vips, (1480, 1460)):
            known = ("ip", "-6" if ":" in address else "-4", "route", "get", address)
            self.assertNotIn("mtu", self.lab.client.run(*known).stdout)
            said = self.lab.client.run("python3", ENDS, "echo", address, 7001, 300000).stdout
            self.assertEqual(said.strip(), "server1")
            self.assertIn(f"mtu {mtu}", self.lab.client.run(*known).stdout)
        self.assertGreater(self.reason("in", "elb", "to_client"), 0)

    def test_without_it_they_do_not_answer(self):
        self.begin(service(VIP, 7000, "tcp", [("10.0.11.2", 7001, 1)]))
        done = self.lab.client.run("curl", "-s", "-m", "1", f"http://{VIP}:7000/", check=False)
        self.assertEqual(done.returncode, 28)  # timed out


if __name__ == "__main__":
    main()
