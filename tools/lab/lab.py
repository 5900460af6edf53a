# SPDX-License-Identifier: GPL-2.0-or-later
"""A small network of namespaces on this machine: a client, a VNF host, two web servers.

    client ── cli0 [ vnf: evnfd ] srv1 ── server1
                                  srv2 ── server2

The client reaches everything through the VNF host, the servers answer through it. All
of it is made by start() and gone after stop(), which also runs when the program ends by
an error, Ctrl-C or SIGTERM. Nothing leaves these namespaces.
"""
import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VIP = "192.0.2.10"
VIP6 = "2001:db8:ffff::10"
PIN_DIR = "/sys/fs/bpf/evnf"
# Seconds that something may take that takes one, of a CPU that it has to itself: a bound is
# here only so that what hangs is found.
PATIENCE = 120

NGINX = """\
pid {dir}/{name}.pid; error_log {dir}/{name}.err; daemon on; worker_processes 1;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests {requests}; reset_timedout_connection on;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 80; listen [::]:80; listen 8080; listen [::]:8080;
            location / {{ return 200 "{name}\\n"; }} }}
}}
"""

CONFIG = """\
# Both directions have a chain: the way in through firewall and load balancer, the way
# back through the load balancer, which gives the answers the service's address again.
[[chain]]
name = "in"
path = "in(cli0) -> efw -> elb -> out"

[[chain]]
name = "back"
path = "in(srv1, srv2) -> elb -> out"
"""


class LabError(Exception):
    """A step of the lab failed; the message says which and how."""


class Host:
    """One namespace."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.netns = f"{lab.prefix}-{name}"

    def command(self, args):
        # Not "ip netns exec": it hides /sys/fs/bpf behind a sysfs of its own.
        return ["nsenter", f"--net=/run/netns/{self.netns}", *args]

    def run(self, *args, check=True, **more):
        return self.lab.run(self.command(list(args)), check=check, **more)

    def start(self, *args, log):
        """Starts a process that stop() will end."""
        with open(self.lab.dir / log, "ab") as out:
            process = subprocess.Popen(
                self.command(list(args)), stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        self.lab.processes.append(process)
        return process

    def link(self, interface):
        """Statistics of an interface: packets received and sent."""
        out = self.run("ip", "-s", "-j", "link", "show", "dev", interface).stdout
        stats = json.loads(out)[0]["stats64"]
        return stats["rx"]["packets"], stats["tx"]["packets"]

    def mac(self, interface):
        return json.loads(self.run("ip", "-j", "link", "show", "dev", interface).stdout)[0]["address"]


class Lab:
    def __init__(self, build, prefix=None, keepalive_requests=100):
        self.build = Path(build).resolve()
        self.prefix = prefix or f"evnf{os.getpid()}"
        self.name = self.prefix  # of the daemon
        self.keepalive_requests = keepalive_requests
        self.evnfd = self.build / "daemon/evnfd"
        self.dir = None
        self.processes = []
        self.daemon = None
        self.config = None
        self.hosts = {n: Host(self, n) for n in ("client", "vnf", "server1", "server2")}
        self.client = self.hosts["client"]
        self.vnf = self.hosts["vnf"]
        self.servers = [self.hosts["server1"], self.hosts["server2"]]

    # -- running things

    def run(self, args, check=True, **more):
        done = subprocess.run(
            [str(a) for a in args], capture_output=True, text=True, check=False, **more
        )
        if check and done.returncode != 0:
            raise LabError(f"{' '.join(map(str, args))}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def evnf(self, *args, check=True):
        """The CLI, as an operator calls it."""
        return self.run([self.build / "tools/evnf", "--name", self.name, "--run-dir",
                         self.dir / "run", *args], check=check)

    def api(self, path):
        """What a GET answers."""
        return json.loads(self.run(["curl", "-s", "--unix-socket",
                                    self.dir / f"run/{self.name}.sock",
                                    f"http://evnf{path}"]).stdout)

    def evnf_json(self, *args):
        return json.loads(self.evnf("--json", *args).stdout)

    # -- the network

    def begin_hosts(self):
        """Their namespaces, with nothing in between."""
        self.dir = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        atexit.register(self.stop)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))
        for host in self.hosts.values():
            self.run(["ip", "netns", "add", host.netns])
            host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0",
                     "net.ipv6.conf.default.router_solicitations=0",
                     "net.ipv6.conf.default.accept_ra=0", "net.ipv4.conf.all.rp_filter=0",
                     "net.ipv4.conf.default.rp_filter=0")
            host.run("ip", "link", "set", "lo", "up")

    def start(self):
        self.begin_hosts()
        self.vnf.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.connect(self.client, "cli0", 1)
        self.connect(self.servers[0], "srv1", 11)
        self.connect(self.servers[1], "srv2", 12)
        for server in self.servers:
            self.start_nginx(server)

    def connect(self, host, port, net):
        """host's eth0 and the VNF host's `port`, in 10.0.NET.0/24 and fd00:NET::/64. Each has one
        queue, as veths have unless told otherwise: what XDP sends takes the queue of the CPU that it runs
        on, so with several the packets of a flow overtake each other."""
        self.run(["ip", "link", "add", "eth0", "netns", host.netns, "type", "veth",
                  "peer", "name", port, "netns", self.vnf.netns])
        for at, interface, last in ((self.vnf, port, 1), (host, "eth0", 2)):
            at.run("ip", "addr", "add", f"10.0.{net}.{last}/24", "dev", interface)
            at.run("ip", "addr", "add", f"fd00:{net}::{last}/64", "dev", interface, "nodad")
            at.run("ip", "link", "set", interface, "up")
        # A veth takes frames that XDP sends only if its end polls, as with GRO it does.
        host.run("ethtool", "-K", "eth0", "gro", "on")
        host.run("ip", "route", "add", "default", "via", f"10.0.{net}.1")
        host.run("ip", "-6", "route", "add", "default", "via", f"fd00:{net}::1")

    def start_nginx(self, server):
        conf = self.dir / f"{server.name}.conf"
        conf.write_text(NGINX.format(dir=self.dir, name=server.name,
                                     requests=self.keepalive_requests))
        server.run("nginx", "-c", conf)
        # It listens, but the number by which others reach it comes when it is in the background.
        pid_file, give_up = self.dir / f"{server.name}.pid", time.monotonic() + PATIENCE
        while not (pid_file.exists() and pid_file.read_text().strip()):
            if time.monotonic() > give_up:
                raise LabError(f"nginx has written no {pid_file}")
            time.sleep(0.01)

    # -- the daemon

    def daemon_args(self):
        return ["--name", self.name, "--run-dir", self.dir / "run", "--state-dir",
                self.dir / "state", "--pin-dir", PIN_DIR]

    def write_config(self, text=CONFIG):
        self.config = self.dir / "vnf.toml"
        self.config.write_text(text)
        return self.config

    def start_daemon(self):
        """Starts evnfd and waits until it is ready."""
        log = self.dir / "evnfd.log"
        seen = log.stat().st_size if log.exists() else 0
        self.daemon = self.vnf.start(self.evnfd, "--config", self.config,
                                     *self.daemon_args(), log="evnfd.log")
        give_up = time.monotonic() + PATIENCE
        while True:
            text = log.read_bytes()[seen:].decode() if log.exists() else ""
            if "evnfd: ready" in text:
                return
            if self.daemon.poll() is not None:
                raise LabError(f"evnfd ended with {self.daemon.returncode}:\n{text}")
            if time.monotonic() > give_up:
                raise LabError(f"evnfd is not ready after {PATIENCE} s:\n{text}")
            time.sleep(0.02)

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()

    def stop_daemon(self):
        self.daemon.terminate()
        if self.daemon.wait(PATIENCE) != 0:
            raise LabError(f"evnfd ended with {self.daemon.returncode}")

    # -- the end

    def stop(self):
        """Takes everything down. Safe to call twice, and after a half-done start()."""
        if self.dir is None:
            return
        # A second Ctrl-C must not leave half of it.
        before = [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]
        try:
            self.tear_down()
        finally:
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before):
                signal.signal(number, handler)

    def tear_down(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for pid_file in self.dir.glob("*.pid"):
            self.end_nginx(pid_file)
        if (Path(PIN_DIR) / self.name).exists():
            self.vnf.run(self.evnfd, "--detach", *self.daemon_args(), check=False)
        for host in self.hosts.values():
            self.run(["ip", "netns", "del", host.netns], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir = None
        atexit.unregister(self.stop)

    @staticmethod
    def end_nginx(pid_file):
        """Ends a master in the way that takes its workers along, and waits for it."""
        try:
            pid = int(pid_file.read_text())
            os.kill(pid, signal.SIGTERM)
        except (ValueError, FileNotFoundError, ProcessLookupError):
            return
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            try:
                if not Path(f"/proc/{pid}/cmdline").read_bytes():
                    return  # it has ended, if nobody has asked how
            except (FileNotFoundError, ProcessLookupError):
                return
            time.sleep(0.02)
        raise LabError(f"nginx {pid} does not end")
