#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The checksum of what is sent between hosts of one machine is left to hardware that never comes: what
the firewall and the balancer pass on, or answer, must be right as it is, or still be for the kernel to
finish."""
import json
import os

from case import LabCase, main
from datagrams import Program
from lab import CONFIG, VIP

SERVICES = """
[efw]
rules = ["tcp dport 80 accept", "udp dport 9000 accept"]
""" + "".join(f"""
[[elb.service]]
address = "{VIP}"
port = {port}
protocol = "{protocol}"
backends = [ {{ address = "10.0.12.2", port = {there} }} ]
""" for protocol, port, there in (("tcp", 80, 8080), ("udp", 9000, 9001)))

# Sees each frame that comes in, and what the kernel knows of its checksum.
EYE = """
import collections, json, select, socket, struct, sys
def fold(data, total=0):
    data = bytes(data) + b"\\0" * (len(data) % 2)
    total += sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
s.bind(("eth0", 0x800))
s.setsockopt(263, 8, 1)  # PACKET_AUXDATA
def see():
    frame, more, _, where = s.recvmsg(1 << 17, 64)
    left = struct.unpack_from("=I", more[0][2])[0] & 8  # TP_STATUS_CSUMNOTREADY
    return where[2] != socket.PACKET_OUTGOING and frame, left
print("ready", flush=True)
"""
# Of the frames to a port or from it, by protocol: how many have a checksum that is right, how many one
# that the kernel says it will finish, and that can be; how many neither. Says so when a line has come,
# and as many frames as the line says, or no more for long.
WATCH = EYE + """
port = int(sys.argv[1])
seen, asked, wanted = collections.Counter(), [sys.stdin], 0
while asked or sum(seen.values()) < wanted:
    ready = select.select([s, *asked], [], [], None if asked else 20)[0]
    if not ready:
        break
    if ready == asked:
        wanted = int(asked.pop().readline())
    if s not in ready:
        continue
    frame, left = see()
    if not frame:
        continue
    length, protocol = struct.unpack_from(">H", frame, 16)[0], frame[23]
    segment = frame[14 + (frame[14] & 15) * 4:14 + length]
    field = {6: 16, 17: 6}.get(protocol)
    if field is None or port not in struct.unpack_from(">HH", segment):
        continue
    pseudo = fold(frame[26:34] + struct.pack(">HH", protocol, len(segment)))
    if left:
        kind = "left" if struct.unpack_from(">H", segment, field)[0] == pseudo else "wrong"
    else:
        kind = "right" if fold(segment, pseudo) == 0xffff else "wrong"
    seen[f"{protocol} {kind}"] += 1
print(json.dumps(seen), flush=True)
"""
# Of as many ICMP errors: how many have a checksum that is right, how many will once the kernel has
# finished that of the datagram that they quote.
WATCH_ERRORS = EYE + """
seen = collections.Counter()
while sum(seen.values()) < int(sys.argv[1]) and select.select([s], [], [], 20)[0]:
    frame, left = see()
    if not frame or frame[23] != 1 or frame[34:36] != bytes((3, 4)):
        continue
    icmp = bytearray(frame[34:14 + struct.unpack_from(">H", frame, 16)[0]])
    if left:
        struct.pack_into(">H", icmp, 8 + 20 + 6, 0xffff ^ fold(icmp[8 + 20:]))
    seen["wrong" if fold(icmp) != 0xffff else "left" if left else "right"] += 1
print(json.dumps(seen), flush=True)
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for size in range(0, 1400, 7):
    s.sendto(bytes(i & 255 for i in range(size)), (sys.argv[1], 9000))
"""
# Too big for a tunnel, and not to be cut; whatever was said of the way before.
SEND_BIG = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE
for i in range(20):
    s.sendto(bytes((i,)) * (1472 - i % 3), (sys.argv[1], 9000))
"""
TUNNEL = f"""
[efw]
rules = ["udp dport 9000 accept"]

[[elb.service]]
address = "{VIP}"
port = 9000
protocol = "udp"
forward = "tunnel"
sources = ["10.0.12.1"]
backends = [ {{ address = "10.0.12.2", port = 9000 }} ]
"""


class ChecksumTest(LabCase):
    def kinds(self, mode):
        """What arrives at the server, and at the client."""
        self.lab.write_config(CONFIG.replace("path =", f'xdp = "{mode}"\npath =') + SERVICES)
        self.lab.start_daemon()
        server = self.lab.servers[1]
        ends = [Program(self.lab, host, WATCH, port)
                for host, port in ((server, 8080), (server, 9001), (self.lab.client, 80))]
        for end in ends:
            self.assertEqual(end.line(), "ready")
        body = self.lab.dir / "body"
        body.write_bytes(os.urandom(200000))
        for _ in range(20):
            self.assertEqual(self.curl(f"http://{VIP}/"), "server2")
            self.assertEqual(self.curl(f"http://{VIP}/", "--data-binary", f"@{body}"), "server2")
        self.lab.client.run("python3", "-c", SEND, VIP)
        out = self.slots("in")["out"]
        self.assertGreater(out["packets"] - out["verdicts"]["slow"]["packets"], 200)
        # A connection is three frames each way at least.
        return [json.loads(end.say(str(n))) for n, end in zip((60, 200, 60), ends)]

    def of_kind(self, seen, kind):
        return sum(n for name, n in seen.items() if name.endswith(kind))

    def test_native(self):
        """XDP makes frames of them, and no kernel will finish a checksum; but those that have no next
        hop yet go the kernel's way."""
        for seen in self.kinds("native"):
            self.assertEqual(self.of_kind(seen, "wrong"), 0, seen)
            self.assertGreater(self.of_kind(seen, "right"), 50, seen)

    def test_generic(self):
        """The kernel still knows what is to be finished, and would finish once more what has been."""
        for seen in self.kinds("generic"):
            self.assertEqual(self.of_kind(seen, "wrong"), 0, seen)
            self.assertGreater(self.of_kind(seen, "left"), 50, seen)

    def errors(self, mode, services=TUNNEL):
        """What is told to a client whose datagrams are too big for a tunnel."""
        self.lab.write_config(CONFIG.replace("path =", f'xdp = "{mode}"\npath =') + services)
        self.lab.start_daemon()
        watch = Program(self.lab, self.lab.client, WATCH_ERRORS, 20)
        self.assertEqual(watch.line(), "ready")
        self.lab.client.run("python3", "-c", SEND_BIG, VIP)
        return json.loads(watch.line())

    def test_errors_native(self):
        self.assertEqual(self.errors("native"), {"right": 20})

    def test_errors_generic(self):
        self.assertEqual(self.errors("generic"), {"left": 20})

    def test_errors_behind_netfilter(self):
        """In tc the kernel knows of it, whatever XDP is."""
        self.lab.vnf.run("ip", "route", "add", f"{VIP}/32", "via", "10.0.12.2")
        no_rule = TUNNEL.replace('"udp dport 9000 accept"', "")
        self.assertEqual(self.errors("native", no_rule), {"left": 20})
        self.assertEqual(self.slots("in")["efw"]["verdicts"]["slow"]["packets"], 20)


if __name__ == "__main__":
    main()
