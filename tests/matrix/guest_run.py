# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of QEMU, emulated: started, listened to, ended."""
import json
import os
import selectors
import subprocess

# Pairs of interfaces that QEMU joins, by the third byte of their lab's network: chain_test.py.
NETWORKS = (1, 11, 12)
MEMORY = 3072  # MB; most of it is for what was built, twice while it is unpacked


class GuestError(Exception):
    """It ended or fell silent before its work was done; the message says when."""


class NotBooted(GuestError):
    """Nothing was heard of it."""


def pairs():
    """Interfaces that QEMU joins, as its words."""
    out = []
    for hub, net in enumerate(NETWORKS):
        for last in (1, 2):
            out += ["-netdev", f"hubport,id=n{net}p{last},hubid={hub}", "-device",
                    f"virtio-net-pci,netdev=n{net}p{last},mac=02:00:00:00:{net:02}:{last:02},romfile="]
    return out


class Guest:
    def __init__(self, kernel, initrd, console, devices):
        """console: the file that gets what the kernel says."""
        # A tap is an interface of the host: in a network namespace that ends with the guest.
        apart = ["unshare", "-n"] if any("tap," in word for word in devices) else []
        words = [*apart, "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(MEMORY),
                 "-smp", str(min(os.cpu_count(), 4)), "-display", "none", "-no-reboot",
                 "-nodefaults", "-monitor", "none",
                 "-kernel", kernel.image, "-initrd", initrd,
                 # On a busy machine an emulated timer is late, which the kernel takes for a broken one.
                 "-append", "console=ttyS0 panic=-1 quiet no_timer_check",
                 "-serial", f"file:{console}", "-serial", "stdio", *devices]
        self.process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def lines(self, boot_seconds, silence_seconds):
        """What it tells, line by line, until it says that it is done."""
        seen, rest, other = False, b"", b""
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                kind = GuestError if seen else NotBooted
                if not ready.select(silence_seconds if seen else boot_seconds):
                    raise kind("nothing is heard of it any more")
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise kind(f"it ended: {(rest.strip() or other).decode(errors='replace')}")
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    if not line.startswith(b"{"):
                        other = line.strip() or other  # QEMU's own words
                        continue
                    told = json.loads(line)
                    seen = True
                    yield told
                    if told.get("done"):
                        return
