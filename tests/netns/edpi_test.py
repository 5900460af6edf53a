#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""edpi between real hosts: what they speak is known by its name, and every packet that the
interface has had is in one record, whatever happens to the table and to the daemon."""
import json
import signal
import socket
import time

from case import main
from edpi_case import CHAINS, FLOOD, EdpiCase
from lab import PATIENCE

# Answers each DNS query with an A record.
DNS = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 53))
while True:
    query, peer = s.recvfrom(512)
    answer = query[:2] + bytes.fromhex("81800001000100000000") + query[12:]
    s.sendto(answer + bytes.fromhex("c00c000100010000003c0004c0000201"), peer)
"""
ASK = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.sendto(bytes.fromhex("123401000001000000000000" "03777777076578616d706c65036f7267000001" "0001"),
         ("10.0.11.2", 53))
print(len(s.recv(512)))
"""
BANNER = """
import socket
s = socket.create_server(("0.0.0.0", 22))
while True:
    c, _ = s.accept()
    c.sendall(b"SSH-2.0-OpenSSH_9.2p1\\r\\n")
    c.recv(100)
    c.close()
"""


class EdpiTest(EdpiCase):
    def test_what_hosts_speak_is_known(self):
        self.start("closed = 60\n")
        key, cert = self.lab.dir / "key", self.lab.dir / "cert"
        self.lab.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                      "-out", cert, "-subj", "/CN=www.example.org"])
        self.serve(443, "openssl", "s_server", "-accept", "443", "-key", key, "-cert", cert, "-www")
        self.serve(53, "python3", "-c", DNS, kind="u")
        self.serve(22, "python3", "-c", BANNER)
        self.assertIsNotNone(self.curl("http://10.0.11.2/index.html"))
        self.assertIsNotNone(self.curl("https://www.example.org/", "-k", "--resolve",
                                       "www.example.org:443:10.0.11.2"))
        self.lab.client.run("python3", "-c", ASK)
        self.lab.client.run("python3", "-c", "import socket; s = socket.create_connection("
                            "('10.0.11.2', 22)); s.sendall(b'SSH-2.0-me\\r\\n'); s.recv(100)")

        def flows():
            found = {f["destination_port"]: f for f in self.lab.evnf_json("edpi", "flows")
                     if "destination_port" in f}
            known = all(found.get(p, {}).get("state") == "classified" for p in (80, 443, 53))
            known &= found.get(22, {}).get("application") == "SSH" # more of it may come
            return found if known else None
        found = self.until(flows)
        self.assertIsNotNone(found, self.lab.evnf("edpi", "flows").stdout)
        self.assertEqual(found[80]["application"], "HTTP")
        self.assertEqual(found[80]["http"]["url"], "10.0.11.2/index.html")
        self.assertEqual(found[443]["application"], "TLS")
        self.assertEqual(found[443]["host"], "www.example.org")
        self.assertEqual(found[443]["tls"]["version"], "TLSv1.3")
        self.assertRegex(found[443]["tls"]["ja3"], "^[0-9a-f]{32}$")
        self.assertEqual(found[53]["application"], "DNS")
        self.assertEqual(found[53]["host"], "www.example.org")
        for f in found.values():
            self.assertEqual(f["source"], "10.0.1.2")
            self.assertGreater(f["packets_back"], 0)
        only = self.lab.evnf_json("edpi", "flows", "--application", "tls", "--host", "example")
        self.assertEqual([f["id"] for f in only], [found[443]["id"]])
        self.assertIn("www.example.org",
                      self.lab.evnf("edpi", "flow", "show", found[443]["id"]).stdout)
        top = self.lab.evnf("edpi", "top", "--count", "1", "--interval", "0.1").stdout
        self.assertIn("TLS", top)
        metrics = self.lab.run(["curl", "-s", "--unix-socket",
                                self.lab.dir / f"run/{self.lab.name}.sock",
                                "http://evnf/metrics"]).stdout
        self.assertRegex(metrics, r'evnf_edpi_application_bytes_total\{.*application="TLS"')
        gone = self.lab.evnf("edpi", "flow", "show", "1023-1", check=False)
        self.assertEqual(gone.returncode, 1)
        self.assertIn("no flow has the id '1023-1'", gone.stderr)

    def test_every_packet_is_in_one_record(self):
        self.start("idle = 2\nclosed = 1\nactive = 1\n")
        began = self.passed()
        self.serve(5201, "iperf3", "-s")
        iperf = self.lab.client.start("iperf3", "-c", "10.0.11.2", "-t", "10", "-b", "300M",
                                      "-P", "4", log="iperf.log")
        time.sleep(1)
        self.lab.client.run("python3", "-c", FLOOD)
        for end in (self.lab.kill_daemon, self.lab.stop_daemon, self.lab.kill_daemon):
            time.sleep(1)
            end()
            self.lab.start_daemon()
        self.lab.evnf("chain", "set", "back", "in(srv1) -> edpi -> host")
        self.lab.evnf("chain", "rollback")
        self.assertEqual(iperf.wait(PATIENCE), 0, (self.lab.dir / "iperf.log").read_text())
        self.balance(began)
        records = self.records()
        self.assertGreater(self.accounted()[1], 50_000_000)
        self.assertLessEqual({"flow", "unaccounted"}, {r["record"] for r in records})
        self.assertLessEqual({"active", "closed", "idle"}, {r.get("end") for r in records})

    def test_a_daemon_that_hangs_and_is_killed_stops_nothing(self):
        self.start("idle = 1\nclosed = 1\n")
        began = self.passed()
        self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.lab.daemon.send_signal(signal.SIGSTOP)  # all its threads: sweeper, workers
        for _ in range(3):
            self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.lab.client.run("python3", "-c", FLOOD)  # the table is full then, and stays so
        self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.lab.daemon.send_signal(signal.SIGCONT)
        self.balance(began)
        self.assertIn("unaccounted", {r["record"] for r in self.records()})
        self.lab.daemon.send_signal(signal.SIGSTOP)
        self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.lab.kill_daemon()
        self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.lab.start_daemon()
        self.balance(began)

    def test_records_wait_for_who_listens(self):
        path = self.lab.dir / "collector"
        self.lab.write_config(CHAINS + f'export = "unix:{path}"\nidle = 1\nclosed = 1\n')
        self.lab.start_daemon()
        self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.wait_for(lambda: "records wait in the flow table" in
                      (self.lab.dir / "evnfd.log").read_text())
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(PATIENCE)
            connection, _ = listener.accept()
            with connection, connection.makefile() as lines:
                records = iter(json.loads(line) for line in lines)
                http = next(r for r in records if r.get("destination_port") == 80)
        self.assertEqual(http["application"], "HTTP")
        self.assertEqual(http["host"], "10.0.11.2")
        self.assertIn(http["end"], ("idle", "closed"))  # though it was refused before

    def test_a_wrong_section_says_what_is_wrong(self):
        self.start()
        for line, what in (('idle = 0', "idle is a number from 1 to 86400"),
                           ('mode = "tpa"', "'tpa' is not a mode: copy, capture, stack, tap or xsk"),
                           ('mode = "tap"', 'mode = "tap" goes with tap = "INTERFACE"'),
                           ('exit = "xsk"', "where the slow packets of edpi go, its mode says"),
                           ('[[edpi.policy]]\nname = "a"\nactoin = "drop"',
                            "'actoin' is not a key of a policy"),
                           ('[[edpi.policy]]\nname = "a"\naction = "drop"\napplication = ["Htp"]',
                            "nDPI has no application 'Htp'"),
                           ('[[edpi.policy]]\nname = "a"\naction = "limit"\nrate = "10 mbit"',
                            'a rate is such as "10 mbit/s"'),
                           ('[[edpi.policy]]\nname = "a"\naction = "drop"\ndscp = 1',
                            "dscp is of the action mark, not of drop"),
                           ('elephants = {}', "elephants are told by application"),
                           ('protocols = "/nowhere"', "read the protocols of /nowhere: No such file"),
                           ('flows = 2048', "has size 1024, wanted is 2048: keep the old value")):
            text = CHAINS.replace("flows = 1024\n", "" if "flows" in line else "flows = 1024\n")
            self.lab.write_config(text + line + "\n")
            done = self.lab.evnf("apply", self.lab.config, check=False)
            self.assertNotEqual(done.returncode, 0, line)
            self.assertIn(what, done.stderr)


if __name__ == "__main__":
    main()
