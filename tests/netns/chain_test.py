#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each packet visits the places of its chain in order and once, whichever slow paths it
takes on its way."""
import itertools
import json
import subprocess
import time

from case import LabCase, main
from lab import VIP

POSITIONS = 5
EXITS = {"s": "stack", "t": "tap", "x": "xsk"}
CHOICES = "nstxc"  # go on, slow by each exit, a copy

SEND = """
import json, socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i, words in enumerate(json.load(sys.stdin)):
    s.sendto(i.to_bytes(4, "big") + words.encode().ljust(40, b"n"), (sys.argv[1], 9000))
    if i % 20 == 19:
        time.sleep(0.002)
"""
RECEIVE = """
import collections, json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
s.bind(("0.0.0.0", 9000))
s.settimeout(float(sys.argv[1]))
print("ready", flush=True)
seen = collections.Counter()
try:
    while True:
        seen[int.from_bytes(s.recv(2000)[:4], "big")] += 1
except TimeoutError:
    print(json.dumps(seen))
"""


class ChainTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.evnfd = self.lab.build / "tests/evnfd-test"

    def begin(self, text):
        self.lab.write_config(text)
        self.lab.start_daemon()

    def tap(self, name):
        """An interface whose far end sends back whatever it gets."""
        vnf = self.lab.vnf
        vnf.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}f")
        for end in (name, f"{name}f"):
            vnf.run("sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1")
            vnf.run("ip", "link", "set", end, "up")
        vnf.run("ip", "link", "set", "dev", f"{name}f", "xdp", "obj",
                self.lab.build / "tests/reflect.bpf.o", "sec", "xdp")

    def deliver(self, packets, to="10.0.11.2", idle=1.5):
        """Sends a packet for each text of words; how often each was received, by id."""
        receiver = subprocess.Popen(
            self.lab.servers[0].command(["python3", "-uc", RECEIVE, str(idle)]),
            stdout=subprocess.PIPE, text=True)
        self.lab.processes.append(receiver)
        self.assertEqual(receiver.stdout.readline(), "ready\n")
        self.lab.client.run("python3", "-c", SEND, to, input=json.dumps(packets))
        seen = json.loads(receiver.stdout.read())
        receiver.stdout.close()
        receiver.wait()
        return {int(i): n for i, n in seen.items()}

    def probe(self, instance):
        return self.lab.api(f"/v1/probe?instance={instance}")

    def test_all_combinations_of_exits(self):
        # At each position three stages stand, one for each kind of exit; a packet says
        # which of them, if any, is to send it the slow way.
        names, sections = [], ""
        for position in range(POSITIONS):
            self.tap(f"tap{position}")
            for letter, kind in EXITS.items():
                name = f"{letter}{position}"
                sections += f'[{name}]\nvnf = "probe"\nindex = {len(names)}\nexit = "{kind}"\n'
                if kind == "tap":
                    sections += f'tap = "tap{position}"\n'
                names.append(name)
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> ' + " -> ".join(names) +
                   ' -> out"\n' + sections)
        # ARP first: packets that wait for it are many.
        self.assertEqual(self.deliver(["n"], idle=0.5), {0: 1})
        combinations = list(itertools.product(CHOICES, repeat=POSITIONS))
        packets = []
        for combination in combinations:
            words = ""
            for choice in combination:
                words += {"n": "nnn", "c": "cnn", "s": "snn", "t": "nsn", "x": "nns"}[choice]
            packets.append(words)
        before = {name: self.probe(name)["visits"].get("0", [0])[0] for name in names}
        received = self.deliver(packets)
        probes = {name: self.probe(name) for name in names}
        problems = []
        for i, combination in enumerate(combinations):
            visits = [probes[n]["visits"].get(str(i), [0, 0, 0]) for n in names]
            counts = [v[0] - (before[n] if i == 0 else 0) for v, n in zip(visits, names)]
            times = [v[2] for v in visits]
            if received.get(i) != 1 or set(counts) != {1} or times != sorted(times):
                problems.append((i, "".join(combination), received.get(i), counts))
        self.assertEqual(problems[:5], [], f"{len(problems)} of {len(packets)} packets")
        # It was not by going no slow way at all.
        for position in range(POSITIONS):
            taken = {c: sum(one[position] == c for one in combinations) for c in CHOICES}
            slots = self.slots("c")
            for letter in EXITS:
                slot = slots[f"{letter}{position}"]
                self.assertEqual(slot["verdicts"]["slow"]["packets"], taken[letter])
                self.assertEqual(slot["resumed"]["packets"], taken[letter])
            self.assertEqual(sum(probes[f"x{position}"]["held"].values()), taken["x"])
            self.assertEqual(sum(probes[f"s{position}"]["copies"].values()), taken["c"])
        self.assertGreater(sum(v[1] for v in probes["t4"]["visits"].values()), 1000)  # at tc


if __name__ == "__main__":
    main()
