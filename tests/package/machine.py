# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian 12 with its own systemd, in namespaces of this machine's kernel.

Its files are a layer above a folder that debootstrap has made, so that each one is new; its
interfaces, processes, BPF file system and cgroups are its own, and gone when it is.
"""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
PACKAGES = ["systemd", "systemd-sysv", "dbus", "iproute2", "procps"]

# Its processes begin in a cgroup of their own of each hierarchy, which is the root that they see.
ENTER = r"""
for hierarchy in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do
    mkdir "$hierarchy/$1" && echo $$ >"$hierarchy/$1/cgroup.procs" || :
done
shift
exec "$@"
"""

# In new namespaces, as root: its file systems, then its first process.
BOOT = r"""
set -e
root=$1
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t bpf -o mode=700 bpf "$root/sys/fs/bpf"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
cd "$root"
pivot_root . mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd
"""


class MachineError(Exception):
    """A step failed; the message says which and how."""


def run(*words, check=True, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **more)
    if check and done.returncode != 0:
        raise MachineError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done


def make_base(folder):
    """The folder with Debian's own packages, once."""
    made = folder / "made"
    if made.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run("debootstrap", "--variant=minbase", "bookworm", folder, MIRROR)
    run("chroot", folder, "apt-get", "-q", "-y", "install", "--no-install-recommends", *PACKAGES,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    # A console is not there.
    run("chroot", folder, "systemctl", "mask", "getty.target", "console-getty.service")
    made.touch()


class Machine:
    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "machine/root"
        self.cgroup = f"evnf-package-test-{os.getpid()}"
        self.process = None
        self.pid = None

    def start(self):
        make_base(self.folder / "base")
        layers = self.folder / "machine"
        shutil.rmtree(layers, ignore_errors=True)
        for name in ("root", "upper", "work"):
            (layers / name).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={self.folder / 'base'},upperdir={layers / 'upper'},workdir={layers / 'work'}",
            self.root)
        with open(layers / "boot.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", ENTER, "sh", self.cgroup, "unshare", "--pid", "--fork", "--mount",
                 "--uts", "--ipc", "--net", "--cgroup", "--propagation", "private",
                 "sh", "-c", BOOT, "sh", self.root],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.wait_for(self.find_pid, "its first process")
        self.wait_for(lambda: self.run("systemctl", "is-system-running",
                                       check=False).stdout.strip() in ("running", "degraded"),
                      "systemd")

    def find_pid(self):
        if self.process.poll() is not None:
            raise MachineError((self.folder / "machine/boot.log").read_text())
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children and "systemd" in Path(f"/proc/{children[0]}/comm").read_text():
            self.pid = int(children[0])
        return self.pid is not None

    @staticmethod
    def wait_for(what, name, seconds=120):
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise MachineError(f"{name}: not after {seconds} s")
            time.sleep(0.1)

    def command(self, words, network=True):
        namespaces = ["-m", "-p", "-u", "-i", "-C"] + (["-n"] if network else [])
        return ["nsenter", "-t", str(self.pid), *namespaces, "env", "-i", "LC_ALL=C.UTF-8",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
                *map(str, words)]

    def run(self, *words, check=True, network=True):
        """In the machine; without its network, in that of the host, which reaches Debian."""
        return run(*self.command(words, network), check=check)

    def apt(self, *words):
        return self.run("apt-get", "-q", "-y", *words, network=False)

    def stop(self):
        if self.pid:
            os.kill(self.pid, signal.SIGRTMIN + 4)  # power off
        if self.process:
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.kill(self.pid, signal.SIGKILL)
                self.process.wait()
        run("umount", self.root, check=False)
        self.remove_cgroups()

    def remove_cgroups(self):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, at, kind, *_ = line.split()
            top = Path(at, self.cgroup)
            if kind in ("cgroup", "cgroup2") and top.is_dir():
                for group in sorted((g for g in top.rglob("*") if g.is_dir()), reverse=True):
                    group.rmdir()
                top.rmdir()
