#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets watched on their way: what trace, capture and chain plan say is what happened to
them."""
import collections
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from case import Load, main
from lab import VIP
from watch_case import BUSY, RULES, WatchCase

# Every packet takes the slow way before elb.
SLOW = RULES[RULES.index("[[elb"):]

BACKEND = f"service tcp {VIP}:80, backend 10.0.11.2:80"
THERE = [("in/root@cli0", "next", ""), ("in/efw", "next", "rule 1: tcp dport 80 accept"),
         ("in/elb", "next (to_backend)", BACKEND), ("in/out", "done (redirect)", "")]
BACK = [("back/root@srv1", "next", ""), ("back/elb", "next (to_client)", BACKEND),
        ("back/out", "done (redirect)", "")]

# Sends whole frames as they are, each given in hex on a line.
SEND_FRAMES = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line))
"""

Way = collections.namedtuple("Way", "head steps")


def ways_of(text):
    """The packets that evnf trace has printed: (place, verdict, by what) for each step."""
    ways = []
    for line in text.splitlines():
        if line.startswith("  "):
            ways[-1].steps.append(tuple((re.split(" {2,}", line.strip()) + [""])[:3]))
        else:
            ways.append(Way(line, []))
    return ways


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def read_pcapng(data):
    """The frames and comments of a capture that this machine has written."""
    at, out = 0, []
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if struct.unpack_from("=I", data, at + length - 4)[0] != length:
            raise ValueError(f"the block at {at} is broken")
        if kind == 6:
            size, on_wire = struct.unpack_from("=II", data, at + 20)
            if size != on_wire:
                raise ValueError(f"{size} of {on_wire} bytes")
            option = at + 28 + (size + 3) // 4 * 4
            code, text = struct.unpack_from("=HH", data, option)
            comment = data[option + 4:option + 4 + text].decode() if code == 1 else None
            out.append((data[at + 28:at + 28 + size], comment))
        at += length
    return out


class TraceTest(WatchCase):
    def setUp(self):
        super().setUp()
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")  # the next hops are known

    def test_ways_of_a_connection(self):
        trace = self.watch("trace", "tcp", "host", "10.0.1.2", "--count", "6")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        ways = ways_of(self.end(trace))
        self.assertEqual(len(ways), 6)
        seen = set()
        for way in ways:
            came_in = way.head.split(" ")[1]
            seen.add(came_in)
            flow = {"cli0": rf"10\.0\.1\.2:\d+ -> {re.escape(VIP)}:80",
                    "srv1": r"10\.0\.11\.2:80 -> 10\.0\.1\.2:\d+"}[came_in]
            self.assertRegex(way.head,
                             rf"^\d\d:\d\d:\d\d\.\d{{6}} {came_in} tcp {flow}, \d+ bytes$")
            self.assertEqual(way.steps, THERE if came_in == "cli0" else BACK)
        self.assertEqual(seen, {"cli0", "srv1"})

    def test_json(self):
        trace = self.watch("--json", "trace", "tcp", "dst", "port", "80", "-c", "3")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        packets = collections.defaultdict(list)
        for line in self.end(trace).splitlines():
            record = json.loads(line)
            packets[record["packet"]].append(record)
        self.assertEqual(len(packets), 3)
        for records in packets.values():
            steps = []
            for r in records:
                verdict = r["verdict"] if r["verdict"] == r["reason"] else (
                    f"{r['verdict']} ({r['reason']})")
                steps.append((f"{r['chain']}/{r['place']}", verdict, r.get("by", "")))
            self.assertEqual(steps, THERE)
            times = [r["time_ns"] for r in records]
            self.assertEqual(times, sorted(times))
            self.assertLess(abs(times[0] / 1e9 - time.time()), 30)
            self.assertEqual({r["interface"] for r in records}, {"cli0"})

    def test_what_does_not_match_is_not_shown(self):
        trace = self.watch("trace", "tcp", "dst", "port", "81")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        time.sleep(0.5)
        self.assertIsNone(trace.poll())
        out, err = self.kill(trace)
        self.assertEqual((trace.returncode, out, err), (-signal.SIGTERM, "", ""))

    def test_dropped(self):
        trace = self.watch("trace", "--when", "dropped", "--count", "1")
        whole = self.lab.evnf("trace", "tcp", check=False)
        self.assertIn(BUSY, whole.stderr)
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.assertIsNone(self.curl("http://10.0.11.2:8080/", seconds=1))
        dropped = ("in/efw", "drop (rule_drop)", "rule 2: tcp dport 8080 drop")
        self.assertEqual([w.steps for w in ways_of(self.end(trace))], [[dropped]])
        trace = self.watch("trace", "dst", "port", "8080", "--count", "1")
        self.assertIsNone(self.curl("http://10.0.11.2:8080/", seconds=1))
        self.assertEqual([w.steps for w in ways_of(self.end(trace))], [[THERE[0], dropped]])

    def test_one_place(self):
        # No packet ends at elb: each is shown for what it did there.
        trace = self.watch("trace", "--stage", "in/elb", "--count", "2")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.assertEqual([w.steps for w in ways_of(self.end(trace))], [[THERE[2]]] * 2)
        trace = self.watch("--json", "trace", "--stage", "elb", "--when", "passed", "-c", "2")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.assertEqual([json.loads(line)["place"] for line in self.end(trace).splitlines()],
                         ["elb"] * 2)

    def test_wrong_filters(self):
        file = self.lab.dir / "kept.pcapng"
        file.write_text("of another day")
        before = self.generation()
        for words, wrong in (("tcp dprt 80", "dprt"), ("host 10.0.0.300", "10.0.0.300"),
                             ("tcp dst port 99999", "99999"), ("tcp or udp", "or"),
                             ("udp and", "and"), ("not tcp", "not"), ("icmp port 7", "port")):
            for command in (["trace"], ["capture", "-w", "-"], ["capture", "-w", file]):
                done = self.lab.evnf(*command, *words.split(), check=False)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                message, line, carets = done.stderr.splitlines()
                self.assertTrue(message.startswith("evnf: ") and len(message) > 20, message)
                self.assertEqual(line, "  " + words)
                self.assertEqual(line[carets.index("^"):carets.rindex("^") + 1], wrong)
                self.assertEqual(set(carets), {" ", "^"})
        self.assertEqual(self.generation(), before)
        for code, words, said in ((2, ["--when", "lost"], "when is passed, dropped, slow, sent or"),
                                  (1, ["--stage", "elbow"], "in/elb")):
            done = self.lab.evnf("capture", "-w", file, *words, check=False)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertIn(said, done.stderr)
        self.assertEqual(file.read_text(), "of another day")


class SlowTest(WatchCase):
    rules = SLOW

    def slow_by_a_route(self):
        vnf = self.lab.vnf
        vnf.run("ip", "link", "add", "vip0", "type", "veth", "peer", "name", "vip1")
        vnf.run("ip", "link", "set", "vip0", "arp", "off", "up")
        vnf.run("ip", "link", "set", "vip1", "up")
        vnf.run("ip", "route", "add", f"{VIP}/32", "dev", "vip0")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")

    def test_two_ways(self):
        self.slow_by_a_route()
        trace = self.watch("trace", "dst", "port", "80", "and", "dst", "host", VIP, "-c", "6")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        ways = ways_of(self.end(trace))
        slow = [("in/root@cli0", "next", ""), ("in/efw", "slow (default_slow)", "default slow")]
        resumed = [("in/efw", "next (resumed)", ""), THERE[2], ("in/out", "done (rerouted)", "")]
        packets = collections.defaultdict(list)  # the next may come before one is resumed
        for way in ways:
            self.assertIn(" cli0 ", way.head)
            packets[way.head.split(" ", 2)[2]].append(way.steps)  # SYN, ACK, GET: of three lengths
        self.assertEqual(list(packets.values()), [[slow, resumed]] * 3)

    # Also those that are with a slow path when the chains change, and change again.
    def test_none_is_lost_on_a_slow_way(self):
        self.slow_by_a_route()
        before = self.slots("in")["efw"]["packets"]
        load = Load(self, f"http://{VIP}/")
        for _ in range(4):
            watcher = self.watch("trace", "udp")
            self.kill(watcher)
            self.wait_until_over(watcher)
        load.end()
        self.wait_until_closed()
        efw, elb = (self.slots("in")[name] for name in ("efw", "elb"))
        self.assertGreater(efw["packets"], before + 1000)
        self.assertEqual(efw["resumed"]["packets"], efw["verdicts"]["slow"]["packets"])
        self.assertEqual(elb["packets"], efw["resumed"]["packets"])


class IdleTest(WatchCase):
    rules = SLOW + '[efw]\ndefault = "accept"\n'

    def test_a_stage_that_was_left_out_comes_back(self):
        place = next(p for c in self.lab.evnf_json("chain", "plan") if c["name"] == "in"
                     for p in c["places"] if p["place"] == "efw")
        self.assertTrue(place["left_out"])
        self.assertEqual(self.curl("http://10.0.11.2/"), "server1")
        self.assertEqual(self.slots("in")["efw"]["packets"], 0)
        rule = self.lab.evnf_json("efw", "rule", "add", "tcp dport 80 drop")
        self.assertIsNone(self.curl("http://10.0.11.2/", seconds=1))
        self.assertGreater(self.reason("in", "efw", "rule_drop"), 0)
        self.lab.evnf("efw", "rule", "del", rule["id"])
        self.assertEqual(self.curl("http://10.0.11.2/"), "server1")


class CaptureTest(WatchCase):
    def frame(self, port, payload):
        """From the client to server1, UDP."""
        udp = struct.pack("!HHHH", 4000, port, 8 + len(payload), 0) + payload
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, socket.IPPROTO_UDP, 0,
                         socket.inet_aton("10.0.1.2"), socket.inet_aton("10.0.11.2"))
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        macs = [self.lab.vnf.mac("cli0"), self.lab.client.mac("eth0")]
        return bytes.fromhex("".join(macs).replace(":", "")) + b"\x08\x00" + ip + udp

    def send(self, frames):
        self.lab.client.run("python3", "-c", SEND_FRAMES, input="\n".join(f.hex() for f in frames))

    def test_what_a_stage_drops(self):
        file = self.lab.dir / "dropped.pcapng"
        dropped = [self.frame(9, bytes([n]) * size) for n, size in enumerate((1, 600, 1472))]
        passed = [self.frame(10, b"fine"), self.frame(11, b"")]
        capture = self.watch("capture", "--stage", "efw", "--when", "dropped", "-w", file, "-c", 3)
        self.send([passed[0], dropped[0], passed[1], dropped[1], passed[0], dropped[2]])
        self.assertEqual(self.end(capture), "")
        comment = "in/efw: drop, rule_drop, by rule 3: udp dport 9 drop"
        self.assertEqual(read_pcapng(file.read_bytes()), [(f, comment) for f in dropped])
        if not shutil.which("tcpdump"):
            print("no tcpdump here: the capture was read only by this test")
            return
        read = self.lab.run(["tcpdump", "-n", "-e", "-xx", "-r", file])
        self.assertEqual("".join(re.sub(r"^\t0x\w+: ", "", line).replace(" ", "")
                                 for line in read.stdout.splitlines() if line.startswith("\t")),
                         b"".join(dropped).hex())

    def test_a_pipe(self):
        capture = self.watch("capture", "udp", "--stage", "in/efw", "-w", "-", text=False)
        frames = [self.frame(9, b"one"), self.frame(10, b"two")]
        self.send(frames)
        data = b""
        while True:
            try:
                if [frame for frame, _ in read_pcapng(data)] == frames:
                    break
            except (ValueError, struct.error):
                pass  # it has not come whole
            data += capture.stdout.read1()
        capture.stdout.close()  # the reader goes away

        def ended():
            self.send(frames[:1])
            return capture.poll() is not None
        self.wait_for(ended)
        self.assertEqual((capture.returncode, capture.stderr.read()), (0, b""))

    def flood(self, watcher, frame, count):
        """Drops more than the ring holds while the watcher sleeps; gives how many."""
        def dropped():
            return self.reason("in", "efw", "rule_drop")
        watcher.send_signal(signal.SIGSTOP)
        enough = dropped() + count
        while dropped() < enough:  # what is sent too fast for the link does not arrive
            self.send([frame] * count)
        before, now = None, dropped()
        while before != now:
            time.sleep(0.3)  # for what is under way
            before, now = now, dropped()
        watcher.send_signal(signal.SIGCONT)
        return now

    def test_a_slow_capture(self):
        file = self.lab.dir / "flood.pcapng"
        capture = self.watch("capture", "--stage", "efw", "--when", "dropped", "-w", file,
                             text=False)
        os.set_blocking(capture.stderr.fileno(), False)
        large, last = self.frame(9, bytes(1472)), self.frame(9, b"last")
        dropped = self.flood(capture, large, 6000)
        said = b""
        lost = 0

        def captured():
            try:
                return [frame for frame, _ in read_pcapng(file.read_bytes())]
            except (ValueError, struct.error):
                return []  # the last has not come whole

        def all_is_told():
            nonlocal said, lost
            said += capture.stderr.read() or b""
            told = re.findall(rb"evnf: (\d+) packets were not captured so far: they come", said)
            lost = int(told[-1]) if told else 0
            return len(captured()) + lost == dropped
        self.wait_for(all_is_told)
        self.assertGreater(lost, 0)
        self.send([last])
        self.wait_for(lambda: captured()[-1:] == [last])
        self.assertEqual(captured(), [large] * (dropped - lost) + [last])

    def test_a_slow_trace(self):
        for words, lost in (([], r"evnf: (\d+) steps of packets were not shown so far: they come"),
                            (["--json"], r'\{"lost":(\d+)\}')):
            said = self.lab.dir / "said"
            with said.open("wb") as errors:
                trace = self.watch(*words, "trace", "--stage", "efw", "--when", "dropped",
                                   out=subprocess.DEVNULL, errors=errors)
            self.flood(trace, self.frame(9, b"small"), 40000)
            self.wait_for(lambda: trace.poll() is not None or said.stat().st_size)
            self.assertRegex(said.read_text(), lost)
            self.assertIsNone(trace.poll(), "it has ended by itself")
            self.kill(trace)
            self.wait_until_over(trace)


if __name__ == "__main__":
    main()
