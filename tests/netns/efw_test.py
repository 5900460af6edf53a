#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What efw's workers do: senders of rejected packets are told as the kernel would tell them,
bounded, and not when they must not be; and what is logged is what came."""
import errno
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

from case import LabCase, main
from efw_packets import (ACK, FIN, GRE, ICMP, ICMP6, PSH, RST, SYN, TCP, UDP, checksum, icmp,
                         icmp6, ip4, ip6, tcp, udp)
from lab import PATIENCE, PIN_DIR

CHAIN = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[efw]
rules = [{rules}]
"""

# Sends each frame, given in hex on a line, and prints what comes back within the time given
# from the address it was sent to, or "-".
ASK = """
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
s.bind(("eth0", 0))
def answer(wait):
    until = time.monotonic() + wait
    while (left := until - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            data, where = s.recvfrom(4000)
        except socket.timeout:
            break
        own = data[22] == 0xfe or (data[20] == 58 and data[54] in (135, 136))  # the link's own
        if where[2] != 4 and (data[12:14] == b"\\x08\\x00" or
                              data[12:14] == b"\\x86\\xdd" and not own):
            return data.hex()
    return "-"
for line in sys.stdin:
    answer(0.01)
    s.send(bytes.fromhex(line))
    print(answer(float(sys.argv[1])), flush=True)
"""

# Connects, or sends and waits: the error's number.
REFUSED = """
import errno, socket, sys
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(60)
try:
    s.connect((host, port))
    s.send(b"x")
    s.recv(100)
    print(0)
except OSError as e:
    print(e.errno or errno.ETIMEDOUT)
"""

SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[4]) if len(sys.argv) > 4 else 0))
for i in range(int(sys.argv[3])):
    try:
        s.sendto(b"x" * 20, (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
"""

# Frames as fast as they can be sent, until a line comes, from ever other addresses; how many.
FLOOD = """
import select, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
frame, n = bytearray.fromhex(sys.argv[1]), 0
total = int.from_bytes(frame[24:26], "big") + int.from_bytes(frame[28:30], "big")
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(100):
        last = n % 65536
        frame[28:30] = last.to_bytes(2, "big")  # the checksums go with it
        struct.pack_into("!H", frame, 24, (total - last - 1) % 0xffff + 1)
        s.send(frame)
        n += 1
print(n)
"""


class EfwTest(LabCase):
    ME4, HOST4, SERVER4 = "10.0.1.2", "10.0.1.1", "10.0.11.2"
    ME6, HOST6, SERVER6 = "fd00:1::2", "fd00:1::1", "fd00:11::2"

    def setUp(self):
        super().setUp()
        self.readers = itertools.count()

    def begin(self, *rules):
        self.lab.write_config(CHAIN.format(rules=", ".join(json.dumps(r) for r in rules)))
        self.lab.start_daemon()

    def frame(self, packet, to=None, vlan=b""):
        to = to or self.lab.vnf.mac("cli0")
        kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
        macs = to + self.lab.client.mac("eth0")
        return bytes.fromhex(macs.replace(":", "")) + vlan + kind + packet

    def ask(self, frames, wait=60):
        """What comes back for each frame, from the IP header on, or None: who expects none says
        how long to wait for it."""
        text = "".join(f.hex() + "\n" for f in frames)
        out = self.lab.client.run("python3", "-c", ASK, str(wait), input=text).stdout.split()
        self.assertEqual(len(out), len(frames))
        return [None if line == "-" else bytes.fromhex(line)[14:] for line in out]

    def shown(self):
        return self.lab.api("/v1/efw")

    def copies(self):
        workers = self.lab.api("/v1/counters")["workers"]
        return workers["copies_sent"], workers["copies_lost"]

    # -- reject

    def test_clients_learn_at_once(self):
        self.begin("icmpv6 type 136 accept", "tcp dport 80 accept", "ip reject", "ip6 reject")
        wanted = {("tcp", self.SERVER4): errno.ECONNREFUSED,
                  ("tcp", self.SERVER6): errno.ECONNREFUSED,
                  ("udp", self.SERVER4): errno.EHOSTUNREACH,  # what Linux makes of type 3 code 13
                  ("udp", self.SERVER6): errno.EACCES}  # … and of ICMPv6 type 1 code 1
        for (kind, host), error in wanted.items():
            with self.subTest(kind=kind, host=host):
                out = self.lab.client.run("python3", "-c", REFUSED, kind, host, "7").stdout
                self.assertEqual(int(out), error)
        # By the answer to the first packet; a SYN goes out again if that takes a second.
        rejected = self.reason("in", "efw", "rule_reject")
        self.assertGreaterEqual(rejected, 4)
        self.wait_until_equal(lambda: self.shown()["answers"],
                              {"sent": rejected, "limited": 0, "silent": 0, "failed": 0})
        self.assertEqual(self.curl(f"http://{self.SERVER4}/"), "server1")

    def kinds(self):
        """Packets to the VNF host itself, where netfilter sees them as they came."""
        me, host = self.ME4, self.HOST4
        data = b"0123456789abc"
        options = b"\x02\x04\x05\xb4\x01\x03\x03\x07"
        packets = [ip4(me, host, TCP, tcp(me, host, flags, payload, 5 + len(more) // 4, more), tos=tos)
                   for flags, payload, more, tos in
                   [(SYN, b"", options, 0), (SYN, data, b"", 0), (FIN, data, b"", 0), (0, b"", b"", 8),
                    (ACK | PSH, data, b"", 0), (SYN | ACK, b"", options, 0), (FIN | ACK, b"", b"", 0)]]
        packets.append(ip4(me, host, TCP, tcp(me, host, SYN, seq=0xffffffff)))
        packets += [ip4(me, host, UDP, udp(me, host, size), tos=tos)
                    for size, tos in [(0, 0), (9, 0x10), (519, 0xb8), (520, 0), (521, 0), (1400, 0)]]
        packets += [ip4(me, host, ICMP, icmp(8, 0)), ip4(me, host, GRE, b"\0\0\x08\0" + data)]
        me, host = self.ME6, self.HOST6
        packets += [ip6(me, host, TCP, tcp(me, host, flags, payload))
                    for flags, payload in [(SYN, b""), (SYN, data), (ACK, data), (FIN | ACK, b"")]]
        packets += [ip6(me, host, UDP, udp(me, host, size)) for size in (0, 9, 1183, 1184, 1185, 1400)]
        packets += [ip6(me, host, ICMP6, icmp6(me, host, 128, 0)), ip6(me, host, GRE, b"\0\0\x08\0")]
        return packets

    @staticmethod
    def comparable(answer):
        """Without what may differ: TTL, identification, flow label, and the header's checksum."""
        if answer is None:
            return None
        if answer[0] >> 4 == 4:
            return answer[:4] + b"id" + answer[6:8] + b"t" + answer[9:10] + b"cs" + answer[12:]
        return answer[:1] + b"flo" + answer[4:7] + b"t" + answer[8:]

    def test_answers_are_the_kernels(self):
        frames = [self.frame(p) for p in self.kinds()]
        vnf = self.lab.vnf
        vnf.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        vnf.run("ethtool", "-K", "cli0", "tx", "off")  # checksums as on a wire
        self.lab.client.run("ping", "-c1", "-W2", self.HOST6, check=False)  # neighbours
        for tool, prohibited in (("iptables", "icmp-admin-prohibited"),
                                 ("ip6tables", "icmp6-adm-prohibited")):
            vnf.run(tool, "-A", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
            for protocol in ("udp", "gre", "icmp" if tool == "iptables" else "icmpv6"):
                echo = ["--icmpv6-type", "echo-request"] if protocol == "icmpv6" else []
                vnf.run(tool, "-A", "INPUT", "-p", protocol, *echo, "-j", "REJECT",
                        "--reject-with", prohibited)
        kernels = self.ask(frames)
        for tool in ("iptables", "ip6tables"):
            vnf.run(tool, "-F", "INPUT")
        self.begin("icmpv6 type 136 accept", "ip reject", "ip6 reject")
        ours = self.ask(frames)
        for i, (kernel, our) in enumerate(zip(kernels, ours)):
            with self.subTest(frame=frames[i].hex()[:120]):
                self.assertIsNotNone(kernel)
                self.assertIsNotNone(our)
                self.assertEqual(self.comparable(our).hex(), self.comparable(kernel).hex())
                if our[0] >> 4 == 4:
                    self.assertEqual(checksum(our[:20]), 0)
        self.assertEqual(self.shown()["answers"]["sent"], len(frames))

    def silent(self):
        """Packets that must not be answered, by why."""
        me, to, far = self.ME4, self.SERVER4, self.SERVER6
        dgram = udp(me, to, 40)
        quoted = ip4(to, me, UDP, udp(to, me, 8))
        out = {"RST": ip4(me, to, TCP, tcp(me, to, RST)),
               "RST and ACK": ip4(me, to, TCP, tcp(me, to, RST | ACK)),
               "short TCP header": ip4(me, to, TCP, tcp(me, to, SYN, doff=4)),
               "long TCP header": ip4(me, to, TCP, tcp(me, to, SYN, doff=15)),
               "cut TCP header": ip4(me, to, TCP, tcp(me, to, SYN)[:12]),
               "later fragment": ip4(me, to, UDP, dgram, frag=5),
               "later fragment of TCP": ip4(me, to, TCP, tcp(me, to, SYN), frag=0x2005),
               "to a network": ip4(me, "10.0.11.255", UDP, udp(me, "10.0.11.255", 8)),
               "to itself": ip4(me, me, UDP, udp(me, me, 8)),
               "RST in IPv6": ip6(self.ME6, far, TCP, tcp(self.ME6, far, RST)),
               "later fragment in IPv6":
                   ip6(self.ME6, far, 44, struct.pack("!BBHI", UDP, 0, 0x28, 7) + b"x" * 40),
               "ICMPv6 redirect": ip6(self.ME6, far, ICMP6, icmp6(self.ME6, far, 137, 0))}
        for kind in (3, 4, 5, 11, 12, 200):
            out[f"ICMP type {kind}"] = ip4(me, to, ICMP, icmp(kind, 1, b"\0\0\0\0" + quoted))
        for kind in (1, 2, 3, 4, 100):
            inner = ip6(far, self.ME6, UDP, udp(far, self.ME6, 8))
            out[f"ICMPv6 type {kind}"] = ip6(
                self.ME6, far, ICMP6, icmp6(self.ME6, far, kind, 0, b"\0\0\0\0" + inner))
        for other in ("255.255.255.255", "224.0.0.9", "240.0.0.1", "127.0.0.1", "0.0.0.0"):
            out[f"to {other}"] = ip4(me, other, UDP, udp(me, other, 8))
            out[f"from {other}"] = ip4(other, to, UDP, udp(other, to, 8))
        out["from a network"] = ip4("10.0.1.255", to, UDP, udp("10.0.1.255", to, 8))
        for other in ("::", "::1", "ff02::1", "::ffff:10.0.1.2"):
            out[f"from {other}"] = ip6(other, far, UDP, udp(other, far, 8))
        out["to ff0e::1"] = ip6(self.ME6, "ff0e::1", UDP, udp(self.ME6, "ff0e::1", 8))
        return out

    def test_silence(self):
        self.begin("icmpv6 type 136 accept", "ip reject", "ip6 reject")
        packets = self.silent()
        answers = self.ask([self.frame(p) for p in packets.values()], wait=0.1)
        self.assertEqual({why: a and a.hex() for why, a in zip(packets, answers)},
                         dict.fromkeys(packets))
        shown = self.shown()["answers"]
        self.assertEqual((shown["sent"], shown["limited"], shown["failed"]), (0, 0, 0))
        rejected = self.reason("in", "efw", "rule_reject")
        self.assertEqual(shown["silent"], rejected)
        self.assertEqual(rejected, len(packets))
        # A frame for all is the kernel's before any rule.
        dgram = ip4(self.ME4, self.SERVER4, UDP, udp(self.ME4, self.SERVER4, 8))
        self.assertEqual(self.ask([self.frame(dgram, "ff:ff:ff:ff:ff:ff")], wait=0.3), [None])
        # The first fragment is answered, as is what is whole.
        first = ip4(self.ME4, self.SERVER4, UDP, udp(self.ME4, self.SERVER4, 40), frag=0x2000)
        self.assertIsNotNone(self.ask([self.frame(first)])[0])

    def test_answer_to_a_tagged_frame_is_routed(self):
        """By the address alone: here without the tag, as the route to the sender has none."""
        self.begin("udp dport 7 reject")
        packet = ip4(self.ME4, self.SERVER4, UDP, udp(self.ME4, self.SERVER4, 8))
        tagged = self.frame(packet, vlan=b"\x81\x00\x00\x05")
        answer = self.ask([tagged])[0]
        self.assertEqual((answer[20], answer[21], answer[28:]), (3, 13, packet))
        nowhere = ip4("203.0.113.9", self.SERVER4, UDP, udp("203.0.113.9", self.SERVER4, 8))
        self.assertEqual(self.ask([self.frame(nowhere, vlan=b"\x81\x00\x00\x05")], wait=0.3), [None])
        self.assertEqual(self.shown()["answers"],
                         {"sent": 1, "limited": 0, "silent": 0, "failed": 1})

    def flood(self, frame):
        """Until answers are withheld; how many frames, and web pages that were got meanwhile."""
        process = subprocess.Popen(
            self.lab.client.command(["python3", "-c", FLOOD, frame.hex()]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lab.processes.append(process)
        pages = 0
        while pages < 20 or not self.shown()["answers"]["limited"]:
            self.assertEqual(self.curl(f"http://{self.SERVER4}/"), "server1")
            pages += 1
        return int(process.communicate("end\n")[0]), pages

    def test_flood(self):
        self.begin("udp dport 7 reject", "tcp accept")
        self.lab.vnf.run("ip", "route", "add", "198.18.0.0/16", "via", self.ME4)
        src, to = "198.18.0.0", self.SERVER4
        frame = self.frame(ip4(src, to, UDP, udp(src, to, 8)))
        before = self.lab.client.link("eth0")[0]
        begun = time.monotonic()
        sent, pages = self.flood(frame)
        self.wait_until_equal(lambda: self.reason("in", "efw", "rule_reject"), sent)
        copied, lost = self.copies()
        self.assertEqual(copied + lost, sent)
        self.wait_until_equal(lambda: sum(self.shown()["answers"].values()), copied)
        took = time.monotonic() - begun
        answers = self.shown()["answers"]
        print(f"\n  flood: {sent} in {took:.1f} s, copies lost {lost}, {answers}, pages {pages}")
        self.assertGreaterEqual(answers["sent"], 1000)
        self.assertLess(answers["sent"], 1000 + 1000 * (took + 0.5))
        self.assertLess(self.lab.client.link("eth0")[0] - before, answers["sent"] + 20 * pages + 50)

    def test_one_sender_is_bounded(self):
        self.begin("udp dport 7 reject")
        begun = time.monotonic()
        self.lab.client.run("python3", "-c", SEND, self.SERVER4, "7", "1000")
        self.wait_until_equal(lambda: sum(self.shown()["answers"].values()), 1000)
        took = time.monotonic() - begun
        sent = self.shown()["answers"]["sent"]
        self.assertGreaterEqual(sent, 100)
        self.assertLessEqual(sent, 100 + 100 * (took + 0.1))

    # -- log

    def log_lines(self):
        text = (self.lab.dir / "evnfd.log").read_text()
        return [line.removeprefix("evnfd: efw packet ") for line in text.splitlines()
                if line.startswith("evnfd: efw packet ")]

    def follow(self, *args, count=20):
        """A reader of the log, and what it has printed so far."""
        number = next(self.readers)
        out = self.lab.dir / f"reader{number}"
        with out.open("wb") as stdout:
            process = subprocess.Popen(
                [str(self.lab.build / "tools/evnf"), "--name", self.lab.name, "--run-dir",
                 str(self.lab.dir / "run"), *args, "efw", "log", "--count", str(count)],
                stdout=stdout, stderr=subprocess.DEVNULL)
        self.lab.processes.append(process)

        def lines():
            text = out.read_text()
            return text[:text.rfind("\n") + 1].splitlines()
        return process, lines

    def send(self, port, count, *sport):
        self.lab.client.run("python3", "-c", SEND, self.SERVER4, str(port), str(count),
                            *map(str, sport))

    def wait_until_read(self, port, *readers):
        """Sends to a port that is logged until all of them have something of it."""
        def read():
            self.send(port, 1)
            return all(lines() for _, lines in readers)
        self.wait_for(read)

    def test_log_lines(self):
        self.begin('udp dport 9 log drop name "voice over IP"', "tcp dport 7 log reject",
                   "icmp log count", "ip6 udp dport 80 log accept", "icmp type 8 drop",
                   "udp dport 10 drop", "udp dport 11 log drop")
        text, records = self.follow(count=1000), self.follow("--json", count=1000)
        self.wait_until_read(11, text, records)
        for _ in range(17):
            self.send(9, 1, 5000)
        self.send(10, 3)
        me, to = self.ME4, self.SERVER4
        me6, to6 = self.ME6, self.SERVER6
        begun = time.time_ns()
        self.ask([self.frame(ip4(me, to, TCP, tcp(me, to, SYN | FIN))),
                  self.frame(ip4(me, to, ICMP, icmp(8, 0))),
                  self.frame(ip6(me6, to6, UDP, udp(me6, to6, 12, port=80)))], wait=0.2)
        wanted = [{"rule": 1, "name": "voice over IP", "action": "drop", "in": "cli0",
                   "protocol": "udp", "source": me, "source_port": 5000, "destination": to,
                   "destination_port": 9, "length": 48}] * 17 + [
            {"rule": 2, "action": "reject", "in": "cli0", "protocol": "tcp", "source": me,
             "source_port": 4000, "destination": to, "destination_port": 7, "flags": "fin,syn",
             "length": 40},
            {"rule": 3, "action": "count", "in": "cli0", "protocol": "icmp", "source": me,
             "destination": to, "type": 8, "code": 0, "length": 36},
            {"rule": 4, "action": "accept", "in": "cli0", "protocol": "udp", "source": me6,
             "source_port": 4000, "destination": to6, "destination_port": 80, "length": 60}]

        def shown(lines):
            """Of what follows the readers' own."""
            return [line for line in lines if "rule=7" not in line and '"rule":7' not in line]
        for lines in (text[1], records[1], self.log_lines):
            self.wait_until_equal(lambda lines=lines: len(shown(lines())), 20)
        got = [json.loads(line) for line in shown(records[1]())]
        times = [r.pop("time_ns") for r in got]
        self.assertEqual(got, wanted)
        self.assertEqual(times, sorted(times))
        self.assertTrue(begun < times[-1] < time.time_ns())
        lines = shown(self.log_lines())
        self.assertEqual(shown(text[1]()), ["efw packet " + line for line in lines])
        at = r"time=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "
        for line, rest in ((lines[0], 'rule=1 name="voice over IP" action=drop in=cli0 protocol=udp '
                            f"source={me} source_port=5000 destination={to} destination_port=9 "
                            "length=48"),
                           (lines[17], "rule=2 action=reject in=cli0 protocol=tcp source=10.0.1.2 "
                            "source_port=4000 destination=10.0.11.2 destination_port=7 "
                            "flags=fin,syn length=40"),
                           (lines[18], "rule=3 action=count in=cli0 protocol=icmp source=10.0.1.2 "
                            "destination=10.0.11.2 type=8 code=0 length=36")):
            self.assertRegex(line, f"^{at}{re.escape(rest)}$")
        self.assertEqual(self.shown()["log"], {"written": len(self.log_lines()), "left_out": 0})

    def test_so_many_read_at_once(self):
        self.begin("udp dport 9 log drop")
        readers = [self.follow(count=1000) for _ in range(4)]
        self.wait_until_read(9, *readers)
        self.assertIn("4 read this already", self.lab.evnf("efw", "log", check=False).stderr)
        readers[0][0].kill()

        def has_room():  # once it is seen that one has gone
            readers[0] = self.follow()
            while readers[0][0].poll() is None:
                self.send(9, 1)
                if readers[0][1]():
                    return True
            return False
        self.wait_for(has_room)
        self.send(9, 20)
        self.assertEqual(readers[0][0].wait(PATIENCE), 0)
        self.assertEqual(len(readers[0][1]()), 20)
        for process, lines in readers[1:]:
            self.wait_for(lambda lines=lines: len(lines()) > 20)
            self.assertIsNone(process.poll())

    def packets_by_cpu(self, counter):
        """What efw has counted on each CPU."""
        path, = Path(PIN_DIR, self.lab.name).glob("abi*/maps/efw/v1/efw_counters")
        key = [f"0x{b:02x}" for b in struct.pack("=I", counter)]
        out = json.loads(self.lab.run(["bpftool", "-j", "map", "lookup", "pinned", path, "key",
                                       *key]).stdout)
        return [int.from_bytes([int(b, 16) for b in cpu["value"][:8]], "little")
                for cpu in out["values"]]

    def test_samples(self):
        self.begin("udp dport 9 log sample 7 drop", "udp dport 10 log drop", "udp dport 11 drop")
        for _ in range(4):
            self.send(9, 50)
        self.wait_until_equal(lambda: sum(self.packets_by_cpu(1)), 200)
        wanted = sum((n + 6) // 7 for n in self.packets_by_cpu(1))
        self.wait_until_equal(lambda: self.shown()["log"]["written"], wanted)
        self.wait_until_equal(lambda: len(self.log_lines()), wanted)
        self.assertEqual(self.copies(), (wanted, 0))

    def test_log_is_bounded_and_complete(self):
        self.begin("udp dport 9 log drop")
        begun = time.monotonic()
        self.send(9, 2000)

        def more():
            return [int(m[1]) for line in (self.lab.dir / "evnfd.log").read_text().splitlines() if
                    (m := re.match(r"evnfd: efw packet: (\d+) more, above 100 lines a second$", line))]
        self.wait_until_equal(lambda: len(self.log_lines()) + sum(more()), 2000)
        seconds = time.monotonic() - begun + 1  # of the clock: the first and the last in part
        self.assertEqual(sum(self.shown()["log"].values()), 2000)
        self.assertEqual(self.copies(), (2000, 0))
        lines = len(self.log_lines())
        self.assertTrue(100 <= lines <= 100 * (seconds + 1), (lines, seconds))
        self.assertLessEqual(len(more()), seconds + 1)

    def test_lost_copies_are_counted(self):
        self.begin("udp dport 9 log drop")
        os.kill(self.lab.daemon.pid, signal.SIGSTOP)
        self.send(9, 20000)
        os.kill(self.lab.daemon.pid, signal.SIGCONT)
        self.wait_until_equal(lambda: self.reason("in", "efw", "rule_drop"), 20000)  # no packet is
        sent, lost = self.copies()
        self.assertEqual(sent + lost, 20000)
        self.assertGreater(lost, 5000)
        self.wait_until_equal(lambda: sum(self.shown()["log"].values()), sent)
        self.assertIn(f"copies sent to them: {sent}, lost: {lost}\n", self.lab.evnf("counters").stdout)

    def test_workers_are_there_when_needed(self):
        self.begin("udp dport 9 drop")
        workers = lambda: self.lab.api("/v1/counters")["workers"]["workers"]
        self.assertEqual(workers(), 0)
        self.lab.evnf("efw", "rule", "add", "udp dport 10 log drop")
        self.assertEqual(workers(), 1)
        reader, lines = self.follow("--json")
        self.wait_until_read(10, (reader, lines))
        self.lab.evnf("efw", "rule", "add", "udp dport 11 reject")  # the same workers
        out = self.lab.client.run("python3", "-c", REFUSED, "udp", self.SERVER4, "11").stdout
        self.assertEqual(int(out), errno.EHOSTUNREACH)
        self.send(10, 20)
        self.assertEqual(reader.wait(PATIENCE), 0)
        self.assertEqual([json.loads(line)["rule"] for line in lines()], [2] * 20)  # across chains
        self.lab.evnf("efw", "rule", "del", "2", "3")
        self.assertEqual(workers(), 0)

    def test_reject_without_the_privilege_is_refused(self):
        self.lab.write_config(CHAIN.format(rules='"udp dport 9 log drop"'))
        log = self.lab.dir / "evnfd.log"
        self.lab.daemon = self.lab.vnf.start(
            "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", self.lab.evnfd, "--config",
            self.lab.config, *self.lab.daemon_args(), log="evnfd.log")
        self.wait_for(lambda: log.exists() and "evnfd: ready" in log.read_text())
        done = self.lab.evnf("efw", "rule", "add", "udp dport 10 reject", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("CAP_NET_RAW", done.stderr)
        self.assertEqual(len(self.shown()["rules"]), 1)


if __name__ == "__main__":
    main()
