#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""edpi's policies between real hosts: what is dropped does not arrive, what passes is whole."""
import json
import subprocess

from case import main
from edpi_web import EdpiWebCase

CHAINS = """
[[chain]]
name = "in"
path = "in(cli0) -> edpi -> out"

[[chain]]
name = "back"
path = "in(srv1) -> edpi -> out"

[edpi]
flows = 1024
"""
# What arrives by TCP, by the client's port: bytes of payload, and all TOS or traffic classes.
# Until its input ends.
SNIFF = """
import json, select, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: all that comes has room
s.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
s.bind(("eth0", 0))
print("ready", flush=True)
seen = {}
while True:
    ready = select.select([s, sys.stdin], [], [])[0]
    if s in ready:
        packet = s.recv(70000)
        if packet[0] >> 4 == 4 and packet[9] == 6:
            tos, at, end = packet[1], 4 * (packet[0] & 15), int.from_bytes(packet[2:4], "big")
        elif packet[0] >> 4 == 6 and packet[6] == 6:
            tos, at = int.from_bytes(packet[:2], "big") >> 4 & 255, 40
            end = 40 + int.from_bytes(packet[4:6], "big")
        else:
            continue
        port = int.from_bytes(packet[at:at + 2], "big")
        one = seen.setdefault(port, {"packets": 0, "payload": 0, "tos": []})
        one["packets"] += 1
        one["payload"] += end - at - 4 * (packet[at + 12] >> 4)
        if tos not in one["tos"]:
            one["tos"].append(tos)
    elif sys.stdin in ready:
        print(json.dumps(seen))
        break
"""

class EdpiPolicyTest(EdpiWebCase):
    def sniff(self):
        sniffer = subprocess.Popen(self.lab.servers[0].command(["python3", "-uc", SNIFF]),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lab.processes.append(sniffer)
        self.assertEqual(sniffer.stdout.readline(), "ready\n")

        def stop():
            return {int(port): one for port, one in json.loads(sniffer.communicate()[0]).items()}
        return stop

    def test_not_one_byte_reaches_a_blocked_name(self):
        self.start('mode = "xsk"\n[[edpi.policy]]\nname = "blocked"\naction = "drop"\n'
                   'host = ["blocked.example.org"]\n', chains=CHAINS)
        stop = self.sniff()
        self.assertEqual(self.tls("www.example.org", 30001), "small")
        self.assertIsNone(self.tls("blocked.example.org", 30002, seconds=4))
        self.assertEqual(self.tls("www.example.org", 30003), "small")
        seen = stop()
        self.assertGreater(seen[30001]["payload"], 500)
        self.assertGreater(seen[30002]["packets"], 1) # SYN and ACK
        self.assertEqual(seen[30002]["payload"], 0)
        self.assertGreater(seen[30003]["payload"], 500)
        self.wait_for(lambda: self.policies()["blocked"]["packets"] > 1)  # it was sent again
        blocked = self.policies()["blocked"]
        self.assertEqual(blocked["packets"], blocked["dropped_packets"])
        flow = next(f for f in self.lab.evnf_json("edpi", "flows") if f["source_port"] == 30002)
        self.assertEqual(flow["policy"], "blocked")
        self.assertEqual(flow["host"], "blocked.example.org")

    def test_a_mark_is_on_the_wire(self):
        """Of both families, with checksums that the server takes."""
        self.start(chains=CHAINS)
        self.lab.evnf("edpi", "policy", "add", "web", "mark", "--application", "HTTP", "--dscp",
                      "ef")
        stop = self.sniff()
        for host, port in (("10.0.11.2", 30001), ("[fd00:11::2]", 30002)):
            self.assertEqual(self.download(host, "-g", "--local-port", str(port)), self.digest)
        seen = stop()
        for port in (30001, 30002):
            self.assertEqual(sorted(seen[port]["tos"]), [0, 46 << 2])


if __name__ == "__main__":
    main()
