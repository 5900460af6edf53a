#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The server answers as its OpenAPI file says: every operation, every answer, exactly."""
import json
import subprocess

from case import LabCase, main
from lab import CONFIG, VIP

SERVICE = f"/v1/elb/services/tcp/{VIP}:80"

REQUEST = {"nodes": [{"id": "i", "in": ["srv1", "srv2"]}, {"id": "lb", "vnf": "elb"},
                     {"id": "o", "end": "out"}],
           "links": [{"from": "i", "to": "lb"}, {"from": "lb", "to": "o"}], "xdp": "native"}

BLOCKED = "/v1/efw/sets/blocked"
SETS = """
[efw.sets.blocked]
type = "addr"
size = 3
"""

# (method, path, body, status): each operation, and each kind of error that it may give.
CALLS = [
    ("post", "/v1/efw/rules", {"rule": "tcp dport 80 accept"}, 200),
    ("post", "/v1/efw/rules", {"rule": "tcp dport 80 accept"}, 409),
    ("post", "/v1/efw/rules", {"rule": "tcp dprt 80 accept"}, 400),
    ("post", "/v1/efw/rules", {"rules": 1}, 400),
    ("post", "/v1/efw/rules", {"rule": "udp dport 7 drop", "ttl": 600, "owner": "web"}, 200),
    ("put", "/v1/efw/rules", {"rules": ["udp dport 8 drop"], "owner": "web"}, 200),
    ("put", "/v1/efw/rules", {"rules": ["udp dprt 8 drop"]}, 400),
    ("put", "/v1/efw/rules", {"rules": [], "owner": "web"}, 200),
    ("post", "/v1/efw/explain", {"packet": "udp 10.0.1.2:1 > 10.0.11.2:7 in cli0"}, 200),
    ("post", "/v1/efw/explain", {"packet": "udp"}, 400),
    ("post", "/v1/efw/explain?instance=none", {"packet": "udp 10.0.1.2:1 > 10.0.11.2:7"}, 404),
    ("get", "/v1/efw/offload?instance=none", None, 404),
    ("put", "/v1/efw/offload", {"enabled": True}, 200),
    ("get", "/v1/efw/offload", None, 200),
    ("put", "/v1/efw/offload", {"enabled": 1}, 400),
    ("put", "/v1/efw/offload", {"enabled": False}, 200),
    ("get", "/v1/efw/sets", None, 200),
    ("get", "/v1/efw/sets?instance=none", None, 404),
    ("post", f"{BLOCKED}/elements", {"add": ["203.0.113.7", "2001:db8::/32"]}, 200),
    ("post", f"{BLOCKED}/elements", {"add": ["203.0.113.8"], "del": ["203.0.113.7"]}, 200),
    ("post", f"{BLOCKED}/elements", {"add": ["203.0.113.7/24"]}, 400),
    ("post", f"{BLOCKED}/elements", {"ad": []}, 400),
    ("post", f"{BLOCKED}/elements", {"add": ["1.1.1.1", "1.1.1.2"]}, 507),
    ("post", "/v1/efw/sets/none/elements", {"add": []}, 404),
    ("get", BLOCKED, None, 200),
    ("get", f"{BLOCKED}?from=x", None, 400),
    ("get", "/v1/efw/sets/none", None, 404),
    ("post", f"{BLOCKED}/test", {"of": "2001:db8::1"}, 200),
    ("post", f"{BLOCKED}/test", {"of": "203.0.113.7"}, 200),
    ("post", f"{BLOCKED}/test", {"of": 7}, 400),
    ("post", "/v1/efw/sets/none/test", {"of": "::1"}, 404),
    ("put", f"{BLOCKED}/elements", {"elements": ["198.51.100.0/24"]}, 200),
    ("put", f"{BLOCKED}/elements", {"elements": "198.51.100.0/24"}, 400),
    ("put", "/v1/efw/sets/none/elements", {"elements": []}, 404),
    ("post", "/v1/elb/services", {"address": VIP, "port": 80, "protocol": "tcp"}, 200),
    ("post", "/v1/elb/services", {"address": VIP, "port": 80, "protocol": "tcp"}, 409),
    ("post", "/v1/elb/services", {"address": VIP, "port": 0, "protocol": "tcp"}, 400),
    ("post", "/v1/elb/services", {"address": VIP, "port": ["70-90", 100], "protocol": "tcp",
                                  "backends": [{"address": "10.0.11.2"}]}, 200),
    ("post", "/v1/elb/services", {"address": VIP, "port": "90-99", "protocol": "tcp"}, 400),
    ("put", "/v1/elb/services", {"services": [{"address": VIP, "port": 80, "protocol": "tcp"}]},
     200),
    ("put", "/v1/elb/services", {"services": [{"address": VIP, "port": 80}]}, 400),
    ("put", SERVICE, {"balance": "least_connections", "affinity": "source",
                      "affinity_timeout": 60}, 200),
    ("put", SERVICE, {"affinity": "cookie"}, 400),
    ("put", f"{SERVICE}1", {"affinity": "none"}, 404),
    ("post", f"{SERVICE}/backends", {"address": "10.0.11.2", "port": 80, "weight": 2}, 200),
    ("post", f"{SERVICE}/backends", {"address": "10.0.11.2", "port": 80}, 409),
    ("post", f"{SERVICE}/backends", {"address": "fd00::1", "port": 80}, 400),
    ("post", f"{SERVICE}1/backends", {"address": "10.0.11.2", "port": 80}, 404),
    ("put", f"{SERVICE}/backends/10.0.11.2:80", {"weight": 3}, 200),
    ("put", f"{SERVICE}/backends/10.0.11.2:80", {"weight": 3000}, 400),
    ("put", f"{SERVICE}/backends/10.0.11.3:80", {"weight": 3}, 404),
    ("put", f"{SERVICE}/backends/10.0.11.2:80/drain", {"deadline": 60}, 200),
    ("put", f"{SERVICE}/backends/10.0.11.2:80/drain", {"deadline": 0}, 400),
    ("put", f"{SERVICE}/backends/10.0.11.3:80/drain", {}, 404),
    ("delete", f"{SERVICE}/backends/10.0.11.2:80/drain", None, 200),
    ("delete", f"{SERVICE}/backends/10.0.11.2:80/drain", None, 404),
    ("delete", f"{SERVICE}/backends/10.0.11/drain", None, 400),
    ("post", f"{SERVICE}/backends", {"address": "10.0.12.2", "port": 80, "backup": True,
                                     "health": {"type": "tcp", "interval": 0.5}, "feedback": {
                                         "indices": [{"preset": "cpu"}]}}, 200),
    ("put", "/v1/elb/settings", {"service": f"tcp {VIP}:80", "backend": "10.0.12.2:80",
                                 "health": {"interval": None, "on_down": "reset"}}, 200),
    ("put", "/v1/elb/settings", {"health": {"interval": 1}, "feedback": None}, 200),
    ("put", "/v1/elb/settings", {"health": {"intervall": 1}}, 400),
    ("put", "/v1/elb/settings", {"service": f"tcp {VIP}:80", "timeouts": {"fin_wait": 30}}, 200),
    ("put", "/v1/elb/settings", {"timeouts": {"udp": 30, "opening": 20}}, 200),
    ("put", "/v1/elb/settings", {"timeouts": {"udp": 0}}, 400),
    ("put", "/v1/elb/settings", {"service": f"udp {VIP}:80", "health": None}, 404),
    ("put", f"{SERVICE}/backends/10.0.11.2:80/drain", {"deadline": 60, "reset": True}, 200),
    ("delete", f"{SERVICE}/backends/10.0.11.2:80/drain", None, 200),
    ("get", "/v1/elb/health", None, 200),
    ("get", "/v1/elb/health?instance=none", None, 404),
    ("get", "/v1/elb/feedback", None, 200),
    ("get", "/v1/elb/feedback?instance=none", None, 404),
    ("get", "/v1/status", None, 200),
    ("get", "/v1/chains", None, 200),
    ("get", "/v1/counters", None, 200),
    ("get", "/v1/config", None, 200),
    ("get", "/v1/efw", None, 200),
    ("get", "/v1/elb", None, 200),
    ("get", "/v1/elb/connections", None, 200),
    ("get", "/v1/elb/connections?client=x", None, 400),
    ("get", "/v1/elb/connections?instance=none", None, 404),
    ("post", "/v1/elb/connections/flush", {"service": "192.0.2.10:80"}, 200),
    ("post", "/v1/elb/connections/flush", {"server": "192.0.2.10:80"}, 400),
    ("post", "/v1/elb/connections/flush?instance=none", {}, 404),
    ("get", "/v1/efw/log", None, 200),
    ("get", "/v1/efw/log?instance=none", None, 404),
    ("get", "/v1/openapi.json", None, 200),
    ("get", "/metrics", None, 200),
    ("put", "/v1/config?dry_run=true", {"chain": []}, 200),
    ("put", "/v1/config", {"chian": []}, 400),
    ("delete", f"{SERVICE}/backends/10.0.11.2:80", None, 200),
    ("delete", f"{SERVICE}/backends/10.0.11.2:80", None, 404),
    ("delete", f"{SERVICE}/backends/10.0.11", None, 400),
    ("delete", SERVICE, None, 200),
    ("delete", SERVICE, None, 404),
    ("delete", "/v1/elb/services/tcp/x", None, 400),
    ("delete", "/v1/efw/rules/1", None, 200),
    ("delete", "/v1/efw/rules/1", None, 404),
    ("put", "/v1/chains/back", {"path": "in(srv1, srv2) -> efw -> elb -> out"}, 200),
    ("put", "/v1/chains/back?dry_run=true", REQUEST, 200),
    ("put", "/v1/chains/back", {"path": "in(srv1, srv2) -> efv -> out"}, 400),
    ("put", "/v1/chains/a%20b", {"path": "in(srv1) -> out"}, 400),
    ("delete", "/v1/chains/back", None, 400),
    ("delete", "/v1/chains/none", None, 404),
    ("post", "/v1/rollback?dry_run=true", {}, 200),
    ("post", "/v1/rollback", {}, 200),
    ("post", "/v1/rollback", {"to": 11}, 200),
    ("post", "/v1/rollback", {"to": 99}, 404),
    ("post", "/v1/rollback", {"to": "1"}, 400),
    ("get", "/v1/edpi/records", None, 404),
    ("put", "/v1/chains/in", {"path": "in(cli0) -> efw -> edpi -> out", "xdp": "native"}, 200),
    ("get", "/v1/edpi", None, 200),
    ("get", "/v1/edpi?instance=none", None, 404),
    ("post", "/v1/edpi/policies", {"name": "p2p", "application": ["BitTorrent"],
                                   "action": "drop"}, 200),
    ("post", "/v1/edpi/policies", {"name": "p2p", "action": "drop"}, 409),
    ("post", "/v1/edpi/policies", {"name": "video", "category": ["Streaming"], "action": "limit",
                                   "rate": "10 mbit/s", "before": "p2p"}, 200),
    ("post", "/v1/edpi/policies", {"name": "x", "action": "drop", "before": "none"}, 404),
    ("post", "/v1/edpi/policies", {"name": "x", "application": ["Bittorent"], "action": "drop"},
     400),
    ("get", "/v1/edpi", None, 200),
    ("put", "/v1/edpi/policies/p2p", {"host": ["*.example.org"], "action": "mark", "dscp": "ef"},
     200),
    ("put", "/v1/edpi/policies/p2p", {"action": "send"}, 400),
    ("put", "/v1/edpi/policies/none", {"action": "drop"}, 404),
    ("delete", "/v1/edpi/policies/p2p", None, 200),
    ("delete", "/v1/edpi/policies/p2p", None, 404),
    ("put", "/v1/edpi/policies", {"policies": [{"name": "a", "action": "forward"}]}, 200),
    ("put", "/v1/edpi/policies", {"policies": [{"name": "a"}]}, 400),
    ("put", "/v1/edpi/policies?instance=none", {"policies": []}, 404),
    ("put", "/v1/edpi/policies", {"policies": []}, 200),
    ("get", "/v1/edpi/flows", None, 200),
    ("get", "/v1/edpi/flows?address=x", None, 400),
    ("get", "/v1/edpi/flows?instance=none", None, 404),
    ("get", "/v1/edpi/flows/0-1", None, 404),
    ("get", "/v1/edpi/applications", None, 200),
    ("get", "/v1/edpi/applications?instance=none", None, 404),
    ("get", "/v1/edpi/records", None, 200),
    ("put", "/v1/chains/in", {"path": "in(cli0) -> efw -> out"}, 200),
    ("delete", "/v1/chains/back?dry_run=true", None, 200),
    ("delete", "/v1/chains/back", None, 200),
    ("get", "/v1/history", None, 200),
    ("get", "/v1/plan", None, 200),
    ("get", "/v1/times?seconds=1", None, 200),
    ("get", "/v1/times?seconds=0", None, 400),
    ("get", "/v1/trace?filter=tcp", None, 200),
    ("get", "/v1/trace?filter=tpc", None, 400),
    ("get", "/v1/trace?place=nowhere", None, 404),
]


class ApiTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG + SETS)
        self.lab.start_daemon()
        self.document = json.loads(self.call("get", "/v1/openapi.json", None)[1])

    def call(self, method, path, body):
        words = ["curl", "-s", "-g", "-X", method.upper(), "-w", "\n%{http_code}", "--unix-socket",
                 self.lab.dir / f"run/{self.lab.name}.sock", f"http://evnf{path}"]
        if body is not None:
            words += ["-d", body if isinstance(body, str) else json.dumps(body)]
        if path.startswith(("/v1/trace", "/v1/efw/log", "/v1/edpi/records")):
            return self.begin_stream(words)
        text, status = self.lab.run(words).stdout.rsplit("\n", 1)
        return int(status), text

    def begin_stream(self, words):
        """What there is at once of an answer without an end: that of an error, or nothing."""
        with subprocess.Popen([*map(str, words), "-iN", "-w", ""], text=True,
                              stdout=subprocess.PIPE) as curl:
            status = int(curl.stdout.readline().split()[1])
            kind = [line for line in iter(curl.stdout.readline, "\n")
                    if line.lower().startswith("content-type:")]
            if "ndjson" not in "".join(kind):
                return status, curl.stdout.read()
            curl.kill()
            return status, ""

    def operation(self, method, path):
        """The operation's description, and its path as there."""
        words = path.split("?")[0].split("/")
        for template, operations in self.document["paths"].items():
            parts = template.split("/")
            if len(parts) == len(words) and method in operations and all(
                    p == w or p.startswith("{") for p, w in zip(parts, words)):
                return operations[method], template
        raise KeyError(f"{method} {path} is not described")

    def check(self, value, schema, at):
        """Holds a value against a schema: the part of JSON Schema that the file uses."""
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool,
                 "integer": int, "number": (int, float)}
        for one in schema.get("oneOf", []):
            if "$ref" not in one:
                if isinstance(value, kinds[one["type"]]):
                    return self.check(value, one, at)
                continue
            known = self.document["components"]["schemas"][one["$ref"].rsplit("/", 1)[1]]
            if set(known["required"]) <= set(value):
                return self.check(value, known, at)
        self.assertIsInstance(value, kinds[schema["type"]], at)
        if schema["type"] == "array":
            for i, item in enumerate(value):
                self.check(item, schema["items"], f"{at}/{i}")
        if schema["type"] == "object" and "properties" in schema:
            self.assertLessEqual(set(schema["required"]), set(value), at)
            self.assertLessEqual(set(value), set(schema["properties"]), at)
            for key, item in value.items():
                self.check(item, schema["properties"][key], f"{at}/{key}")
        self.assertIn(value, schema.get("enum", [value]), at)

    def test_every_operation_answers_as_described(self):
        called = set()
        for method, path, body, wanted in CALLS:
            operation, template = self.operation(method, path)
            called.add((method, template, str(wanted)))
            status, text = self.call(method, path, body)
            self.assertEqual(status, wanted, f"{method} {path}: {text}")
            content = operation["responses"][str(status)]["content"]
            values = {"application/json": [text],
                      "application/x-ndjson": [line for line in text.splitlines() if line]}
            for kind, described in content.items():
                for value in values.get(kind, []):
                    self.check(json.loads(value), described["schema"], f"{method} {path}")
        # Nothing that is described was left out, but for failures of the system.
        described = {(method, path, status)
                     for path, operations in self.document["paths"].items()
                     for method, operation in operations.items()
                     for status in operation["responses"] if not status.startswith("5")}
        # Two who watch at once are watch_turns_test's.
        described -= {("get", "/v1/times", "409"), ("get", "/v1/trace", "409")}
        described -= {("get", "/v1/efw/log", "409")}  # efw_test's
        described -= {("get", "/v1/edpi/records", "409"),  # the same for all feeds
                      ("get", "/v1/edpi/flows/{id}", "200")}  # edpi_test's
        self.assertEqual(described - called, set())

    def test_what_is_not_understood_is_refused(self):
        for method, path, body, wanted in [
            ("get", "/v1/nothing", None, 404),
            ("post", "/v1/status", {}, 404),
            ("put", "/v1/config", "{not json", 400),
            ("put", "/v1/config", "[]", 400),
            ("put", "/v1/config", '{"efw": 7}', 400),
            ("put", "/v1/config", '{"efw": {"rules": [{"id": "x"}]}}', 400),
            ("put", "/v1/config", '{"elb": {"service": [7]}}', 400),
            ("put", "/v1/config", '{"elb": {"service": [{"address": 5}]}}', 400),
            ("put", "/v1/config", '{"chain": {"name": "x"}}', 400),
            ("put", "/v1/config", '{"chain": [{"name": "x", "interfaces": "eth0"}]}', 400),
            ("put", "/v1/chains/x", "7", 400),
            ("put", "/v1/chains/x", None, 400),
            ("put", "/v1/chains/x", '{"path": 7}', 400),
            ("put", "/v1/chains/x", '{"path": "in(lo) -> out", "nodes": []}', 400),
            ("put", "/v1/chains/x", '{"path": "in(lo) -> out", "name": 7}', 400),
            ("put", "/v1/chains/x", '{"nodes": 7, "links": 7}', 400),
            ("put", "/v1/chains/x", '{"path": "in(lo) -> out", "xdp": "fast"}', 400),
            ("put", "/v1/chains/", '{"path": "in(lo) -> out"}', 404),
            ("put", "/v1/chains/a%2fb", '{"path": "in(lo) -> out"}', 400),
            ("post", "/v1/rollback", "7", 400),
            ("post", "/v1/rollback", '{"to": -1}', 400),
            ("post", "/v1/rollback", '{"to": null}', 400),
            ("post", "/v1/rollback", '{"from": 1}', 400),
            ("post", "/v1/rollback", '{"to": 18446744073709551615}', 404),
            ("post", "/v1/efw/rules", '{"rule": 7}', 400),
            ("post", "/v1/efw/rules", "7", 400),
            ("post", "/v1/elb/services", "7", 400),
            ("post", "/v1/elb/services", '{"address": "10.0.0.1", "port": 80.5}', 400),
        ]:
            status, text = self.call(method, path, body)
            self.assertEqual(status, wanted, f"{method} {path} {body}: {text}")
            self.assertIn("error", json.loads(text))

    def test_metrics(self):
        self.curl("http://10.0.11.2/")
        text = self.call("get", "/metrics", None)[1]
        self.assertIn("# TYPE evnf_slot_packets_total counter\n", text)
        self.assertRegex(text, r'evnf_slot_packets_total\{chain="in",slot="efw",verdict="slow",'
                               r'reason="default_slow"\} [1-9]')
        names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(names), len(set(names)))

    def test_completion(self):
        evnf = self.lab.build / "tools/evnf"
        script = (f'PATH={evnf.parent}:$PATH; source <(evnf completion bash); '
                  'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _evnf; echo "${COMPREPLY[*]}"')

        def complete(*words):
            return self.lab.run(["bash", "-c", script, "bash", "evnf", *words]).stdout.split()
        self.assertEqual(complete("efw", "rule", ""),
                         ["add", "del", "list", "replace", "import", "export"])
        self.assertEqual(complete("efw", "rule", "d"), ["del"])
        self.assertEqual(complete("e"), ["edpi", "efw", "elb"])
        self.assertEqual(complete("elb", ""), ["service", "backend", "stats", "conn", "import",
                                               "health", "feedback", "timeouts"])
        self.assertEqual(complete("elb", "conn", ""), ["list", "show", "flush"])
        self.assertEqual(complete("elb", "health", ""), ["show", "set", "clear"])
        self.assertIn("--apply", complete("elb", "import", "--"))
        self.assertEqual(complete("chain", ""),
                         ["show", "plan", "set", "del", "rollback", "history", "check"])
        self.assertIn("--request", complete("chain", "set", "--"))
        self.assertIn("--path", complete("chain", "check", "--p"))
        self.assertIn("--dry-run", complete("apply", "--"))
        self.assertIn("--json", complete("apply", "--"))


if __name__ == "__main__":
    main()
