#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What lives through restarts and changes, what follows the kernel, and what detaching
leaves: nothing."""
import json
import signal
import socket
import subprocess
from pathlib import Path

from case import LabCase, main
from elb_case import listens
from lab import CONFIG, PIN_DIR, VIP

RULES = f"""
[efw]
rules = ["tcp dport 80 accept", "tcp dport 7000 accept", "udp dport 7000 accept"]

[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
backends = [ {{ address = "10.0.11.2", port = 80 }} ]

[[elb.service]]
address = "{VIP}"
port = 7000
protocol = "tcp"
backends = [ {{ address = "10.0.11.2", port = 7000 }} ]

[[elb.service]]
address = "{VIP}"
port = 7000
protocol = "udp"
backends = [ {{ address = "10.0.11.2", port = 7001 }} ]
"""

# Programs that run inside a namespace: a server that echoes, and a client that sends a
# line for each line it is given.
ECHO = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET, kind)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", int(sys.argv[2])))
if sys.argv[1] == "tcp":
    s.listen()
    c, _ = s.accept()
    while data := c.recv(2000):
        c.sendall(data)
else:
    while True:
        data, peer = s.recvfrom(2000)
        s.sendto(data, peer)
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[3])):
    s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
"""
TALK = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET, kind)
s.settimeout(60)
s.connect((sys.argv[2], int(sys.argv[3])))
for line in sys.stdin:
    s.send(line.encode())
    print(s.recv(2000).decode(), end="", flush=True)
"""


# Asks and waits for the answer, again and again; says how often. None may be lost.
PING = """
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect((sys.argv[1], int(sys.argv[2])))
n = 0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    s.send(b"%d" % n)
    if s.recv(2000) != b"%d" % n:
        sys.exit("another answer")
    n += 1
print(n)
"""


class LifecycleTest(LabCase):
    def begin(self, text=CONFIG + RULES):
        self.lab.write_config(text)
        self.lab.start_daemon()

    def echo(self, server, kind, port):
        server.start("python3", "-c", ECHO, kind, str(port), log="echo.log")
        listens(server, port, kind[0])

    def talk(self, kind, address, port):
        """A client whose say() sends a line and gives the answer."""
        process = subprocess.Popen(
            self.lab.client.command(["python3", "-uc", TALK, kind, address, str(port)]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lab.processes.append(process)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)

        def say(line):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()
        return say

    def test_connection_outlives_everything(self):
        self.begin()
        self.echo(self.lab.servers[0], "tcp", 7000)
        say = self.talk("tcp", VIP, 7000)
        self.assertEqual(say("one"), "one")
        self.lab.kill_daemon()
        self.assertEqual(say("without a daemon"), "without a daemon")
        self.lab.start_daemon()
        self.assertEqual(say("two"), "two")
        self.lab.stop_daemon()
        self.lab.start_daemon()
        self.lab.evnf("efw", "rule", "add", "udp dport 9 drop")
        self.lab.evnf("elb", "backend", "add", "tcp", f"{VIP}:7000", "10.0.12.2:7000")
        self.lab.evnf("elb", "backend", "del", "tcp", f"{VIP}:7000", "10.0.11.2:7000")
        self.assertEqual(say("three"), "three")
        other = self.lab.dir / "other.toml"
        other.write_text((CONFIG + RULES).replace("port = 80\n", "port = 8081\n"))
        self.lab.evnf("apply", other)
        self.assertEqual(say("four"), "four")
        self.lab.evnf("elb", "service", "del", "tcp", f"{VIP}:7000")
        self.assertEqual(say("five"), "five")

    def test_a_rule_expires(self):
        self.begin()
        def shown():
            return [r["rule"] for r in self.lab.evnf_json("efw", "rule", "list")["rules"]]
        before = shown()
        self.lab.evnf("efw", "rule", "add", "--ttl", "4s", "udp", "dport", "9", "drop")
        self.assertEqual(shown(), before + ["udp dport 9 drop"])
        self.wait_for(lambda: shown() == before)

    def test_connection_outlives_another_table_size(self):
        self.begin()
        self.echo(self.lab.servers[0], "tcp", 7000)
        say = self.talk("tcp", VIP, 7000)
        self.assertEqual(say("one"), "one")
        other = self.lab.dir / "other.toml"
        # Nothing places this connection anew: only its entries, carried over, know it.
        text = CONFIG + "[elb]\nconnections = 65536\n" + RULES
        other.write_text(text.replace('"10.0.11.2", port = 7000', '"10.0.12.2", port = 7000'))
        self.lab.evnf("apply", other)
        pinned = f"{PIN_DIR}/{self.lab.name}/abi4/maps/elb/v4/elb_conns"
        shown = self.lab.run(["bpftool", "-j", "map", "show", "pinned", pinned]).stdout
        self.assertEqual(json.loads(shown)["max_entries"], 2 * 65536)
        self.assertEqual(say("two"), "two")
        self.lab.kill_daemon()
        self.lab.start_daemon()
        self.assertEqual(say("three"), "three")

    def test_connections_are_listed_and_forgotten(self):
        self.begin()
        self.echo(self.lab.servers[0], "tcp", 7000)
        say = self.talk("tcp", VIP, 7000)
        self.assertEqual(say("one"), "one")
        shown = self.lab.evnf_json("elb", "conn", "list", "--service", f"{VIP}:7000")
        self.assertEqual([(c["service"], c["backend"], c["state"]) for c in shown],
                         [(f"{VIP}:7000", "10.0.11.2:7000", "established")])
        client = shown[0]["client"].split(":")[0]
        self.assertIn(f"{VIP}:7000", self.lab.evnf("elb", "conn", "list", "--client",
                                                   client).stdout)
        self.assertEqual(self.lab.evnf_json("elb", "conn", "list", "--backend", "10.9.9.9:1"), [])
        done = self.lab.evnf("elb", "conn", "flush", "--backend", "10.0.11.2:7000")
        self.assertEqual(done.stdout, "1 connections forgotten\n")
        self.assertEqual(self.lab.evnf_json("elb", "conn", "list"), [])
        self.assertEqual(say("two"), "two")  # its one backend is the one that it had
        self.assertEqual(say("three"), "three")
        self.assertEqual(len(self.lab.evnf_json("elb", "conn", "list")), 1)

    def test_restart_keeps_rules_and_counters(self):
        self.begin()
        self.curl(f"http://{VIP}/")
        self.lab.evnf("efw", "rule", "add", "priority 5 udp dport 9 drop")
        self.wait_until_closed()
        before = self.lab.evnf("efw", "rule", "list").stdout
        packets = self.slots("in")["elb"]["packets"]
        self.assertGreater(packets, 0)
        self.lab.kill_daemon()
        self.lab.start_daemon()
        self.assertEqual(self.lab.evnf("efw", "rule", "list").stdout, before)
        self.assertEqual(self.slots("in")["elb"]["packets"], packets)
        # The file, once edited, is what counts; the rule added by hand is not in it.
        self.lab.write_config((CONFIG + RULES).replace("udp dport 7000 accept", "udp drop"))
        self.lab.stop_daemon()
        self.lab.start_daemon()
        after = self.lab.evnf("efw", "rule", "list").stdout
        self.assertIn("udp drop", after)
        self.assertNotIn("priority 5", after)

    def test_apply(self):
        self.begin()
        other = self.lab.dir / "other.toml"
        other.write_text((CONFIG + RULES).replace('"tcp dport 80 accept"', '"tcp dport 81 accept"'))
        wanted = "- efw rule tcp dport 80 accept\n+ efw rule tcp dport 81 accept\n"
        self.assertEqual(self.lab.evnf("apply", other, "--dry-run").stdout,
                         wanted + "(dry run: nothing was changed)\n")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.assertEqual(self.lab.evnf("apply", other).stdout, wanted)
        self.assertEqual(self.lab.evnf("apply", other).stdout, "no changes\n")
        self.assertIsNone(self.curl(f"http://{VIP}/", seconds=1))
        self.assertGreater(self.reason("in", "efw", "default_slow"), 0)

    def history(self):
        return [(c["number"], c["what"], c["changes"])
                for c in self.lab.evnf_json("chain", "history")]

    def test_rollback_under_traffic(self):
        self.begin()
        self.echo(self.lab.servers[0], "udp", 7001)
        ping = subprocess.Popen(
            self.lab.client.command(["python3", "-uc", PING, VIP, "7000"]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lab.processes.append(ping)
        rules = self.lab.evnf_json("efw", "rule", "list")["rules"]
        other = "http://10.0.12.2:8080/"
        self.assertEqual(self.curl(other), "server2")
        self.lab.evnf("efw", "rule", "add", "priority 5 tcp dport 8080 drop")
        self.assertIsNone(self.curl(other, seconds=1))
        dropped = self.reason("in", "efw", "rule_drop")
        self.assertGreater(dropped, 0)
        change = ("- chain in: in(cli0) -> efw -> elb -> out\n"
                  "+ chain in: in(cli0) -> elb -> out\n")
        words = ("chain", "set", "in", "in(cli0)->elb->out")
        self.assertEqual(self.lab.evnf(*words, "--dry-run").stdout,
                         change + "(dry run: nothing was changed)\n")
        self.assertIn("efw", self.slots("in"))
        self.assertEqual(self.lab.evnf(*words).stdout, change)
        self.assertEqual(self.curl(other), "server2")  # no firewall
        self.assertNotIn("efw", self.slots("in"))
        before = self.slots("in")["elb"]["packets"]
        self.assertEqual(self.lab.evnf("chain", "rollback").stdout,
                         "- chain in: in(cli0) -> elb -> out\n"
                         "+ chain in: in(cli0) -> efw -> elb -> out\n")
        self.assertIsNone(self.curl(other, seconds=1))
        self.assertGreater(self.slots("in")["elb"]["packets"], before)
        drop = "efw rule priority 5 tcp dport 8080 drop"
        self.assertEqual(self.lab.evnf("chain", "rollback", "1", "--dry-run").stdout,
                         f"- {drop}\n(dry run: nothing was changed)\n")
        dropped = self.reason("in", "efw", "rule_drop")
        self.assertEqual(self.lab.evnf("chain", "rollback", "1").stdout, f"- {drop}\n")
        self.assertEqual(self.curl(other), "server2")
        self.assertEqual(self.reason("in", "efw", "rule_drop"), dropped)  # counted on
        after = self.lab.evnf_json("efw", "rule", "list")["rules"]
        self.assertEqual([(r["id"], r["rule"]) for r in after],
                         [(r["id"], r["rule"]) for r in rules])
        history = self.history()
        self.assertEqual([c[:2] for c in history],
                         [(1, "start"), (2, "efw: POST /rules"), (3, "chain set in"),
                          (4, "rollback to 2"), (5, "rollback to 1")])
        self.assertEqual(history[2][2], change.splitlines())
        # Another daemon knows it all.
        self.lab.kill_daemon()
        self.lab.start_daemon()
        self.assertEqual(self.history(), history)
        self.lab.evnf("chain", "rollback", "4")
        self.assertIsNone(self.curl(other, seconds=1))
        self.assertEqual(self.history()[-1], (6, "rollback to 4", [f"+ {drop}"]))
        # Not one datagram was lost on the way, and each was counted.
        asked, errors = ping.communicate("end\n")
        self.assertEqual(ping.returncode, 0, errors)
        self.assertGreater(int(asked), 100)
        self.assertEqual(self.reason("in", "elb", "to_backend"), int(asked))

    def test_chain_verbs(self):
        self.begin()
        self.lab.evnf("chain", "del", "in")
        self.assertNotIn("xdp", self.lab.vnf.run("ip", "link", "show", "dev", "cli0").stdout)
        self.assertEqual([c["name"] for c in self.lab.evnf_json("chain", "show")], ["back"])
        request = self.lab.dir / "request.json"
        request.write_text('''{
            "nodes": [{"id": "a", "in": ["cli0"]}, {"id": "web", "classify": true},
                      {"id": "fw", "vnf": "efw"}, {"id": "lb", "vnf": "elb"},
                      {"id": "o", "end": "out"}, {"id": "rest", "end": "drop"}],
            "links": [{"from": "a", "to": "web"}, {"from": "web", "to": "fw", "label": "tcp dport 80"},
                      {"from": "web", "to": "rest"}, {"from": "fw", "to": "lb"},
                      {"from": "lb", "to": "o"}]}''')
        self.assertEqual(self.lab.evnf("chain", "set", "in", "--request", request).stdout,
                         "+ chain in: in(cli0) -> { tcp dport 80 -> efw -> elb -> out; "
                         "otherwise -> drop }\n")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.assertIsNone(self.curl("http://10.0.12.2:8080/", seconds=1))

    def test_history_tells_how_it_came(self):
        self.begin()

        def changed(port):
            return (CONFIG + RULES).replace('"tcp dport 80 accept"', f'"tcp dport {port} accept"')

        def last():
            number, what, lines = self.history()[-1]
            return number, what, lines[-1].split()[-2] if lines else ""
        other = self.lab.dir / "other.toml"
        for port in (81, 82):
            other.write_text(changed(port))
            self.lab.evnf("apply", other)
        self.lab.evnf("apply", other)  # no change
        self.assertEqual(last(), (3, "apply", "82"))
        # The daemon's own file was not edited: it does not come back, whatever was applied.
        self.lab.stop_daemon()
        self.lab.start_daemon()
        self.assertEqual(last(), (3, "apply", "82"))
        self.lab.write_config(changed(83))
        self.lab.daemon.send_signal(signal.SIGHUP)
        self.wait_for(lambda: last() == (4, "file edited", "83"))
        self.lab.stop_daemon()
        self.lab.write_config(changed(84))
        self.lab.start_daemon()
        self.assertEqual(last(), (5, "file edited", "84"))
        for port in range(20):
            self.lab.evnf("efw", "rule", "add", f"sctp dport {port} drop")
        self.assertEqual([c[0] for c in self.history()], list(range(10, 26)))
        self.assertRegex(self.lab.evnf("chain", "history").stdout.splitlines()[-1],
                         r"^25 +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  efw: POST /rules  "
                         r"\+ efw rule sctp dport 19 drop$")
        # From a version that kept no history, and all in one file: it begins with what there was.
        self.lab.evnf("efw", "rule", "add", "sctp dport 20 log drop")  # what is not only journaled
        self.lab.stop_daemon()
        kept = self.lab.dir / f"state/{self.lab.name}.json"
        state = json.loads(kept.read_text())
        state["version"] = 1
        del state["history"]
        kept.write_text(json.dumps(state))
        self.lab.write_config(changed(85))
        self.lab.start_daemon()
        self.assertEqual([c[:2] for c in self.history()], [(1, "start"), (2, "file edited")])
        self.lab.evnf("chain", "rollback")
        self.assertIn("sctp dport 19 drop", self.lab.evnf("efw", "rule", "list").stdout)

    def test_detach_leaves_nothing(self):
        self.begin()
        detach = self.lab.vnf.command([self.lab.build / "daemon/evnfd", "--detach",
                                       *self.lab.daemon_args()])
        done = self.lab.run(detach, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("runs already", done.stderr)
        self.lab.stop_daemon()
        ports = ("cli0", "srv1", "srv2")
        self.assertEqual(self.curl("http://10.0.11.2:8080/"), "server1")  # the slow way
        for port in ports:  # the fast path goes on without the daemon
            self.assertIn("xdp", self.lab.vnf.run("ip", "link", "show", "dev", port).stdout)
        self.lab.run(detach)
        for port in ports:
            self.assertNotIn("xdp", self.lab.vnf.run("ip", "link", "show", "dev", port).stdout)
            for hook in ("ingress", "egress"):
                filters = self.lab.vnf.run("tc", "filter", "show", "dev", port, hook).stdout
                self.assertNotIn("bpf", filters)
        self.assertFalse((Path(PIN_DIR) / self.lab.name).exists())
        # What no chain has any more, the kernel forwards.
        self.assertEqual(self.curl("http://10.0.11.2:8080/"), "server1")

    def test_unmatched_meets_iptables(self):
        self.begin()
        self.lab.vnf.run("iptables", "-A", "FORWARD", "-p", "tcp", "--dport", "8080", "-j", "REJECT")
        self.assertIsNone(self.curl("http://10.0.12.2:8080/"))
        self.assertEqual(self.curl("http://10.0.12.2:80/"), "server2")  # accepted: not netfilter's
        rules = self.lab.vnf.run("iptables", "-nvxL", "FORWARD").stdout
        self.assertEqual(next(r for r in rules.splitlines() if "REJECT" in r).split()[0], "1")
        self.lab.vnf.run("iptables", "-F", "FORWARD")
        self.assertEqual(self.curl("http://10.0.12.2:8080/"), "server2")  # the kernel forwards

    def test_udp(self):
        self.begin()
        self.echo(self.lab.servers[0], "udp", 7001)
        say = self.talk("udp", VIP, 7000)
        for i in range(20):
            self.assertEqual(say(f"datagram {i}"), f"datagram {i}")
        self.assertGreaterEqual(self.reason("in", "elb", "to_backend"), 20)
        self.assertGreaterEqual(self.reason("back", "elb", "to_client"), 20)

    def resolved(self):
        return self.lab.evnf_json("counters")["nexthops"]["resolved"]

    def test_next_hops_follow_the_kernel(self):
        self.begin()
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.wait_for(lambda: self.resolved() >= 2)
        # Another server takes the address: a new MAC.
        server = self.lab.servers[0]
        server.run("ip", "link", "set", "eth0", "down")
        server.run("ip", "link", "set", "eth0", "address", "02:aa:bb:cc:dd:ee")
        server.run("ip", "link", "set", "eth0", "up")
        server.run("ip", "route", "add", "default", "via", "10.0.11.1")
        self.wait_for(lambda: self.curl(f"http://{VIP}/", seconds=1) == "server1")
        # The backend's address moves behind the other server: a new route.
        other = self.lab.servers[1]
        other.run("ip", "addr", "add", "10.0.11.2/32", "dev", "lo")
        self.lab.vnf.run("ip", "route", "add", "10.0.11.2/32", "via", "10.0.12.2")
        self.wait_for(lambda: self.curl(f"http://{VIP}/", seconds=1) == "server2")

    def test_forwarding_switched_off_is_obeyed(self):
        self.begin()
        self.assertEqual(self.curl("http://10.0.11.2/"), "server1")
        self.wait_for(lambda: self.resolved() >= 2)
        self.lab.vnf.run("sysctl", "-qw", "net.ipv4.conf.cli0.forwarding=0")
        self.wait_for(lambda: self.curl("http://10.0.11.2/", seconds=1) is None)
        self.assertIn("IPv4 forwarding is off on cli0", self.lab.evnf("status").stdout)
        self.lab.vnf.run("sysctl", "-qw", "net.ipv4.conf.cli0.forwarding=1")
        self.wait_for(lambda: self.curl("http://10.0.11.2/", seconds=1) == "server1")

    def test_policy_routing_is_obeyed(self):
        self.begin()
        self.assertEqual(self.curl("http://10.0.11.2/"), "server1")
        self.wait_for(lambda: self.resolved() >= 2)
        # From this client, everything goes to the other server.
        self.lab.servers[1].run("ip", "addr", "add", "10.0.11.2/32", "dev", "lo")
        self.lab.vnf.run("ip", "route", "add", "default", "via", "10.0.12.2", "table", "77")
        self.lab.vnf.run("ip", "rule", "add", "from", "10.0.1.2", "iif", "cli0", "table", "77")
        self.wait_for(lambda: self.curl("http://10.0.11.2/", seconds=1) == "server2")
        self.assertEqual(self.resolved(), 0)

    def test_interface_comes_back(self):
        self.begin()
        self.lab.vnf.run("ip", "link", "del", "srv1")
        self.wait_for(lambda: "srv1 is missing" in self.lab.evnf("status").stdout)
        self.lab.connect(self.lab.servers[0], "srv1", 11)
        self.wait_for(lambda: self.curl(f"http://{VIP}/", seconds=1) == "server1")
        self.wait_for(lambda: "missing" not in self.lab.evnf("status").stdout)
        self.assertEqual(len(self.lab.evnf_json("status")["interfaces"]), 3)
        self.assertTrue(all(i["xdp"] == "native"
                            for i in self.lab.evnf_json("status")["interfaces"]))

    def test_wire(self):
        # cli0 <-> srv1 as one cable, with nothing routed: client and server in one subnet.
        self.begin("""
[[chain]]
name = "there"
path = "in(cli0) -> efw -> wire(srv1)"
[[chain]]
name = "back"
path = "in(srv1) -> wire(cli0)"
[efw]
default = "accept"
rules = ["tcp dport 8080 drop"]
""")
        server = self.lab.servers[0]
        server.run("ip", "addr", "add", "10.9.9.2/24", "dev", "eth0")
        self.lab.client.run("ip", "addr", "add", "10.9.9.1/24", "dev", "eth0")
        self.assertEqual(self.curl("http://10.9.9.2/"), "server1")  # also ARP went across
        self.assertIsNone(self.curl("http://10.9.9.2:8080/", seconds=1))
        self.assertGreater(self.reason("there", "efw", "rule_drop"), 0)
        neighbours = self.lab.client.run("ip", "neigh", "show", "10.9.9.2").stdout
        self.assertIn(server.mac("eth0"), neighbours)

    def test_hairpin(self):
        # One port for both ways: what comes from the client goes back to it, MACs changed.
        self.begin("""
[[chain]]
name = "pin"
path = "in(cli0) -> hairpin"
""")
        received = self.lab.client.link("eth0")[0]
        self.lab.client.run("python3", "-c", SEND, "10.0.99.9", "9", "3")
        self.wait_until_equal(lambda: self.reason("pin", "hairpin", "redirect"), 3)
        self.wait_for(lambda: self.lab.client.link("eth0")[0] - received >= 3)

    def test_api_is_for_its_group_only(self):
        self.begin()
        path = self.lab.dir / f"run/{self.lab.name}.sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o660)
        with socket.socket(socket.AF_UNIX) as s:  # nonsense does not disturb it
            s.connect(str(path))
            s.sendall(b"\xff\x00 nonsense\r\n\r\n")
        self.assertEqual(self.lab.evnf_json("status")["name"], self.lab.name)


if __name__ == "__main__":
    main()
