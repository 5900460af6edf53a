# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the commands of the documentation run: as on a machine of their own.

apart() starts the program again with process, mount and network namespaces of its own: whatever a
page does to /etc/evnf, /var/lib/evnf, /sys/fs/bpf or the network, and whatever it starts, is gone
with the program. So evnf and evnfd run with their defaults, as they do for an operator.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from case import BUILD
from lab import Host, Lab, LabError

MARK = "EVNF_DOCS_APART"
CONFIG = Path("/etc/evnf/evnf.toml")
LOG = Path("/var/log/evnfd.log")
MESSAGE = "s/^evnfd: ((error|warning): )?//"  # of a line that journald would have
PATIENCE = 240
# What only looks is asked again until it is as the page has it, which may take a while on a
# machine that has other work: health checks, applications, plans of the offload.
LOOKS = re.compile(r"evnf( --json)? (status|counters|chain (show|history|plan)|\w+ "
                   r"(list|show|status|stats|flows|top|\w+ (list|show|status)))\b|"
                   r"journalctl|ip (neigh|-s link)|cat |tail |grep |curl [^|]*unix-socket")


def apart():
    """Goes on in namespaces of its own."""
    if MARK not in os.environ:
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
                              "--mount-proc", sys.executable, *sys.argv])


def own_folders():
    """A copy of /etc, and nothing of evnf's elsewhere."""
    if MARK not in os.environ:
        raise LabError("this would write to the machine's own folders")

    def run(*words):
        subprocess.run(words, check=True)
    copy = "/mnt"
    run("mount", "-t", "tmpfs", "docs", copy)
    run("cp", "-a", "/etc", f"{copy}/etc")
    run("mount", "--bind", f"{copy}/etc", "/etc")
    for folder in ("/run", "/var/lib", "/var/log"):
        run("mount", "-t", "tmpfs", "docs", folder)
    run("mount", "-t", "bpf", "docs", "/sys/fs/bpf")
    for folder in ("/etc/evnf", "/var/log/nginx", "/var/log/evnf"):
        os.makedirs(folder, exist_ok=True)


class DocsLab(Lab):
    """The lab, with a daemon that has its usual names."""

    def __init__(self):
        super().__init__(BUILD, prefix="docs")
        self.name = "evnf"
        self.config = CONFIG
        self.here = None

    def daemon_args(self):
        return []

    def evnf(self, *args, check=True):
        return self.run([self.build / "tools/evnf", *args], check=check)

    def begin_hosts(self):
        super().begin_hosts()
        self.begin()

    def begin(self):
        """A folder to work in, and the programs as if they were installed."""
        self.here = self.dir / "here"
        self.here.mkdir()
        programs = self.dir / "bin"
        programs.mkdir()
        (programs / "evnf").symlink_to(self.build / "tools/evnf")
        (programs / "evnfd").symlink_to(self.evnfd)
        for name in ("iptables", "iptables-save", "iptables-restore"):  # as Debian has them
            (programs / name).symlink_to("/usr/sbin/xtables-nft-multi")
        os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
        self.dir.chmod(0o755)

    def host(self, name):
        return self.hosts[name or "vnf"]

    # -- what systemd does on an operator's host

    def start_service(self):
        with open(LOG, "ab") as out:
            seen = out.tell()
            self.daemon = subprocess.Popen(
                self.vnf.command([self.evnfd, "--config", CONFIG]), stdout=out, stderr=out,
                stdin=subprocess.DEVNULL)
        self.processes.append(self.daemon)
        end = time.monotonic() + PATIENCE
        while "evnfd: ready" not in (text := LOG.read_bytes()[seen:].decode()):
            if self.daemon.poll() is not None or time.monotonic() > end:
                return text
            time.sleep(0.02)
        return ""

    def stop_service(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(PATIENCE)
        return ""

    def reload_service(self):
        seen = LOG.stat().st_size
        self.daemon.send_signal(signal.SIGHUP)
        end = time.monotonic() + PATIENCE
        while "reloaded" not in LOG.read_bytes()[seen:].decode() and time.monotonic() < end:
            time.sleep(0.02)
        return ""

    def service(self, verb):
        if verb == "stop":
            return self.stop_service()
        if verb == "reload":
            return self.reload_service()
        if verb == "kill -s KILL":
            self.daemon.kill()
            self.daemon.wait()
            return ""
        self.stop_service()
        return self.start_service()

    # -- a command of a page

    def instead(self, text):
        """What a command prints that asks systemd, or None."""
        unit = r"evnfd@evnf"
        text = re.sub(r" +#[^'\"]*$", "", text)
        if done := re.fullmatch(rf"systemctl (start|stop|restart|reload|enable --now|kill -s KILL) {unit}",
                                text):
            return self.service(done[1])
        if done := re.fullmatch(rf"journalctl -u {unit} -o cat(?: -n (\d+))?( \| .*)?", text):
            shown = f"tail -n {done[1]}" if done[1] else "cat"
            return self.shell(self.vnf, f"{shown} {LOG} | sed -E '{MESSAGE}'{done[2] or ''}")[0]
        if re.fullmatch(rf"evnfd --config {CONFIG}", text):
            return self.start_service()
        return None

    def shell(self, host, text):
        """What a command has printed, and its exit code."""
        done = subprocess.run(host.command(["bash", "-c", text]), cwd=self.here, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
        return done.stdout, done.returncode

    def command(self, command):
        said = self.instead(command.text) if not command.host else None
        return (said, 0) if said is not None else self.shell(self.host(command.host), command.text)


class OneHostLab(DocsLab):
    """For pages that make the hosts themselves: this network namespace is the VNF's host."""

    def start(self):
        self.dir = Path(tempfile.mkdtemp(prefix="evnf-docs-"))
        self.begin()
        self.vnf = ThisHost(self, "vnf")
        self.hosts = {"vnf": self.vnf}
        self.run(["ip", "link", "set", "lo", "up"])

    def stop(self):
        if self.dir is None:
            return
        self.stop_service()
        self.run(["rm", "-rf", self.dir])
        self.dir = None


class ThisHost(Host):
    def command(self, args):
        return [str(a) for a in args]
