#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each mistake gives the message that a person needs, and what ran before still runs."""
import json
import signal
import time
from pathlib import Path

from case import LabCase, main
from lab import CONFIG, PATIENCE, PIN_DIR, VIP

RULES = f"""
[efw]
rules = ["tcp dport 80 accept"]

[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
backends = [ {{ address = "10.0.11.2", port = 80 }} ]
"""


class ErrorsTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG + RULES)
        self.lab.start_daemon()
        self.before = self.lab.evnf("--json", "efw", "rule", "list").stdout
        self.document = self.config()

    def config(self):
        return self.lab.run(["curl", "-s", "--unix-socket",
                             self.lab.dir / f"run/{self.lab.name}.sock",
                             "http://evnf/v1/config"]).stdout

    def tearDown(self):
        # Whatever was tried: the rules are the same, and traffic passes.
        if self.lab.daemon.poll() is None:
            self.assertEqual(self.config(), self.document)
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")

    def refused(self, code, *words):
        done = self.lab.evnf(*words, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def daemon(self, *args, code, config=None, name=None, under=()):
        """Runs a second evnfd that must refuse; what it says."""
        words = [self.lab.build / "daemon/evnfd", "--config", config or self.lab.config,
                 "--name", name or self.lab.name, "--run-dir", self.lab.dir / "run",
                 "--state-dir", self.lab.dir / "state", "--pin-dir", PIN_DIR, *args]
        done = self.lab.run([*under, *self.lab.vnf.command(words)], check=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def file(self, text):
        path = self.lab.dir / "other.toml"
        path.write_text(text)
        return path

    def test_wrong_rule(self):
        self.assertEqual(
            self.refused(2, "efw", "rule", "add", "tcp dport 80x accept"),
            "evnf: '80x' is not a port or range such as 80 or 8000-8080\n"
            "  tcp dport 80x accept\n"
            "            ^^^\n")
        self.assertIn("there is no rule with the id 99", self.refused(1, "efw", "rule", "del", "99"))
        self.assertIn("already", self.refused(1, "efw", "rule", "add", "tcp dport 80 accept"))

    def test_too_many_rules(self):
        before = self.lab.evnf_json("efw", "rule", "list")
        rules = "".join(f'  "ip saddr 10.{n >> 8}.{n & 255}.0/24 tcp dport {n + 1} drop",\n'
                        for n in range(12000))
        path = self.file(f"{CONFIG}[efw]\nmemory = 1\nrules = [\n{rules}]\n")
        self.assertRegex(
            self.refused(2, "apply", path),
            r"the rules need \d+ bytes of tables, and there is room for 1048\d\d\d: "
            "write fewer of them, or give the section more memory")
        self.assertEqual(self.lab.evnf_json("efw", "rule", "list"), before)

    def test_wrong_backend(self):
        self.assertIn("there is no service tcp 192.0.2.99:80",
                      self.refused(1, "elb", "backend", "add", "tcp", "192.0.2.99:80", "10.0.0.1:80"))
        self.assertIn("not of one IP version",
                      self.refused(2, "elb", "backend", "add", "tcp", f"{VIP}:80", "[fd00::1]:80"))
        self.assertIn("cannot be balanced", self.refused(2, "elb", "service", "add", "icmp", VIP))

    def test_usage(self):
        self.assertTrue(self.refused(2, "efw").startswith("evnf: 'efw' needs a command: rule, "))
        self.assertIn("'nonsense' is not a command of 'evnf': status,", self.refused(2, "nonsense"))
        self.assertIn("ID", self.refused(2, "efw", "rule", "del"))

    def test_wrong_file(self):
        path = self.file(CONFIG + '[efw]\nrules = [\n  "tcp dport 80 accept",\n  "tcp dprt 81 drop",\n]\n')
        line = CONFIG.count("\n") + 4
        said = self.refused(2, "apply", path)
        self.assertIn(f"{path}:{line}:8: 'dprt' is not a word of a rule", said)
        self.assertIn('    "tcp dprt 81 drop",\n         ^^^^', said)
        path = self.file(CONFIG + "[efw]\ndefault = \n")
        self.assertIn(f"{path}:{line - 2}:", self.refused(2, "apply", path))
        path = self.file(CONFIG + "[efw]\nrulez = []\n")
        self.assertIn(f"{path}:{line - 2}:9: 'rulez' is not a key of efw",
                      self.refused(2, "apply", path))
        self.assertIn("No such file", self.refused(1, "apply", "/nonexistent.toml"))
        # The daemon says the same of its own file, and does not start.
        path = self.file(CONFIG + "[efw]\nrulez = []\n")
        self.assertIn("'rulez' is not a key of efw", self.daemon(code=2, config=path, name="other"))

    def test_missing_interface(self):
        path = self.file(CONFIG.replace("srv2", "srv9") + RULES)
        line = CONFIG[:CONFIG.index("srv1")].count("\n") + 1
        for words in (("apply", path), ("apply", path, "--dry-run"), ("chain", "check", path)):
            said = self.refused(2, *words)
            self.assertIn(f"{path}:{line}:18: no interface is named srv9 here: there is cli0, lo,",
                          said)
            self.assertIn('  path = "in(srv1, srv9) -> elb -> out"\n'
                          '                   ^^^^\n', said)

    def shown(self, text, word, said):
        """What is typed, with a caret under the word."""
        at = text.rindex(word)
        self.assertTrue(said.endswith(f"\n  {text}\n  {' ' * at}{'^' * len(word)}\n"), said)

    def test_wrong_chain(self):
        for text, word, message in [
                ("in(lo) -> efv -> out", "efv", "no stage or label is named 'efv': there is"),
                ("in(lo)  ->  efw ->  oot", "oot", "no stage or label is named 'oot'"),
                ("in(lo) -> { tcp dprt 80 -> out; otherwise -> drop }", "dprt", "did you mean dport"),
                ("in(lo, cli0) -> out", "cli0", "'cli0' has a chain already, 'in'"),
                ("in(lo) -> wire(lo9)", "lo9", "no interface is named lo9 here: there is cli0,"),
                ("in(lo) -> efw", "efw", "the path ends in 'efw'")]:
            for words in (("chain", "set", "x", text), ("chain", "set", "x", text, "--dry-run"),
                          ("chain", "check", "--path", text)):
                said = self.refused(2, *words)
                self.assertIn(message, said)
                self.shown(text, word, said)
        # As words of the shell; what is missing at the end is shown there.
        said = self.refused(2, "chain", "set", "x", "in(lo)", "->", "efv", "->", "out")
        self.shown("in(lo) -> efv -> out", "efv", said)
        self.assertTrue(self.refused(2, "chain", "set", "x", "in(lo").endswith(
            "\n  in(lo\n       ^\n"))
        self.assertIn("'a/b': a name is", self.refused(2, "chain", "set", "a/b", "in(lo) -> out"))
        self.assertIn("--request FILE", self.refused(2, "chain", "set", "x"))
        # The fault is another's: nothing that was typed is marked.
        said = self.refused(2, "chain", "del", "back")
        self.assertIn("'elb' sees only what comes in by cli0", said)
        self.assertNotIn("^", said)
        self.assertIn("no chain is named 'x': there is in, back",
                      self.refused(1, "chain", "del", "x"))

    def test_wrong_request(self):
        request = {"nodes": [{"id": "i", "in": ["lo"]}, {"id": "f", "vnf": "efw"}],
                   "links": [{"from": "i", "to": "f"}]}
        path = self.file(json.dumps(request))
        self.assertIn(f"{path}: at /nodes/1: node 'f' leads nowhere",
                      self.refused(2, "chain", "set", "x", "--request", path))
        path = self.file("{")
        self.assertIn(f"{path} is not a JSON object",
                      self.refused(2, "chain", "set", "x", "--request", path))
        self.assertIn("No such file",
                      self.refused(1, "chain", "set", "x", "--request", "/nonexistent.json"))

    def test_check(self):
        good = self.file(CONFIG + '[efw]\nrules = ["tcp dport 81 drop"]\n')
        self.assertEqual(self.lab.evnf("chain", "check", good).stdout, f"{good}: good\n")
        self.assertTrue(self.lab.evnf_json("chain", "check", good)["good"])
        self.assertEqual(self.lab.evnf("chain", "check", "--path", "in(lo) -> efw -> out").stdout,
                         "in(lo) -> efw -> out: good\n")
        bad = self.file(CONFIG + '[efw]\nrules = [ "tcp dprt 81 drop" ]\n')
        line = CONFIG.count("\n") + 2
        said = self.refused(2, "chain", "check", bad)
        self.assertIn(f"{bad}:{line}:16: 'dprt' is not a word of a rule", said)
        self.assertEqual(said, self.refused(2, "apply", bad, "--dry-run"))
        self.assertIn("a FILE, or one chain by --path", self.refused(2, "chain", "check"))

    def test_failed_change_is_not_in_the_history(self):
        history = self.lab.evnf_json("chain", "history")
        self.assertEqual([c["what"] for c in history], ["start"])
        self.assertIn("change 7 is not kept: there is 1 to 1",
                      self.refused(1, "chain", "rollback", "7"))
        self.assertIn("there is no change before the last", self.refused(1, "chain", "rollback"))
        # It cannot be attached.
        self.foreign("other0")
        said = self.refused(2, "chain", "set", "in", "in(cli0, other0) -> elb -> out")
        self.assertIn("other0 has another XDP program, 'recorder'", said)
        # It is in force, and cannot be kept.
        kept = self.lab.dir / f"state/{self.lab.name}.json"
        (kept.parent / f"{kept.name}.new").mkdir()
        for words in (("chain", "set", "in", "in(cli0) -> elb -> out"),
                      ("apply", self.file(CONFIG + '[efw]\ndefault = "drop"\n'))):
            self.assertIn(f"write {kept}.new: Is a directory", self.refused(1, *words))
            self.assertEqual(self.config(), self.document)
            self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
            self.assertIn("efw", self.slots("in"))
        self.assertEqual(self.lab.evnf_json("chain", "history"), history)
        self.assertEqual(json.loads(kept.read_text())["history"][-1]["number"], 1)

    def test_a_rule_that_cannot_be_kept_is_taken_back(self):
        # On a disk that is full.
        self.lab.stop_daemon()
        folder = self.lab.dir / "state"
        kept = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        self.lab.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder])
        self.addCleanup(self.lab.run, ["umount", "-l", folder])
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        self.lab.start_daemon()
        self.document = self.config()
        history = self.lab.evnf_json("chain", "history")
        with self.assertRaises(OSError), open(folder / "full", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for words in (("efw", "rule", "add", "tcp dport 9 drop"), ("efw", "rule", "del", "1")):
            said = self.refused(1, *words)
            self.assertIn("write: No space left on device", said)
            self.assertEqual(self.config(), self.document)
            self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.assertEqual(self.lab.evnf_json("chain", "history"), history)
        (folder / "full").unlink()
        self.lab.evnf("efw", "rule", "add", "tcp dport 9 drop")
        self.document = self.config()
        self.lab.kill_daemon()
        self.lab.start_daemon()
        self.assertEqual(self.config(), self.document)

    def test_second_daemon_of_the_name(self):
        said = self.daemon(code=1)
        self.assertIn(f"evnfd '{self.lab.name}' runs already (pid {self.lab.daemon.pid})", said)

    def test_second_daemon_on_the_interface(self):
        said = self.daemon(code=1, name=f"{self.lab.name}b")
        self.assertIn(f"belongs to evnfd '{self.lab.name}'", said)
        self.lab.run([self.lab.build / "daemon/evnfd", "--detach", "--name", f"{self.lab.name}b",
                      "--run-dir", self.lab.dir / "run", "--pin-dir", PIN_DIR])

    def test_same_name_in_another_namespace(self):
        # Interface numbers repeat from namespace to namespace: the link must not be taken
        # for one of here.
        self.lab.stop_daemon()
        index = {i["ifname"]: i["ifindex"] for i in
                 json.loads(self.lab.vnf.run("ip", "-j", "link").stdout)}
        other = self.lab.servers[1]
        for name in ("cli0", "srv1", "srv2"):
            other.run("ip", "link", "add", f"{name}", "index", str(index[name] + 10), "type",
                      "veth", "peer", "name", f"{name}p")
        other.run("ip", "link", "del", "cli0")
        other.run("ip", "link", "set", "eth0", "down")
        other.run("ip", "link", "set", "eth0", "name", "cli0")
        same = json.loads(other.run("ip", "-j", "link", "show", "cli0").stdout)[0]["ifindex"]
        self.assertEqual(same, index["cli0"])
        done = self.lab.run(other.command([self.lab.build / "daemon/evnfd", "--config",
                                           self.lab.config, *self.lab.daemon_args()]), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another network namespace", done.stderr)

    def test_foreign_program(self):
        self.foreign("other0")
        path = self.file(CONFIG.replace("srv1, srv2", "srv1, srv2, other0") + RULES)
        said = self.refused(2, "apply", path)
        self.assertIn("other0 has another XDP program, 'recorder'", said)
        self.assertIn("xdp off", said)
        for port in ("cli0", "srv1", "srv2"):  # nothing of it was half-applied
            self.assertIn("xdp", self.lab.vnf.run("ip", "link", "show", "dev", port).stdout)

    def foreign(self, interface):
        """An interface that has somebody else's XDP program."""
        self.lab.vnf.run("ip", "link", "add", interface, "type", "veth", "peer", "name",
                         f"{interface}p")
        program = self.lab.build / "tests/recorder.bpf.o"
        pin = f"/sys/fs/bpf/{self.lab.name}-foreign"
        self.lab.run(["bpftool", "prog", "load", program, pin, "type", "xdp"])
        self.addCleanup(self.lab.run, ["rm", "-f", pin, "/sys/fs/bpf/slot_counters",
                                       "/sys/fs/bpf/events_lost"])
        self.lab.vnf.run("ip", "link", "set", "dev", interface, "xdp", "pinned", pin)

    def test_no_privilege(self):
        self.lab.run(["chmod", "755", self.lab.dir])
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = self.lab.run([*nobody, self.lab.build / "daemon/evnfd", "--config", self.lab.config],
                            check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not enough privilege: run as root, or with CAP_BPF", done.stderr)
        done = self.lab.run([*nobody, self.lab.build / "tools/evnf", "--run-dir",
                             self.lab.dir / "run", "--name", self.lab.name, "status"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("you may not use", done.stderr)

    def test_a_signal_while_it_starts_ends_it(self):
        self.lab.stop_daemon()
        for _ in range(4):
            self.lab.daemon = self.lab.vnf.start(self.lab.evnfd, "--config", self.lab.config,
                                                 *self.lab.daemon_args(), log="evnfd.log")
            status = Path(f"/proc/{self.lab.daemon.pid}/status")
            while not self.blocked(status.read_text()) >> (signal.SIGTERM - 1) & 1:
                self.assertIsNone(self.lab.daemon.poll())
                time.sleep(0.01)
            self.lab.stop_daemon()  # as soon as it is ready
        self.lab.start_daemon()

    @staticmethod
    def blocked(status):
        """The signals that wait, of a process's status file."""
        return int(next(line.split()[1] for line in status.splitlines()
                        if line.startswith("SigBlk:")), 16)

    def test_no_daemon(self):
        self.lab.kill_daemon()
        self.assertIn("is gone (its fast path, if attached, still runs)", self.refused(1, "status"))
        done = self.lab.run([self.lab.build / "tools/evnf", "--run-dir", "/nonexistent", "status"],
                            check=False)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "evnf: no evnfd runs here: start one with evnfd --config FILE\n"))


if __name__ == "__main__":
    main()
