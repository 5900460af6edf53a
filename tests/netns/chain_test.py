#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each packet visits the places of its chain in order and once, whichever slow paths it
takes on its way."""
import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

from case import LabCase, main
from datagrams import STREAM, Program, deliver, stream
from lab import CONFIG, PIN_DIR, VIP, LabError

POSITIONS = 5
EXITS = {"s": "stack", "t": "tap", "x": "xsk"}
CHOICES = "nstxc"  # go on, slow by each exit, a copy

# Asks one server twice by one connection, the second time when it is told.
HTTP_TWICE = """
import socket, sys
s = socket.create_connection((sys.argv[1], 80), 60)
def ask():
    s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    answer = b""
    while not answer.endswith(b"\\n") or b"\\r\\n\\r\\n" not in answer:
        answer += s.recv(2000)
    print(answer.split(b"\\r\\n\\r\\n")[1].decode().strip(), flush=True)
ask()
sys.stdin.readline()
ask()
"""
SERVICE = f"""
[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
backends = [ {{ address = "10.0.11.2", port = 80 }}, {{ address = "10.0.12.2", port = 8080 }} ]
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

    def deliver(self, packets, wanted=None, idle=0.3):
        """Sends a packet for each text of words; how often each was received, by id, once all of
        them have come, or so many as are wanted, and then none for so many seconds."""
        return deliver(self.lab, self.lab.client, self.lab.servers[0], packets,
                       len(packets) if wanted is None else wanted, idle)

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
        self.assertEqual(self.deliver(["n"]), {0: 1})
        combinations = list(itertools.product(CHOICES, repeat=POSITIONS))
        packets = []
        for combination in combinations:
            words = ""
            for choice in combination:
                words += {"n": "nnn", "c": "cnn", "s": "snn", "t": "nsn", "x": "nns"}[choice]
            packets.append(words)
        before = {name: self.probe(name)["visits"].get("0", [0])[0] for name in names}
        received = self.deliver(packets)
        copies = [sum(one[position] == "c" for one in combinations) for position in range(POSITIONS)]
        self.wait_until_equal(lambda: [sum(self.probe(f"s{position}")["copies"].values())
                                       for position in range(POSITIONS)], copies)
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
            taken = {c: sum(one[position] == c for one in combinations) for c in EXITS}
            slots = self.slots("c")
            for letter in EXITS:
                slot = slots[f"{letter}{position}"]
                self.assertEqual(slot["verdicts"]["slow"]["packets"], taken[letter])
                self.assertEqual(slot["resumed"]["packets"], taken[letter])
            self.assertEqual(sum(probes[f"x{position}"]["held"].values()), taken["x"])
        self.assertGreater(sum(v[1] for v in probes["t4"]["visits"].values()), 1000)  # at tc

    # -- change under load

    def received_while(self, words, change, pause=0.001):
        """Runs `change` while packets flow; how many were sent, and received by id."""
        return stream(self.lab, self.lab.client, self.lab.servers[0], words, change, pause)

    def wait_for_packets(self, count):
        """Until the client has sent so many more."""
        enough = self.lab.client.link("eth0")[1] + count
        self.wait_for(lambda: self.lab.client.link("eth0")[1] > enough)

    def test_each_packet_sees_one_chain_whole(self):
        # Stages are inserted, removed and reordered while packets pass, some of them by the
        # kernel: none is lost, none visits a mixture.
        sections = "".join(f'[{n}]\nvnf = "probe"\nindex = {i}\nexit = "stack"\n'
                           for i, n in enumerate("abcd"))
        orders = ["abc", "cab", "b", "dcba", "abdc"] # the last has all
        files = []
        for i, order in enumerate(orders):
            path = self.lab.dir / f"chain{i}.toml"
            path.write_text('[[chain]]\nname = "c"\npath = "in(cli0) -> ' + " -> ".join(order) +
                            ' -> out"\n' + sections)
            files.append(path)
        self.begin(files[0].read_text())
        self.deliver(["n"])  # id 0 has been seen before the stream

        def change():
            self.wait_for_packets(200)
            for path in files[1:] * 2:
                self.lab.evnf("apply", path)
                self.wait_for_packets(200)

        # Packets that go fast, and such that go the slow way at one of the stages or at all.
        sent, received = self.received_while(["nnnn", "snnn", "nsnn", "nnsn", "ssss"], change)
        self.assertEqual({i: received.get(i) for i in range(sent) if received.get(i) != 1}, {})
        visits = {n: self.probe(n)["visits"] for n in "abcd"}
        mixed = []
        for i in range(1, sent):
            seen = [(visits[n][str(i)][2], n) for n in "abcd" if str(i) in visits[n]]
            twice = any(visits[n][str(i)][0] != 1 for _, n in seen)
            if twice or "".join(n for _, n in sorted(seen)) not in orders:
                mixed.append((i, sorted(seen)))
        self.assertEqual(mixed[:3], [], f"{len(mixed)} packets")
        chains_seen = {"".join(n for _, n in sorted((visits[n][str(i)][2], n) for n in "abcd"
                                                    if str(i) in visits[n]))
                       for i in range(1, sent)}
        self.assertEqual(chains_seen, set(orders))

    def test_stage_swapped_alone(self):
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> a -> b -> out"\n'
                   '[a]\nvnf = "probe"\nindex = 0\n[b]\nvnf = "probe"\nindex = 1\n')
        self.deliver(["n"])
        folder = self.lab.dir / "objects"
        folder.mkdir()
        for name in ("probe.bpf.o", "probe_tc.bpf.o"):
            shutil.copy(self.lab.build / "tests" / name, folder)
        other = self.lab.dir / "other.toml"
        other.write_text(self.lab.config.read_text().replace(
            "[b]\n", f'[b]\nobjects = "{folder}"\n'))

        def change():
            self.wait_for_packets(200)
            for path in (other, self.lab.config, other):
                self.lab.evnf("apply", path)
                self.wait_for_packets(200)

        sent, received = self.received_while(["nn", "sn"], change)
        self.assertEqual({i: received.get(i) for i in range(sent) if received.get(i) != 1}, {})
        # What the stage had seen before, it still has: its state was carried over.
        counts = [v[0] for i, v in self.probe("b")["visits"].items() if int(i) < sent]
        self.assertEqual(len(counts), sent)
        # An object that does not fit, or that others can write, is refused; all goes on.
        shutil.copy(self.lab.build / "tests/recorder.bpf.o", folder / "probe.bpf.o")
        self.lab.evnf("apply", self.lab.config)
        done = self.lab.evnf("apply", other, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no BPF program named probe", done.stderr)
        shutil.copy(self.lab.build / "tests/probe.bpf.o", folder)
        os.chmod(folder / "probe.bpf.o", 0o666)
        done = self.lab.evnf("apply", other, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("can be written by others than root", done.stderr)
        self.assertEqual(self.deliver(["nn"]), {0: 1})

    def test_state_of_another_layout(self):
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> probe -> out"\n')
        self.assertEqual(self.deliver(["n"] * 5), {i: 1 for i in range(5)})
        self.lab.stop_daemon()
        try:
            os.environ["PROBE_STATE_VERSION"] = "3"  # which nobody can convert to
            with self.assertRaises(LabError) as refused:
                self.lab.start_daemon()
            self.assertIn("keeps its state in layout 1, this evnfd in layout 3",
                          str(refused.exception))
            self.assertEqual(self.deliver(["n"]), {0: 1})  # the old one goes on
            os.environ["PROBE_STATE_VERSION"] = "2"
            self.lab.start_daemon()
        finally:
            del os.environ["PROBE_STATE_VERSION"]
        visits = self.probe("probe")["visits"]
        self.assertEqual({i: v[0] for i, v in visits.items()},
                         {"0": 1002, "1": 1001, "2": 1001, "3": 1001, "4": 1001})
        pins = Path(PIN_DIR) / self.lab.name / "abi4/maps/probe"
        self.assertEqual([p.name for p in pins.iterdir()], ["v2"])
        self.lab.stop_daemon()
        try:
            os.environ["PROBE_STATE_VERSION"] = "3"
            (self.lab.dir / f"run/{self.lab.name}.anew").touch()  # what it has seen may be lost
            self.lab.start_daemon()
        finally:
            del os.environ["PROBE_STATE_VERSION"]
        self.assertEqual(self.probe("probe")["visits"], {})
        self.assertEqual([p.name for p in pins.iterdir()], ["v3"])
        self.assertEqual(self.deliver(["n"]), {0: 1})

    # -- the slow path as it is in production

    def test_syn_slow_data_fast(self):
        # netfilter lets connections begin; then a rule makes their data fast.
        vnf = self.lab.vnf
        vnf.run("ip", "link", "add", "vip0", "type", "veth", "peer", "name", "vip1")
        vnf.run("ip", "link", "set", "vip0", "arp", "off", "up")
        vnf.run("ip", "link", "set", "vip1", "up")
        vnf.run("ip", "route", "add", f"{VIP}/32", "dev", "vip0")
        vnf.run("iptables", "-P", "FORWARD", "DROP")
        vnf.run("iptables", "-A", "FORWARD", "-d", VIP, "-p", "tcp", "--dport", "80", "-j",
                "ACCEPT")
        self.begin(CONFIG + SERVICE)
        self.check_both_answer(f"http://{VIP}/")  # balanced, all of it by netfilter
        self.assertIsNone(self.curl(f"http://{VIP}:8081/", seconds=1))  # which refuses the rest
        client = subprocess.Popen(self.lab.client.command(["python3", "-uc", HTTP_TWICE, VIP]),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lab.processes.append(client)
        first = client.stdout.readline()
        self.assertEqual(self.reason("in", "efw", "next"), 0)
        self.lab.evnf("efw", "rule", "add", "tcp dport 80 accept")
        out, _ = client.communicate("go on\n")
        self.assertEqual(out, first)  # the same server
        self.assertGreater(self.reason("in", "efw", "next"), 0)  # and by XDP
        self.wait_until_closed()
        packets = next(r for r in vnf.run("iptables", "-nvxL", "FORWARD").stdout.splitlines()
                       if "ACCEPT" in r and VIP in r).split()[0]
        self.assertEqual(int(packets), self.slots("in")["elb"]["packets"] -
                         self.reason("in", "efw", "next"))

    def test_lost_place_is_closed(self):
        # Another tc program takes the packet's place away: it must not pass the stages by.
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> a -> b -> out"\n'
                   '[a]\nvnf = "probe"\nindex = 0\n[b]\nvnf = "probe"\nindex = 1\n')
        self.assertEqual(self.deliver(["sn"] * 3), {0: 1, 1: 1, 2: 1})
        self.lab.vnf.run("tc", "filter", "add", "dev", "cli0", "ingress", "prio", "2", "bpf", "da",
                         "obj", self.lab.build / "tests/accept.bpf.o", "sec", "tc")
        self.assertEqual(self.deliver(["sn"] * 3, 0), {})
        self.wait_for(lambda: self.reason("c", "root@cli0", "place_lost") >= 3)
        self.lab.vnf.run("tc", "filter", "del", "dev", "cli0", "ingress", "prio", "2")
        self.assertEqual(self.deliver(["sn"]), {0: 1})

    def test_too_late_for_its_chain(self):
        # A packet is with its slow path for longer than its generation is there.
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> a -> b -> out"\n'
                   '[a]\nvnf = "probe"\nindex = 0\n[b]\nvnf = "probe"\nindex = 1\n')
        vnf = self.lab.vnf
        self.assertEqual(self.deliver(["sn"]), {0: 1})  # and neighbours are known
        vnf.run("ip", "link", "set", "srv1", "down")
        vnf.run("ip", "link", "set", "srv1", "up")
        vnf.run("ip", "route", "replace", "10.0.11.0/24", "dev", "srv1")
        # Until its neighbour answers, the kernel keeps the packet.
        self.lab.servers[0].run("sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore=8")
        vnf.run("ip", "neigh", "flush", "dev", "srv1")
        vnf.run("sysctl", "-qw", "net.ipv4.neigh.srv1.mcast_solicit=100")
        self.assertEqual(self.deliver(["sn", "sn"], 0), {})
        other = self.lab.dir / "other.toml"
        other.write_text(self.lab.config.read_text().replace("a -> b", "b -> a"))
        self.lab.evnf("apply", other)
        generations = Path(PIN_DIR, self.lab.name)
        self.wait_for(lambda: len(list(generations.glob("abi*/gen/*"))) == 1)  # one is retired
        self.lab.servers[0].run("sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore=0")
        self.wait_for(lambda: self.reason("c", "a", "place_lost") >= 2)
        self.assertEqual(self.reason("c", "a", "place_lost"), 2)
        self.assertEqual(self.probe("b")["visits"], {"0": self.probe("b")["visits"]["0"]})
        self.assertEqual(self.deliver(["sn"]), {0: 1})

    def test_way_out_by_a_new_interface(self):
        # The kernel sends the packet out of an interface that came after the chains.
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> a -> b -> out"\n'
                   '[a]\nvnf = "probe"\nindex = 0\n[b]\nvnf = "probe"\nindex = 1\n')
        self.lab.vnf.run("ip", "link", "del", "srv1")
        self.lab.connect(self.lab.servers[0], "srv9", 11)
        self.wait_for(lambda: "bpf" in self.lab.vnf.run("tc", "filter", "show", "dev", "srv9",
                                                        "egress").stdout)
        self.assertEqual(self.deliver(["sn"] * 3), {0: 1, 1: 1, 2: 1})
        self.assertEqual([self.probe("b")["visits"][str(i)][:2] for i in range(3)], [[1, 1]] * 3)

    def test_exit_down(self):
        # Nobody at the exit: a firewall closes, a classifier goes on, as configured.
        self.tap("tap0")
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> a -> b -> out"\n'
                   '[a]\nvnf = "probe"\nindex = 0\nexit = "tap"\ntap = "tap0"\n'
                   'exit_down = "next"\n'
                   '[b]\nvnf = "probe"\nindex = 1\nexit = "xsk"\n')
        self.assertEqual(self.deliver(["ss"]), {0: 1})
        self.lab.vnf.run("ip", "link", "del", "tap0")
        self.assertEqual(self.deliver(["sn"] * 2), {0: 1, 1: 1})
        self.assertEqual(self.reason("c", "a", "exit_down"), 2)
        self.lab.kill_daemon()  # its workers and sockets are gone with it, which is seen soon
        time.sleep(3.5)
        self.assertEqual(self.deliver(["ns"] * 2, 0), {})
        self.assertEqual(self.deliver(["nn"] * 2), {0: 1, 1: 1})
        self.tap("tap0")
        self.lab.start_daemon()
        self.assertEqual(self.reason("c", "b", "exit_down"), 2)
        self.assertEqual(self.deliver(["ns"] * 2), {0: 1, 1: 1})

    def test_frames_too_long_to_be_held(self):
        for host in (self.lab.client, self.lab.vnf, self.lab.servers[0]):
            for link in ("eth0", "cli0", "srv1"):
                host.run("ip", "link", "set", link, "mtu", "3490", check=False)
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> a -> b -> out"\n'
                   '[a]\nvnf = "probe"\nindex = 0\nexit = "xsk"\nexit_down = "next"\n'
                   '[b]\nvnf = "probe"\nindex = 1\n')
        headers, most = 14 + 20 + 8 + 4, 3300
        frames = [1514, most - 1, most, most + 1, 3400, 3420, 3450, 3504]
        self.assertEqual(self.deliver([("s" + "n" * POSITIONS).ljust(size - headers, "n")
                                       for size in frames], idle=0.5),
                         {i: 1 for i in range(len(frames))})
        self.assertEqual(self.reason("c", "a", "exit_down"),
                         sum(size > most for size in frames))

    def test_workers_come_and_go(self):
        # A worker that takes 2 ms for each copy cannot follow who sends as fast as it can.
        self.begin('[[chain]]\nname = "c"\npath = "in(cli0) -> a -> out"\n'
                   '[a]\nvnf = "probe"\nindex = 0\ndelay_us = 2000\n')
        self.deliver(["n"])

        def workers():
            return self.lab.evnf_json("counters")["workers"]
        seen = [workers()["workers"]]
        sender = Program(self.lab, self.lab.client, STREAM, "10.0.11.2", "c", 0)

        def more_came():
            seen.append(workers()["workers"])
            return seen[-1] > 1
        self.wait_for(more_came)
        sender.end()
        self.assertEqual((seen[0], seen[-1]), (1, 2))  # one more, once in a cool-down
        self.assertGreater(workers()["copies_lost"], 0)


if __name__ == "__main__":
    main()
