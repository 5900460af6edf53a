#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The checksum of what is sent between hosts of one machine is left to hardware that never comes: what
the firewall and the balancer pass on must be right as it is, or still be for the kernel to finish."""
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

# Of the frames to a port or from it that come in, by protocol: how many have a checksum that is right,
# how many one that the kernel says it will finish, and that can be; how many neither. Says so when a
# line has come, and as many frames as the line says, or no more for long.
WATCH = """
import collections, json, select, socket, struct, sys
port = int(sys.argv[1])
def fold(data, total=0):
    data += b"\\0" * (len(data) % 2)
    total += sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
s.bind(("eth0", 0x800))
s.setsockopt(263, 8, 1)  # PACKET_AUXDATA
seen, asked, wanted = collections.Counter(), [sys.stdin], 0
print("ready", flush=True)
while asked or sum(seen.values()) < wanted:
    ready = select.select([s, *asked], [], [], None if asked else 20)[0]
    if not ready:
        break
    if ready == asked:
        wanted = int(asked.pop().readline())
    if s not in ready:
        continue
    frame, more, _, where = s.recvmsg(1 << 17, 64)
    if where[2] == socket.PACKET_OUTGOING:
        continue
    status = struct.unpack_from("=I", more[0][2])[0]
    length, protocol = struct.unpack_from(">H", frame, 16)[0], frame[23]
    segment = frame[14 + (frame[14] & 15) * 4:14 + length]
    field = {6: 16, 17: 6}.get(protocol)
    if field is None or port not in struct.unpack_from(">HH", segment):
        continue
    pseudo = fold(frame[26:34] + struct.pack(">HH", protocol, len(segment)))
    if status & 8:  # TP_STATUS_CSUMNOTREADY
        kind = "left" if struct.unpack_from(">H", segment, field)[0] == pseudo else "wrong"
    else:
        kind = "right" if fold(segment, pseudo) == 0xffff else "wrong"
    seen[f"{protocol} {kind}"] += 1
print(json.dumps(seen), flush=True)
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for size in range(0, 1400, 7):
    s.sendto(bytes(i & 255 for i in range(size)), (sys.argv[1], 9000))
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


if __name__ == "__main__":
    main()
