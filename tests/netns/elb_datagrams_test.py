#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Datagrams there and back through elb, between real IP stacks: longer than a packet, and to a
range of ports."""
from pathlib import Path

import elb_ends
from case import LabCase, main
from elb_case import CHAINS, listens, service
from lab import VIP, VIP6

ENDS = Path(elb_ends.__file__).resolve()


class ElbDatagramsTest(LabCase):
    def test_udp_longer_than_a_packet(self):
        self.lab.write_config(CHAINS + "".join(
            service(vip, 53, "udp", [(first, 7001), (second, 7001)])
            for vip, first, second in ((VIP, "10.0.11.2", "10.0.12.2"),
                                       (VIP6, "fd00:11::2", "fd00:12::2"))))
        for server in self.lab.servers:
            server.start("python3", ENDS, "serve_udp", server.name, "7001", log="ends.log")
        self.lab.start_daemon()
        for server in self.lab.servers:
            listens(server, 7001, "u")
        self.wait_for(lambda: self.curl("http://10.0.11.2/") and self.curl("http://10.0.12.2/"))
        packets = 0
        for vip in (VIP, VIP6):
            for size in (1600, 8000, 20000):
                out = self.lab.client.run("python3", ENDS, "exchange", vip, 53, size, 40).stdout
                answered, sent, came = out.split()
                self.assertEqual(answered, "40")
                self.assertEqual(sent, came)
                packets += 40 * (1 + size // 1480)
        # Each fragment was seen, and none by the kernel.
        self.assertGreaterEqual(self.reason("in", "elb", "to_backend"), packets)
        self.assertGreaterEqual(self.reason("back", "elb", "to_client"), packets)
        for chain in ("in", "back"):
            self.assertEqual(self.reason(chain, "elb", "fragment"), 0)
        both = self.lab.evnf_json("elb", "backend", "list")["service"][0]["backends"]
        for backend in both:
            self.assertGreater(backend["connections"], 0)

    def test_a_range_of_ports(self):
        """By the command line; real servers, of which each port has its own."""
        for server in self.lab.servers:
            for port in ("7001", "7002"):
                server.start("python3", ENDS, "serve_udp", f"{server.name}:{port}", port,
                             log="ends.log")
        self.lab.write_config(CHAINS)
        self.lab.start_daemon()
        for server in self.lab.servers:
            for port in (7001, 7002):
                listens(server, port, "u")
        elb = ("elb", "backend", "add", "udp")
        for vip, address in ((VIP, "10.0.11.2"), (f"[{VIP6}]", "fd00:11::2")):
            self.lab.evnf("elb", "service", "add", "udp", f"{vip}:7000-7009")
            self.lab.evnf(*elb, f"{vip}:7000-7009", address)
            self.lab.evnf("elb", "service", "add", "udp", f"{vip}:7002")
            self.lab.evnf(*elb, f"{vip}:7002", f"{address.replace(':11:', ':12:')}"
                          if ":" in address else "10.0.12.2")
        for vip in (VIP, VIP6):
            for port, server in ((7001, "server1:7001"), (7002, "server2:7002")):
                out = self.lab.client.run("python3", ENDS, "named", vip, port).stdout
                self.assertEqual(out.strip(), server)
        flushed = self.lab.evnf_json("elb", "conn", "flush", "--service", f"{VIP}:7000-7009")
        self.assertEqual(flushed, {"forgotten": 2})  # to these ports, whichever the service
        self.lab.evnf("elb", "backend", "del", "udp", f"{VIP}:7000-7009", "10.0.11.2")
        self.lab.evnf("elb", "service", "del", "udp", f"{VIP}:7000-7009")
        names = [s["port"] for s in self.lab.evnf_json("elb", "service", "list")["service"]]
        self.assertEqual(names, [7002, "7000-7009", 7002])


if __name__ == "__main__":
    main()
