#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""elb's connections between real TCP stacks: what floods, changes, restarts and upgrades do
to them (nothing), and that routers on the way are heard."""
import json
import time
from pathlib import Path

import elb_ends
from case import main
from elb_case import ACCEPTED, CHAINS, listens, service
from elb_talk import ENDS, TalkCase
from lab import PATIENCE, PIN_DIR, VIP, VIP6, Host

OTHER_VIP = "192.0.2.20"


def weighed(first, second, address=VIP):
    return service(address, 7000, "tcp",
                   [("10.0.11.2", 7001, first), ("10.0.12.2", 7001, second)])


class ElbConnectionsTest(TalkCase):
    def begin(self, services):
        for server in self.lab.servers:
            self.ends(server, "serve", server.name, "7001")
            self.ends(server, "serve_udp", server.name, "7001")
        self.lab.write_config(CHAINS + ACCEPTED + services)
        self.lab.start_daemon()
        self.wait_for(lambda: self.curl("http://10.0.11.2/") == "server1"
                      and self.curl("http://10.0.12.2/") == "server2")
        for server in self.lab.servers:
            listens(server, 7001, "t", "u")

    def download(self, host, address, megabytes, pause, server):
        """Begins one; what ends and checks it."""
        process = self.piped(host, "download", address, 7000, megabytes, pause)
        self.assertEqual(process.stdout.readline().strip(), server)

        def check():
            out, errors = process.communicate("end\n", timeout=PATIENCE)
            self.assertEqual(process.returncode, 0, errors)
            size, digest = out.split()
            blocks, rest = divmod(int(size), elb_ends.BLOCK)
            self.assertGreaterEqual(blocks, megabytes)
            self.assertEqual((rest, digest), (0, elb_ends.digest(blocks)))
        return check

    def apply(self, services):
        other = self.lab.dir / "other.toml"
        other.write_text(CHAINS + ACCEPTED + services)
        self.lab.evnf("apply", other)

    def test_syn_flood(self):
        self.begin(weighed(1, 0))
        # Where the answers to the flood go: to a host that does not know of it.
        self.lab.vnf.run("ip", "route", "add", "198.18.0.0/15", "via", "10.0.1.2")
        say = self.talker()
        self.assertEqual(say("open", "1-300", VIP, 7000), "300 server1")
        self.apply(weighed(0, 1))  # placed anew, they would break
        self.assertEqual(say("ask", "1-300"), "300 server1")
        count = 300000
        sent = self.reason("in", "elb", "to_backend")
        flood = self.piped(self.lab.client, "flood", "eth0", self.lab.vnf.mac("cli0"), VIP, 7000,
                           count)
        for i in range(1, 11):
            self.assertEqual(say("ask", "1-300"), "300 server1")
            self.assertEqual(say("open", 300 + i, VIP, 7000), "1 server2")
        flooded = int(flood.communicate("end\n")[0])
        self.assertGreater(self.reason("in", "elb", "to_backend") - sent, 0.9 * flooded)
        self.assertEqual(say("ask", "1-300"), "300 server1")
        self.assertEqual(say("ask", "301-310"), "10 server2")
        self.assertEqual(say("open", "2001-2100", VIP, 7000), "100 server2")
        print(f"flooded with {flooded} SYNs")

    def behind_small_mtu(self):
        """A host to which the client is a router; the link to it takes 1400 bytes."""
        client = self.lab.client
        far = self.lab.hosts["far"] = Host(self.lab, "far")
        self.lab.run(["ip", "netns", "add", far.netns])
        client.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.lab.run(["ip", "link", "add", "eth0", "netns", far.netns, "type", "veth",
                      "peer", "name", "far", "netns", client.netns])
        for at, interface, last in ((client, "far", 1), (far, "eth0", 2)):
            at.run("ip", "addr", "add", f"10.0.50.{last}/24", "dev", interface)
            at.run("ip", "addr", "add", f"fd00:50::{last}/64", "dev", interface, "nodad")
            at.run("ip", "link", "set", interface, "up")
        # Only on this side: the host offers segments for 1500.
        client.run("ip", "link", "set", "far", "mtu", "1400")
        far.run("ip", "route", "add", "default", "via", "10.0.50.1")
        far.run("ip", "-6", "route", "add", "default", "via", "fd00:50::1")
        client.run("ip", "-6", "route", "replace", "default", "via", "fd00:1::1")
        self.lab.vnf.run("ip", "route", "add", "10.0.50.0/24", "via", "10.0.1.2")
        self.lab.vnf.run("ip", "-6", "route", "add", "fd00:50::/64", "via", "fd00:1::2")
        return far

    def test_path_mtu_is_found(self):
        far = self.behind_small_mtu()
        self.begin(service(VIP, 7000, "tcp", [("10.0.11.2", 7001, 1)]) +
                   service(VIP6, 7000, "tcp", [("fd00:11::2", 7001, 1)]))
        server = self.lab.servers[0]
        server.run("sysctl", "-qw", "net.ipv4.tcp_mtu_probing=0")  # or TCP might find it itself
        for vip, address in ((VIP, "10.0.50.2"), (VIP6, "fd00:50::2")):
            known = ("ip", "-6" if ":" in address else "-4", "route", "get", address)
            self.assertNotIn("mtu", server.run(*known).stdout)
            self.download(far, vip, 20, 0, "server1")()
            self.assertIn("mtu 1400", server.run(*known).stdout)

    def test_udp(self):
        addresses = [f"10.0.1.{n}" for n in range(100, 140)]
        for address in addresses:
            self.lab.client.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        self.begin(service(VIP, 53, "udp", [("10.0.11.2", 7001, 1), ("10.0.12.2", 7001, 1)]) +
                   service(VIP, 54, "udp", [("10.0.11.2", 7009, 1)]) +
                   service(VIP6, 54, "udp", [("fd00:11::2", 7009, 1)]))
        out = self.lab.client.run("python3", ENDS, "query", VIP, 53, 900, *addresses).stdout
        self.assertEqual(out.split(), ["900", "0"])
        for vip in (VIP, VIP6):
            out = self.lab.client.run("python3", ENDS, "refused", vip, 54).stdout
            self.assertEqual(out.strip(), "Connection refused")

    def test_downloads_through_changes(self):
        self.begin(weighed(1, 0))
        tcp = ("tcp", f"{VIP}:7000")

        def reweight():
            for i in range(10):
                self.lab.evnf("elb", "backend", "set", *tcp, "10.0.12.2:7001", "weight", i)
                time.sleep(0.2)
            self.apply(weighed(0, 1))

        def remove():
            self.lab.evnf("elb", "backend", "set", *tcp, "10.0.12.2:7001", "weight", 1)
            self.lab.evnf("elb", "backend", "del", *tcp, "10.0.11.2:7001")

        def kill():
            self.lab.write_config(CHAINS + ACCEPTED + weighed(0, 1))
            for _ in range(2):
                self.lab.kill_daemon()
                time.sleep(0.3)
                self.lab.start_daemon()

        def rechain():
            self.apply(weighed(0, 1))
            for path in ("in(cli0) -> efw -> elb -> out", "in(cli0) -> elb -> out") * 2:
                self.lab.evnf("chain", "set", "in", path)
                time.sleep(0.2)

        for change in (reweight, lambda: self.apply(weighed(0, 1)), remove, kill, rechain):
            self.apply(weighed(1, 0))
            downloads = [self.download(self.lab.client, VIP, 50, 0.04, "server1")
                         for _ in range(2)]
            change()
            self.download(self.lab.client, VIP, 1, 0, "server2")()  # new ones go elsewhere
            for check in downloads:
                check()

    def test_services_that_share_backends(self):
        first = [("10.0.11.2", 7001, 1)]
        both = [*first, ("10.0.12.2", 7001, 1)]
        self.begin(service(VIP, 7000, "tcp", first) + service(OTHER_VIP, 7000, "tcp", first))
        say = self.talker()
        # One after the other, by the same port.
        for i in range(10):
            port = 20000 + i
            for address in (VIP, OTHER_VIP, VIP):
                self.assertEqual(say("open", 1, address, 7000, port), "1 server1")
                self.assertEqual(say("ask", 1), "1 server1")
                self.assertEqual(say("close", 1), "1 ok")
                port += 100 if address == VIP and i % 2 else 0
        # At once: on two backends, or the client is not answered.
        self.apply(service(VIP, 7000, "tcp", first) + service(OTHER_VIP, 7000, "tcp",
                                                             [both[1]]))
        for i in range(20):
            self.assertEqual(say("open", i, VIP, 7000, 30000 + i), "1 server1")
        self.apply(service(VIP, 7000, "tcp", both) +
                   service(OTHER_VIP, 7000, "tcp", [("10.0.11.2", 7001, 0), both[1]]))
        for i in range(20):
            self.assertEqual(say("open", 100 + i, OTHER_VIP, 7000, 30000 + i), "1 server2")
        self.assertEqual(say("ask", "0-19"), "20 server1")
        self.assertEqual(say("ask", "100-119"), "20 server2")

    def pinned(self, version):
        return Path(f"{PIN_DIR}/{self.lab.name}/abi4/maps/elb/v{version}")

    def map_entries(self, path):
        return json.loads(self.lab.run(["bpftool", "-j", "map", "dump", "pinned", path]).stdout)

    def first_layout(self, now, then):
        """As evnfd 0.1 left it: least recently used connections, without time or state."""
        self.lab.run(["bpftool", "map", "create", then / "elb_conns", "type", "lru_hash", "key",
                      40, "value", 24, "entries", 131072, "name", "elb_conns"])
        for entry in self.map_entries(now / "elb_conns"):
            address_to_rewrite, state = entry["value"][:21], entry["value"][21:24]
            self.lab.run(["bpftool", "map", "update", "pinned", then / "elb_conns", "key",
                          *entry["key"], "value", *address_to_rewrite, *state])

    def second_layout(self, now, then):
        """Before source NAT, by a daemon that had run for long: the times are by its clock."""
        later = 1_000_000
        for name, kind, key, value, size in (("elb_conns", "hash", 40, 28, 262144),
                                             ("elb_clock", "array", 4, 4, 1)):
            self.lab.run(["bpftool", "map", "create", then / name, "type", kind, "key", key,
                          "value", value, "entries", size, "name", name])
            for entry in self.map_entries(now / name):
                values = [int(byte, 16) for byte in entry["value"][:value]]
                seconds = int.from_bytes(bytes(values[-4:]), "little") + later
                values[-4:] = seconds.to_bytes(4, "little")
                self.lab.run(["bpftool", "map", "update", "pinned", then / name, "key",
                              *entry["key"], "value", *values])

    def third_layout(self, now, then):
        """With the connections that are opening in a table of another kind."""
        self.lab.run(["bpftool", "map", "create", then / "elb_conns", "type", "hash", "key", 40,
                      "value", 48, "entries", 262144, "name", "elb_conns"])
        for entry in self.map_entries(now / "elb_conns"):
            self.lab.run(["bpftool", "map", "update", "pinned", then / "elb_conns", "key",
                          *entry["key"], "value", *entry["value"]])
        self.lab.run(["bpftool", "map", "create", then / "elb_openings", "type", "lru_hash", "key",
                      40, "value", 52, "entries", 65536, "name", "elb_openings"])

    def upgrade(self, version, lay_out):
        self.begin(weighed(1, 0))
        say = self.talker()
        self.assertEqual(say("open", "1-50", VIP, 7000), "50 server1")
        self.lab.kill_daemon()
        now, then = self.pinned(4), self.pinned(version)
        self.assertEqual(len(self.map_entries(now / "elb_conns")), 100)
        then.mkdir()
        lay_out(now, then)
        for pin in now.iterdir():
            pin.unlink()
        now.rmdir()
        self.lab.write_config(CHAINS + ACCEPTED + weighed(0, 1))
        self.lab.start_daemon()
        self.assertFalse(then.exists())
        self.assertEqual(say("ask", "1-50"), "50 server1")
        self.assertEqual(say("open", "51-60", VIP, 7000), "10 server2")
        self.lab.kill_daemon()
        self.lab.start_daemon()
        self.assertEqual(say("ask", "1-50"), "50 server1")
        return say

    def test_upgrade_from_the_first_layout(self):
        self.upgrade(1, self.first_layout)

    def test_upgrade_from_the_third_layout(self):
        self.upgrade(3, self.third_layout)

    def test_upgrade_from_the_second_layout(self):
        say = self.upgrade(2, self.second_layout)
        self.assertGreaterEqual(int.from_bytes(bytes(int(byte, 16) for byte in self.map_entries(
            self.pinned(4) / "elb_clock")[0]["value"]), "little"), 1_000_000)
        rows = self.lab.evnf_json("elb", "conn", "list")
        self.assertEqual(len(rows), 60)
        self.assertLess(max(row["silent_s"] for row in rows), 1000)
        self.assertEqual(say("ask", "1-50"), "50 server1")


if __name__ == "__main__":
    main()
