#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check.py FOLDER: the packages in FOLDER on a new Debian 12 with systemd, as an operator uses them;
and the alerts that they bring.

    client ── cli0 [ the machine: evnfd@evnf ] srv0 ── server (nginx)
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import Machine, MachineError, make_base, run  # noqa: E402  (found by the line above)

FOLDER = Path(sys.argv[1]).resolve()
MONITORING = Path(__file__).resolve().parents[2] / "tools/monitoring"
PREFIX = f"evnfpkg{os.getpid()}"
OLD = "0.0.1"
SECONDS = 600  # of load, at most: it is ended when what it accompanies is done
CAPABILITIES = {"cap_bpf", "cap_perfmon", "cap_net_admin", "cap_net_raw", "cap_sys_admin"}
GUIDE = (Path(__file__).resolve().parents[2] / "docs/packages.md").read_text(encoding="utf-8")
# What it says of systemd-analyze security.
EXPOSURE = {"evnfd@evnf": re.search(r"exposure level for evnfd@evnf.service: (\S+) ", GUIDE)[1],
            "evnf-agentx@evnf": re.search(r"`systemd-analyze security`: (\S+)\)", GUIDE)[1]}
PROGRAMS = {"evnf": 1, "evnfd": 8, "evnf-agentx": 8}  # and the sections of their pages

CONFIG = """\
[[chain]]
name = "in"
path = "in(cli0) -> efw -> edpi -> elb -> out"

[[chain]]
name = "back"
path = "in(srv0) -> elb -> edpi -> out"

[efw]
rules = ["tcp dport 80 accept"]

[edpi]
export = "file:/var/log/evnf/flows"

[[elb.service]]
address = "192.0.2.10"
port = 80
protocol = "tcp"
health = { type = "http", path = "/" }
backends = [ { address = "10.0.2.2" } ]
"""

# As docs/packages.md says it, but for who may read.
SNMPD = """\
master agentx
agentXPerms 0660 0711 root evnf
view evnf included .1.3.6.1.4.1.8072.9999.9999.3863
rocommunity evnf default -V evnf
"""
DAEMON_UP = ".1.3.6.1.4.1.8072.9999.9999.3863.1.1.1.0"

NGINX = """\
pid {dir}/nginx.pid; error_log {dir}/nginx.err; worker_processes 1;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 20; client_body_temp_path {dir}; proxy_temp_path {dir};
  fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 80; location / {{ return 200 "served\\n"; }} }} }}
"""


def the_package(name):
    found = list(FOLDER.glob(f"{name}_*.deb"))
    if len(found) != 1:
        sys.exit(f"package-test: {FOLDER} has {len(found)} packages {name}: ./run package")
    return found[0]


def older(package, folder):
    """The same package with a version before it: what it would have been upgraded from."""
    tree = folder / "tree"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {OLD}", control.read_text()))
    out = folder / "evnf_old.deb"
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, out)
    shutil.rmtree(tree)
    return out


class Packages(unittest.TestCase):
    maxDiff = None

    def run(self, result=None):
        try:
            return super().run(result)
        except KeyboardInterrupt:
            self.doCleanups()
            raise

    def setUp(self):
        self.temporary = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.addCleanup(shutil.rmtree, self.temporary)
        self.machine = Machine(FOLDER)
        self.addCleanup(self.machine.stop)
        self.machine.start()
        self.machine.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                         "net.ipv4.conf.all.rp_filter=0")
        for host, port, net in (("client", "cli0", 1), ("server", "srv0", 2)):
            self.connect(f"{PREFIX}-{host}", port, net)
        self.machine.run("ip", "route", "add", "192.0.2.10", "dev", "srv0")
        config = self.temporary / "nginx.conf"
        config.write_text(NGINX.format(dir=self.temporary))
        self.start("server", "nginx", "-c", config, "-g", "daemon off;")

    def connect(self, netns, port, net):
        run("ip", "netns", "add", netns)
        self.addCleanup(run, "ip", "netns", "del", netns)
        run("ip", "link", "add", "eth0", "netns", netns, "type", "veth", "peer", "name", port,
            "netns", self.machine.pid)
        there = ["nsenter", f"--net=/run/netns/{netns}"]
        run(*there, "ip", "addr", "add", f"10.0.{net}.2/24", "dev", "eth0")
        run(*there, "ip", "link", "set", "eth0", "up")
        run(*there, "ethtool", "-K", "eth0", "gro", "on")
        run(*there, "ip", "route", "add", "default", "via", f"10.0.{net}.1")
        self.machine.run("ip", "addr", "add", f"10.0.{net}.1/24", "dev", port)
        self.machine.run("ip", "link", "set", port, "up")
        self.machine.run("sysctl", "-qw", f"net.ipv4.conf.{port}.rp_filter=0")

    def start(self, host, *words):
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{PREFIX}-{host}", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def install(self, package):
        shutil.copy(package, self.machine.root / "root")
        self.machine.apt("install", "--no-install-recommends", f"/root/{package.name}")

    def served(self):
        return run("nsenter", f"--net=/run/netns/{PREFIX}-client", "curl", "-s", "-m", "3",
                   "http://192.0.2.10/", check=False).stdout == "served\n"

    def main_pid(self):
        return self.machine.run("systemctl", "show", "-P", "MainPID", "evnfd@evnf").stdout.strip()

    def say(self, text):
        print(f"== {text}", file=sys.stderr, flush=True)

    def test_from_install_to_purge(self):
        machine = self.machine
        self.say("install")
        self.machine.apt("update")
        self.install(older(the_package("evnf"), self.temporary))
        self.assertEqual(machine.run("systemctl", "list-units", "--plain", "--no-legend",
                                     "evnfd@*").stdout, "")
        machine.run("getent", "group", "evnf")
        self.say("start")
        (machine.root / "etc/evnf/evnf.toml").write_text(CONFIG)
        started = machine.run("systemctl", "enable", "--now", "evnfd@evnf", check=False)
        self.assertEqual(started.returncode, 0, machine.run(
            "journalctl", "-u", "evnfd@evnf", "--no-pager", check=False).stdout)
        machine.run("evnf", "status")
        machine.wait_for(self.served, "the service")
        self.check_sandbox()
        self.check_socket()
        self.check_journal()
        self.check_agentx()
        self.check_help()
        self.upgrade()
        journal = machine.run("journalctl", "-u", "evnfd@evnf", "-p", "warning", "--no-pager", "-q").stdout
        self.assertEqual(journal.splitlines(), [])
        machine.wait_for(lambda: '"application"' in (machine.root / "var/log/evnf/flows").read_text(),
                         "the record of a flow that has ended")
        self.another_layout()
        self.say("reload")
        (machine.root / "etc/evnf/evnf.toml").write_text(CONFIG.replace("tcp dport 80", "tcp dport 81"))
        machine.run("systemctl", "reload", "evnfd@evnf")
        machine.wait_for(lambda: "tcp dport 81" in machine.run("evnf", "efw", "rule", "list").stdout,
                         "the reloaded rule")
        self.purge()

    def check_sandbox(self):
        self.say("sandbox")
        status = Path(f"/proc/{self.machine.pid}/root/proc/{self.main_pid()}/status").read_text()
        said = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
        names = run("capsh", f"--decode={said['CapEff']}").stdout.strip().split("=")[1].split(",")
        self.assertEqual(set(names), CAPABILITIES)
        self.assertEqual((said["CapBnd"], said["NoNewPrivs"], said["Seccomp"]),
                         (said["CapEff"], "1", "2"))
        for unit, wanted in EXPOSURE.items():
            out = self.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
            line = out.strip().splitlines()[-1]
            self.say(line)
            self.assertEqual(re.search(r"[0-9]+\.[0-9]", line)[0], wanted)
            self.machine.run("systemd-analyze", "verify", "--man=no", f"{unit}.service")

    def check_help(self):
        """Each program and each verb has a page, and both shells complete them all."""
        self.say("manual and completion")
        machine = self.machine
        verbs = machine.run("evnf", "manual").stdout.split()
        self.assertIn("evnf-preflight", verbs)
        pages = [f"man8/{name}.8" for name, section in PROGRAMS.items() if section == 8]
        pages += ["man5/evnf.toml.5"] + [f"man1/{verb}.1" for verb in verbs]
        there = machine.run("sh", "-c", "cd /usr/share/man && ls man*/evnf*").stdout.split()
        self.assertEqual(there, sorted(f"{page}.gz" for page in pages))
        machine.apt("install", "--no-install-recommends", "bash-completion", "zsh")
        script = ('. /usr/share/bash-completion/bash_completion; COMP_WORDS=("$@"); '
                  'COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
                  '_completion_loader "$1"; f=$(complete -p "$1"); f=${f##*-F }; ${f%% *} "$1"; '
                  'printf "%s\n" "${COMPREPLY[@]}"')

        def complete(*words):
            return machine.run("bash", "-c", script, "bash", *words).stdout.split()
        self.assertEqual(complete("evnf", "efw", "rule", "d"), ["del"])
        self.assertIn("--detach", complete("evnfd", "--d"))
        self.assertIn("--context", complete("evnf-agentx", "--c"))
        known = machine.run("zsh", "-fc", "autoload -Uz compinit; compinit -u; "
                            f"for p in {' '.join(PROGRAMS)}; do print -r -- $_comps[$p]; done")
        self.assertEqual(known.stdout.split(), ["_evnf", "_evnfd", "_evnfd"])

    def check_socket(self):
        self.say("socket")
        at = self.machine.run("stat", "-c", "%a %U %G", "/run/evnf/evnf.sock").stdout.strip()
        self.assertEqual(at, "660 root evnf")
        as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup"]
        self.machine.run(*as_nobody, "--groups=evnf", "evnf", "status")
        refused = self.machine.run(*as_nobody, "--clear-groups", "evnf", "status", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("member of the group evnf", refused.stderr)

    def check_journal(self):
        self.say("journal")
        # A check says so, perhaps after the first request.
        self.machine.wait_for(lambda: "10.0.2.2:80 is up" in self.machine.run(
            "journalctl", "-u", "evnfd@evnf", "-o", "cat", "--no-pager", "-q",
            "EVNF_BACKEND=10.0.2.2:80", "EVNF_STATE=up").stdout, "the backend's line in the journal")

    def check_agentx(self):
        self.say("SNMP")
        self.machine.apt("install", "--no-install-recommends", "snmp", "snmpd")
        config = self.machine.root / "etc/snmp/snmpd.conf.d/evnf.conf"
        config.write_text(SNMPD)
        self.machine.run("chmod", "711", "/var/agentx")
        self.machine.run("systemctl", "restart", "snmpd")
        self.machine.run("systemctl", "enable", "--now", "evnf-agentx@evnf")
        self.machine.wait_for(lambda: self.snmp_says("INTEGER: 1"), "evnf-agentx")
        self.machine.run("systemctl", "stop", "evnfd@evnf")
        self.machine.wait_for(lambda: self.snmp_says("INTEGER: 2"), "evnfd away")
        self.machine.run("systemctl", "start", "evnfd@evnf")
        self.machine.wait_for(lambda: self.snmp_says("INTEGER: 1"), "evnfd again")

    def snmp_says(self, value):
        said = self.machine.run("snmpget", "-v2c", "-c", "evnf", "127.0.0.1", DAEMON_UP,
                                check=False).stdout
        return said.strip().endswith(value)

    def upgrade(self):
        self.say("upgrade under load")
        before = self.main_pid()
        with self.load():
            self.install(the_package("evnf"))
            self.wait_for_another(before)
        version = self.machine.run("dpkg-query", "-W", "-f", "${Version}", "evnf").stdout
        self.assertNotEqual(version, OLD)

    def another_layout(self):
        """What runs has another layout than the package: it is so by name alone."""
        self.say("upgrade from another layout under load")
        machine = self.machine
        pins = machine.run("sh", "-c", "echo /sys/fs/bpf/evnf/evnf/abi*").stdout.strip()
        before = self.main_pid()
        install = ("dpkg", "-i", f"/root/{the_package('evnf').name}")
        with self.load():
            machine.run("mv", pins, pins + "0")
            refused = machine.run(*install, check=False)
            self.assertNotEqual(refused.returncode, 0)
            told = re.search(r"```text\n(evnf: not installed.*?)```", GUIDE, re.DOTALL)[1]
            self.assertIn(told, refused.stderr)
            self.assertEqual(self.main_pid(), before)
            self.assertEqual(machine.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}",
                                         "evnf").stdout, "ii ")
            machine.run("touch", "/run/evnf/evnf.anew")
            machine.run(*install)
            self.wait_for_another(before)
        self.assertEqual(machine.run("ls", pins.rpartition("/")[0]).stdout.split(),
                         [pins.rpartition("/")[2]])

    def wait_for_another(self, before):
        self.machine.wait_for(lambda: self.main_pid() not in ("0", before), "another evnfd")
        self.machine.run("evnf", "status")

    @contextlib.contextmanager
    def load(self):
        """Requests meanwhile, none of which may fail."""
        load = self.start("client", "wrk", "-t1", "-c20", f"-d{SECONDS}s", "http://192.0.2.10/")
        yield
        self.assertIsNone(load.poll())
        load.send_signal(signal.SIGINT)
        out = load.communicate()[0]
        requests = int(re.search(r"(\d+) requests in", out)[1])
        self.say(f"{requests} requests")
        self.assertGreater(requests, 0)
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)

    def purge(self):
        machine = self.machine
        self.say("remove and purge")
        (machine.root / "etc/snmp/snmpd.conf.d/evnf.conf").unlink()
        self.assertIn("xdp", machine.run("ip", "link", "show", "cli0").stdout)
        machine.apt("remove", "evnf")
        self.assertNotIn("xdp", machine.run("ip", "link", "show", "cli0").stdout)
        self.assertTrue((machine.root / "var/lib/evnf/evnf.json").exists())
        machine.apt("purge", "evnf")
        for package in machine.root.glob("root/*.deb"):
            package.unlink()
        self.assertFalse((machine.root / "var/log/evnf").exists())
        left = machine.run("find", "/etc", "/lib/systemd", "/root", "/run", "/sys/fs/bpf", "/usr",
                           "/var", "-name", "*evnf*", "-not", "-path", "/var/log/*", "-not", "-path",
                           "/var/lib/systemd/*").stdout
        self.assertEqual(left, "")
        self.assertNotIn("evnf", machine.run("getent", "group").stdout)
        self.assertNotIn("evnf", machine.run("systemctl", "list-unit-files", "--plain").stdout)


class Alerts(unittest.TestCase):
    """promtool judges the alerts. It needs nothing else of Debian's prometheus, which stays away."""

    @classmethod
    def setUpClass(cls):
        base = FOLDER / "base"
        make_base(base)
        cls.promtool = FOLDER / "prometheus/usr/bin/promtool"
        if not cls.promtool.exists():
            run("chroot", base, "sh", "-c", "apt-get -q update && cd /tmp && "
                "apt-get -q -o APT::Sandbox::User=root download prometheus")
            [package] = base.glob("tmp/prometheus_*.deb")
            run("dpkg-deb", "-x", package, FOLDER / "prometheus")
            package.unlink()

    def test_rules_are_good(self):
        run(self.promtool, "check", "rules", MONITORING / "evnf.rules.yml")

    def test_each_alert_fires_when_it_should(self):
        rules = (MONITORING / "evnf.rules.yml").read_text()
        cases = (MONITORING / "evnf.rules.test.yml").read_text()
        for alert in re.findall(r"alert: (\w+)", rules):
            self.assertRegex(cases, f"alertname: {alert}\\n +eval_time: \\w+\\n +exp_alerts:")
        run(self.promtool, "test", "rules", MONITORING / "evnf.rules.test.yml")

    def test_bad_rules_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("evnf.rules.yml", "evnf.rules.test.yml"):
                text = (MONITORING / name).read_text()
                Path(folder, name).write_text(text.replace("expr: evnf_elb_backend_up == 0",
                                                           "expr: evnf_elb_backend_up == 1"))
            with self.assertRaises(MachineError):
                run(self.promtool, "test", "rules", Path(folder, "evnf.rules.test.yml"))


def interrupted(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    unittest.main(argv=["package-test"], verbosity=1)
