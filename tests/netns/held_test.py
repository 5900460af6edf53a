#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that wait for a worker are put back many at a time: each arrives once, whole, and after
those that its flow sent before it."""
import json

from case import LabCase, main
from datagrams import Program

PORT = 9000
HEADERS = 14 + 20 + 8
SIZES = (60, 3300)  # of frames: no longer one waits
AT_ONCE = 100       # that no queue on the way is too short for

# What flow number `i` has its packets do, by stage. All wait at the first; there one in five is
# dropped when it has come back, so that the kernel uses its frame again for the next.
WAYS = ("snn", "sdn", "ssn", "sns", "rnn")
# The last of these do not arrive.
ARRIVES = tuple("d" not in way and "r" not in way for way in WAYS)

# The payload of datagram `n` of a flow: a number for the stages, words for them, flow and n.
CONTENT = """
import random
def content(flow, n, way, sizes):
    begin = n.to_bytes(4, "big") + way.encode() + bytes([flow])
    chance = random.Random(flow << 32 | n)
    return begin + chance.randbytes(chance.randint(*sizes) - len(begin))
"""
# Sends so many more datagrams, of all flows in a random order, for each line.
SEND = CONTENT + """
import socket, sys, json
to, port, ways, sizes = sys.argv[1], int(sys.argv[2]), *(json.loads(a) for a in sys.argv[3:])
flows = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for way in ways]
sent = [0] * len(flows)
for line in sys.stdin:
    for _ in range(int(line)):
        flow = random.randrange(len(flows))
        flows[flow].sendto(content(flow, sent[flow], ways[flow], sizes), (to, port))
        sent[flow] += 1
    print(json.dumps(sent), flush=True)
"""
# For each line "[PACKETS OF EACH FLOW]": waits until they have come, or nothing for long; then says
# the numbers that have come so far, as they came, and how many packets nobody sent.
RECEIVE = CONTENT + """
import json, select, socket, sys
port, ways, sizes = int(sys.argv[1]), *(json.loads(a) for a in sys.argv[2:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
s.bind(("0.0.0.0", port))
print("ready", flush=True)
numbers, others = [[] for way in ways], 0
for line in sys.stdin:
    wanted = sum(json.loads(line))
    while select.select([s], [], [], 20 if sum(map(len, numbers)) < wanted else 0.05)[0]:
        data = s.recv(4096)
        n, flow = int.from_bytes(data[:4], "big"), data[7]
        if flow < len(ways) and data == content(flow, n, ways[flow], sizes):
            numbers[flow].append(n)
        else:
            others += 1
    print(json.dumps({"numbers": numbers, "others": others}), flush=True)
"""


class Way:
    """Datagrams from one host to another."""

    def __init__(self, lab, source, sink, address, flows):
        self.ways = [WAYS[i % len(WAYS)] for i in range(flows)]
        self.arrives = [ARRIVES[i % len(WAYS)] for i in range(flows)]
        words = json.dumps(self.ways), json.dumps([size - HEADERS for size in SIZES])
        self.receiver = Program(lab, sink, RECEIVE, PORT, *words)
        if self.receiver.line() != "ready":
            raise OSError("the receiver does not listen")
        self.sender = Program(lab, source, SEND, address, PORT, *words)

    def send(self, count):
        self.sent = json.loads(self.sender.say(str(count)))

    def come(self):
        """What has come of it all: by flow its numbers, and how many that nobody sent."""
        wanted = [n if arrives else 0 for n, arrives in zip(self.sent, self.arrives)]
        return wanted, json.loads(self.receiver.say(json.dumps(wanted)))

    def end(self):
        self.sender.end()
        self.receiver.end()


class HeldTest(LabCase):
    FLOWS = 40

    def begin(self, places="a -> b -> c"):
        self.lab.evnfd = self.lab.build / "tests/evnfd-test"
        for host in (self.lab.client, self.lab.vnf, self.lab.servers[0]):
            for link in ("eth0", "cli0", "srv1"):
                host.run("ip", "link", "set", link, "mtu", "3490", check=False)
        self.lab.write_config(self.config(places))
        self.lab.start_daemon()
        client, server = self.lab.client, self.lab.servers[0]
        client.run("ping", "-c1", "10.0.11.2", check=False)
        self.both = (Way(self.lab, client, server, "10.0.11.2", self.FLOWS),
                     Way(self.lab, server, client, "10.0.1.2", self.FLOWS))

    def config(self, places):
        """Over the chains of two interfaces, a worker that is slow, so that packets gather."""
        return (f'[[chain]]\nname = "in"\npath = "in(cli0) -> {places} -> out"\n'
                f'[[chain]]\nname = "back"\npath = "in(srv1) -> {places} -> out"\n'
                '[a]\nvnf = "probe"\nindex = 0\nexit = "xsk"\ndelay_us = 50\n'
                '[b]\nvnf = "probe"\nindex = 1\nexit = "xsk"\n'
                '[c]\nvnf = "probe"\nindex = 2\nexit = "stack"\n'
                '[d]\nvnf = "probe"\nindex = 3\n')

    def send(self, rounds):
        for _ in range(rounds):
            for way in self.both:
                way.send(AT_ONCE)
            for way in self.both:
                wanted, come = way.come()
                self.assertEqual(sum(map(len, come["numbers"])), sum(wanted))

    def check(self, in_order):
        for way in self.both:
            wanted, come = way.come()
            way.end()
            self.assertEqual(come["others"], 0)
            for flow, (count, numbers) in enumerate(zip(wanted, come["numbers"])):
                self.assertEqual(numbers if in_order else sorted(numbers), list(range(count)),
                                 f"flow {flow}, {way.ways[flow]}")
        self.assertEqual(self.lab.evnf_json("counters")["workers"]["failed"], 0)

    def test_order_and_bytes(self):
        self.begin()
        self.send(20)
        self.check(in_order=True)
        for chain, way in zip(("in", "back"), self.both):
            refused = sum(n for words, n in zip(way.ways, way.sent) if words[0] == "r")
            for place in "ab":
                slot = self.slots(chain)[place]
                self.assertEqual(slot["resumed"]["packets"] + (refused if place == "a" else 0),
                                 slot["verdicts"]["slow"]["packets"])

    def test_change_of_generation(self):
        """Those that wait go on in the chain that they began with."""
        self.begin()
        files = []
        for places in ("d -> a -> b -> c", "a -> b -> c -> d"):
            files.append(self.lab.dir / f"{len(files)}.toml")
            files[-1].write_text(self.config(places))
        for path in files * 3:
            for way in self.both:
                way.send(AT_ONCE)
            self.lab.evnf("apply", path)
            self.send(1)
        self.check(in_order=False)  # workers of two generations hold packets of a flow


if __name__ == "__main__":
    main()
