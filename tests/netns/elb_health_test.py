#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Backends that die, lie, are busy or are drained: who gets new connections, with real nginx
and real snmpd. Nothing here is about how fast: what is waited for must come at some time."""
import json
import re
import subprocess
import sys
import time

from case import LabCase, Load, main
from lab import CONFIG, PATIENCE, VIP, VIP6

ONE, TWO = "10.0.11.2:80", "10.0.12.2:80"
SERVICE = ("tcp", f"{VIP}:80")

SERVICES = f"""
[efw]
rules = ["tcp dport 80 accept"]

[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
%s
backends = [ {{ address = "10.0.11.2", port = 80, weight = 2 %s }},
             {{ address = "10.0.12.2", port = 80, weight = 2 %s }} ]
"""

NGINX = """\
pid {dir}/{name}-check.pid; error_log {dir}/{name}-check.err; daemon on; worker_processes 1;
user root;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 81; server_name web.test; root {dir}/{name}-www; }}
  server {{ listen 81 default_server; return 404; }}
  server {{ listen 8443 ssl; ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
            root {dir}/{name}-www; }}
}}
"""

# What the load is comes from a file that the test writes.
SNMPD = """\
agentaddress udp:161
rocommunity s3cret-community
createUser evnf SHA s3cret-auth-phrase AES s3cret-priv-phrase
rouser evnf priv
pass -p 1 .1.3.6.1.4.1.2021.11.11 /bin/sh {dir}/{name}-idle.sh
""" + "".join(f"override .1.3.6.1.2.1.25.3.3.1.2.{n} integer {n}\n" for n in range(1, 41))
IDLE = """\
echo .1.3.6.1.4.1.2021.11.11.0
echo integer
cat {dir}/{name}-idle
"""

# One connection, over which a request goes each time that a line comes.
KEPT = f"""
import http.client, sys
connection = http.client.HTTPConnection("{VIP}", timeout=60)
for line in sys.stdin:
    connection.request("GET", "/")
    print(connection.getresponse().read().decode().strip(), flush=True)
"""


class ElbHealthCase(LabCase):
    keepalive_requests = 4

    def start(self, service="", one="", two="", more=""):
        self.lab.write_config(CONFIG + more + SERVICES % (service, one, two))
        self.lab.start_daemon()

    def wait(self, what, holds):
        """Until something holds; what it was at last is in the failure."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            value = what()
            if holds(value):
                return value
            time.sleep(0.1)
        self.fail(f"it is still {value}\n" +
                  (self.lab.dir / "evnfd.log").read_text()[-3000:])

    def rows(self, kind):
        return {b["backend"]: b for s in self.lab.evnf_json("elb", kind, "show")
                for b in s["backends"]}

    def health(self, backend):
        return self.rows("health")[backend]

    def wait_state(self, backend, *states):
        return self.wait(lambda: self.health(backend), lambda h: h["state"] in states)

    def connections(self):
        for service in self.lab.evnf_json("elb", "backend", "list")["service"]:
            if service["address"] == VIP:
                return {f"{b['address']}:{b['port']}": b["connections"]
                        for b in service["backends"]}

    def answers(self):
        """Of so many that both servers are among them, if both may be: all but one in 10^9 times."""
        return {self.curl(f"http://{VIP}/") for _ in range(32)}

    def stop_nginx(self, server):
        self.lab.end_nginx(self.lab.dir / f"{server.name}.pid")


class HealthTest(ElbHealthCase):
    def start_check_nginx(self):
        self.lab.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                      "-subj", "/CN=web.test", "-addext", "subjectAltName=DNS:web.test",
                      "-keyout", self.lab.dir / "key.pem", "-out", self.lab.dir / "cert.pem"])
        for server in self.lab.servers:
            www = self.lab.dir / f"{server.name}-www"
            www.mkdir()
            self.say(server, "ready to serve")
            conf = self.lab.dir / f"{server.name}-check.conf"
            conf.write_text(NGINX.format(dir=self.lab.dir, name=server.name))
            server.run("nginx", "-c", conf)

    def say(self, server, text):
        (self.lab.dir / f"{server.name}-www/health").write_text(text + "\n")

    def test_a_backend_dies_and_comes_back_slowly(self):
        self.start('health = { type = "tcp", interval = 0.5, timeout = 30, fall = 2, slow_start = 6 }', more=f"""
[[elb.service]]
address = "{VIP6}"
port = 80
protocol = "tcp"
health = {{ type = "http", interval = 0.5, timeout = 30 }}
backends = [ {{ address = "fd00:11::2", port = 80 }}, {{ address = "fd00:12::2", port = 82 }} ]
""")
        for backend in (ONE, TWO, "[fd00:11::2]:80"):
            self.wait_state(backend, "up")
        self.wait_state("[fd00:12::2]:82", "down")  # nobody listens there
        self.assertEqual(self.answers(), {"server1", "server2"})

        self.stop_nginx(self.lab.servers[0])
        down = self.wait_state(ONE, "down")
        self.assertIn("refused", down["last"]["text"])
        self.assertGreaterEqual(down["last"]["in_a_row"], 2)
        self.assertEqual(down["effective"], 0)
        self.lab.evnf("elb", "health", "show")
        # The fast path reads what is known twice a second.
        self.wait(self.answers, lambda a: a == {"server2"})
        before = self.connections()
        self.assertEqual(self.answers(), {"server2"})
        self.assertEqual(self.connections()[ONE], before[ONE])

        self.lab.start_nginx(self.lab.servers[0])
        starting = self.wait_state(ONE, "starting")
        self.assertGreater(starting["effective"], 0)
        self.assertLess(starting["effective"], 2)
        grown = self.wait(lambda: self.health(ONE),
                          lambda h: h["effective"] > starting["effective"])
        self.assertIn(grown["state"], ("starting", "up"))
        self.assertEqual(self.wait_state(ONE, "up")["effective"], 2)
        self.assertEqual(self.answers(), {"server1", "server2"})

    def test_what_a_server_says_counts(self):
        self.start_check_nginx()
        self.start('health = { type = "http", port = 81, path = "/health", host = "web.test", '
                   'status = 200, body_regex = "^ready( |$)", interval = 0.3, panic = 0 }')
        self.wait_state(ONE, "up")
        self.wait_state(TWO, "up")
        self.say(self.lab.servers[0], "busy, not ready")
        down = self.wait_state(ONE, "down")
        self.assertEqual(down["last"]["text"],
                         "status 200, but '^ready( |$)' does not match in the body")
        self.assertEqual(self.wait(self.answers, lambda a: a == {"server2"}), {"server2"})
        self.say(self.lab.servers[1], "busy, too")
        self.wait_state(TWO, "down")
        self.wait(lambda: self.curl(f"http://{VIP}/", seconds=1), lambda a: a is None)

        # With a panic threshold the same is no reason to send everybody away.
        config = self.lab.write_config(
            CONFIG + SERVICES % ('health = { type = "http", port = 81, path = "/health", '
                                 'host = "web.test", interval = 0.3, body = "ready to", '
                                 'panic = 40 }', "", ""))
        self.lab.evnf("apply", config)
        self.wait(lambda: self.lab.evnf_json("elb", "health", "show")[0], lambda s: s["panics"])
        self.assertEqual(self.wait(self.answers, lambda a: len(a) == 2), {"server1", "server2"})
        # In the name of another host there is no such page.
        self.say(self.lab.servers[0], "ready to serve")
        self.wait_state(ONE, "up")
        config = self.lab.write_config(
            CONFIG + SERVICES % ('health = { type = "http", port = 81, path = "/health", '
                                 'interval = 0.3 }', "", ""))
        self.lab.evnf("apply", config)
        self.assertEqual(self.wait_state(ONE, "down")["last"]["text"],
                         "status 404 is not one that is good")

    def test_https_and_certificates(self):
        self.start_check_nginx()
        self.start('health = { type = "https", port = 8443, path = "/health", host = "web.test", '
                   'interval = 0.3, verify = true }',
                   one=f', health = {{ ca_file = "{self.lab.dir}/cert.pem" }}')
        self.wait_state(ONE, "up")
        self.assertIn("certificate", self.wait_state(TWO, "down")["last"]["text"])
        config = self.lab.config.read_text().replace("verify = true", "verify = false")
        self.lab.evnf("apply", self.lab.write_config(config))
        self.wait_state(TWO, "up")

    def test_scripts_and_backups(self):
        script = self.lab.dir / "check.sh"
        script.write_text('test "$EVNF_PORT" = 80 && test "$(id -u)" = 65534 && '
                          'test "$EVNF_ADDRESS" != 10.0.12.2\n')
        # Whoever runs the script must be able to read it: it comes as an argument.
        text = script.read_text().strip().replace('"', '\\"')
        self.start('health = { type = "script", interval = 0.3, timeout = 5, '
                   f'command = ["/bin/sh", "-c", "{text}"] }}', one=", backup = true")
        up = self.wait_state(ONE, "up")
        self.assertEqual(up["last"]["text"], "exit code 0")
        self.assertEqual(self.wait_state(TWO, "down")["last"]["text"], "exit code 1")
        # The backup serves when nobody else does.
        self.assertEqual(self.wait(self.answers, lambda a: a == {"server1"}), {"server1"})
        self.assertTrue(self.lab.evnf_json("elb", "health", "show")[0]["on_backups"])
        config = self.lab.config.read_text().replace(" != ", " = ")
        self.lab.evnf("apply", self.lab.write_config(config))
        self.wait_state(TWO, "up")
        self.assertEqual(self.wait(self.answers, lambda a: a == {"server2"}), {"server2"})
        config = re.sub(r"command = .*\]", 'command = ["/bin/sleep", "60"], timeout = 0.3',
                        self.lab.config.read_text().replace(" timeout = 5,", ""))
        self.lab.evnf("apply", self.lab.write_config(config))
        self.assertEqual(self.wait_state(TWO, "down")["last"]["text"], "the script takes too long")

    def drain(self, verb, *more, check=True):
        return self.lab.evnf("elb", "backend", verb, *SERVICE, ONE, *more, check=check)

    def test_a_drain_keeps_connections_and_outlives_the_daemon(self):
        self.start('health = { type = "tcp", interval = 0.5, timeout = 30 }')
        self.wait_state(ONE, "up")
        kept = None
        while kept is None:  # a connection that server1 has
            one = subprocess.Popen(
                self.lab.client.command([sys.executable, "-uc", KEPT]), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True)
            self.lab.processes.append(one)
            self.addCleanup(one.stdout.close)
            self.addCleanup(one.stdin.close)
            if self.ask(one) == "server1":
                kept = one
        self.assertEqual(self.drain("drain").stdout,
                         f"draining tcp {VIP}:80 -> {ONE}\n")
        self.assertEqual(self.answers(), {"server2"})  # at once
        self.wait_state(ONE, "draining")
        self.assertEqual(self.ask(kept), "server1")

        # What was known is known to the next daemon, also that server2 is down.
        self.stop_nginx(self.lab.servers[1])
        self.wait_state(TWO, "down")
        self.lab.stop_daemon()
        self.lab.start_daemon()
        self.assertEqual(self.health(TWO)["state"], "down")
        self.assertEqual(self.health(ONE)["state"], "draining")
        self.assertIsNone(self.curl(f"http://{VIP}/", seconds=1))
        self.assertEqual(self.ask(kept), "server1")

        self.drain("drain", "--deadline", "1")
        self.wait_state(ONE, "drained")
        self.drain("undrain")
        self.assertEqual(self.answers(), {"server1"})
        refused = self.drain("undrain", check=False)
        self.assertIn("does not drain", refused.stderr)
        # A change of the section keeps what is known.
        self.drain("drain")
        self.lab.evnf("elb", "backend", "set", *SERVICE, TWO, "weight", 3)
        self.assertEqual(self.health(ONE)["state"], "draining")
        self.assertEqual(self.health(TWO)["state"], "down")

    def ask(self, connection):
        connection.stdin.write("\n")
        connection.stdin.flush()
        return connection.stdout.readline().strip()


class FeedbackTest(ElbHealthCase):
    keepalive_requests = 1

    def setUp(self):
        super().setUp()
        self.snmpds = {}
        for server in self.lab.servers:
            script = self.lab.dir / f"{server.name}-idle.sh"
            script.write_text(IDLE.format(dir=self.lab.dir, name=server.name))
            self.idle(server, 50)
            self.start_snmpd(server)
        for name, text in (("community", "s3cret-community"), ("auth", "s3cret-auth-phrase"),
                           ("priv", "s3cret-priv-phrase")):
            (self.lab.dir / name).write_text(text + "\n")
            (self.lab.dir / name).chmod(0o600)

    def start_snmpd(self, server):
        conf = self.lab.dir / f"{server.name}-snmpd.conf"
        conf.write_text(SNMPD.format(dir=self.lab.dir, name=server.name))
        state = self.lab.dir / f"{server.name}-snmp"
        state.mkdir(exist_ok=True)
        self.snmpds[server] = server.start("env", f"SNMP_PERSISTENT_DIR={state}", "snmpd", "-f",
                                           "-Lo", "-C", "-c", conf, log=f"{server.name}-snmpd.log")

    def idle(self, server, percent):
        (self.lab.dir / f"{server.name}-idle").write_text(f"{percent}\n")

    def feedback(self, backend):
        return self.rows("feedback")[backend]

    def table(self, snmp, more="", indices='{ preset = "cpu" }'):
        return (f'feedback = {{ interval = 0.5, gain = 0.5, bounds = [0.25, 4], smoothing = 0.2, '
                f'hold = 6, {more} snmp = {{ {snmp} }}, indices = [ {indices} ] }}')

    def check_shares(self):
        """New connections go by the weights in force, which must stand still meanwhile."""
        before, load = self.connections(), Load(self, f"http://{VIP}/")
        made = dict.fromkeys(before, 0)
        while sum(made.values()) < 5000:
            time.sleep(0.5)
            after = self.connections()
            made = {b: after[b] - before[b] for b in (ONE, TWO)}
        load.end()
        weights = {b: self.feedback(b)["effective"] for b in (ONE, TWO)}
        share = made[ONE] / sum(made.values())
        self.assertLess(abs(share - weights[ONE] / sum(weights.values())), 0.04, (made, weights))
        return share

    def test_weights_follow_the_load(self):
        one, two = self.lab.servers
        self.idle(one, 100)
        self.idle(two, 0)
        self.start(self.table(f'version = "2c", community_file = "{self.lab.dir}/community"',
                              more="threshold = 0.01,"))
        # An idle server's weight grows to its bound, that of one whose load is above the
        # target shrinks.
        self.wait(lambda: self.feedback(ONE), lambda f: f["effective"] == 8)
        row = self.wait(lambda: self.feedback(TWO), lambda f: f["effective"] == 0.5)
        self.assertEqual(row["indices"], [{"name": "cpu", "share": 1, "value": 0, "load": 1}])
        self.assertGreater(row["aggregate"], 0.95)
        self.assertGreater(self.check_shares(), 0.85)
        self.idle(one, 0)
        self.idle(two, 100)
        self.wait(lambda: self.feedback(TWO), lambda f: f["effective"] == 8)
        self.wait(lambda: self.feedback(ONE), lambda f: f["effective"] == 0.5)
        self.assertLess(self.check_shares(), 0.15)

        # Who says nothing any more keeps its weight, and then has the static one.
        self.snmpds[two].kill()
        self.snmpds[two].wait()
        held = self.wait(lambda: self.feedback(TWO), lambda f: "error" in f)
        self.assertEqual((held["state"], held["effective"]), ("held", 8))
        static = self.wait(lambda: self.feedback(TWO), lambda f: f["state"] == "static")
        self.assertEqual(static["effective"], 2)
        self.start_snmpd(two)
        self.wait(lambda: self.feedback(TWO), lambda f: f["state"] == "fresh")
        metrics = self.lab.run(["curl", "-s", "--unix-socket",
                                self.lab.dir / f"run/{self.lab.name}.sock",
                                "http://evnf/metrics"]).stdout
        self.assertRegex(metrics, r'evnf_elb_backend_load\{[^}]*backend="10.0.11.2:80"')

    def test_version_3_and_its_secrets(self):
        one, _ = self.lab.servers
        (self.lab.dir / "auth").chmod(0o644)
        self.start(self.table(f'version = "3", user = "evnf", auth_file = "{self.lab.dir}/auth", '
                              f'priv_file = "{self.lab.dir}/priv"', more='target = "mean",',
                              indices='{ preset = "cpu" }, { preset = "memory", weight = 0.5 }, '
                                      '{ preset = "processors", weight = 0.01 }'))
        row = self.wait(lambda: self.feedback(ONE), lambda f: "error" in f)
        self.assertIn("chmod 600", row["error"])
        (self.lab.dir / "auth").chmod(0o600)
        row = self.wait(lambda: self.feedback(ONE), lambda f: f["state"] == "fresh")
        self.assertEqual([i["name"] for i in row["indices"]], ["cpu", "memory", "processors"])
        self.assertEqual(row["indices"][0]["value"], 50)
        self.assertEqual(row["indices"][2]["value"], 20.5)  # the mean of 40 processors
        for index in row["indices"]:
            self.assertTrue(0 <= index["load"] <= 1, row)
        # The agent starts anew, with other clocks: it is understood again.
        self.snmpds[one].kill()
        self.snmpds[one].wait()
        self.wait(lambda: self.feedback(ONE), lambda f: "error" in f)
        self.start_snmpd(one)
        self.wait(lambda: self.feedback(ONE), lambda f: f["state"] == "fresh")
        # A wrong passphrase is said to be so, and none is said.
        (self.lab.dir / "priv").write_text("another-phrase\n")
        (self.lab.dir / "auth").write_text("another-phrase\n")
        row = self.wait(lambda: self.feedback(ONE), lambda f: "error" in f)
        said = (json.dumps(self.lab.api("/v1/config")) + json.dumps(self.lab.api("/v1/elb")) +
                json.dumps(self.rows("feedback")) + (self.lab.dir / "evnfd.log").read_text())
        self.assertNotIn("s3cret", said)
        self.assertNotIn("another-phrase", said)

    def test_agents_that_are_no_snmp(self):
        one, two = self.lab.servers
        agent = ("import socket, sys\n"
                 "s = socket.create_server(('', 9707))\n"
                 "while True:\n"
                 "    c = s.accept()[0]\n"
                 "    c.sendall(sys.argv[1].encode() + b'\\n')\n"
                 "    c.close()\n")
        one.start(sys.executable, "-c", agent, "75% up", log="agent1.log")
        two.start(sys.executable, "-c", agent, "busy", log="agent2.log")
        www = self.lab.dir / "server1-www"
        www.mkdir()
        (www / "load.json").write_text(json.dumps({"cpu": {"load": 0.5}}))
        one.start(sys.executable, "-m", "http.server", "8000", "-d", www, log="www.log")
        self.start(self.table("", indices='{ tcp = 9707 }, '
                                          '{ http = "/load.json", port = 8000, '
                                          'field = "/cpu/load", range = [0, 1], weight = 3 }'))
        row = self.wait(lambda: self.feedback(ONE), lambda f: f["state"] == "fresh")
        self.assertEqual([i["load"] for i in row["indices"]], [0.25, 0.5])
        self.assertEqual(row["indices"][1]["share"], 0.75)
        row = self.wait(lambda: self.feedback(TWO), lambda f: "error" in f)
        self.assertEqual(row["state"], "static")
        self.assertEqual(row["effective"], 2)


if __name__ == "__main__":
    main()
