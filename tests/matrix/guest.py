#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The first process of a guest: does what /plan.json says and tells of each step in a line of
JSON on the second serial line; the first has the kernel's messages and what failed steps wrote."""
import ctypes
import json
import os
import platform
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

POWER_OFF = 0x4321FEDC
LIBC = ctypes.CDLL(None, use_errno=True)
LOCK = threading.Lock()
WHY = 2000  # characters of what a failed step wrote, for whoever reads the table


def mount(kind, at):
    os.makedirs(at, exist_ok=True)
    if LIBC.mount(kind.encode(), at.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), f"mount {kind} on {at}")


def tell(**what):
    with LOCK, open("/dev/ttyS1", "w", encoding="utf-8") as line:
        line.write(json.dumps(what) + "\n")


def step(kind, name, words, seconds, env=None):
    begin = time.monotonic()
    tell(begin=f"{kind} {name}")
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds, check=False,
                              env={**os.environ, **(env or {})})
        code, out = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as e:
        code, out = None, (e.stdout or b"").decode(errors="replace") + f"\nnot done after {seconds} s"
    if code != 0:
        with LOCK, open("/dev/ttyS0", "w", encoding="utf-8") as console:
            console.write(f"\n== {kind} {name}: {code}\n{out}\n==\n")
    said = out.strip()
    tell(kind=kind, name=name, passed=code == 0, seconds=round(time.monotonic() - begin, 1),
         why="" if code == 0 else said[-WHY:] or f"it ended with {code}",
         # Of a NIC what came of it, as the last line of its test has it.
         found=json.loads(said.splitlines()[-1]) if kind == "nic" and code == 0 else None)


def load(path, seconds, beside=""):
    name = Path(path).name.removesuffix(".bpf.o") + (f" beside {beside}" if beside else "")
    pins = Path("/sys/fs/bpf", f"load_{name.replace(' ', '_')}")
    step("load", name, ["bpftool", "prog", "loadall", path, str(pins)], seconds)
    for pin in pins.glob("*"):
        pin.unlink()


def main():
    os.environ["PATH"] = "/usr/sbin:/usr/bin"
    for kind, at in (("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys"),
                     ("bpf", "/sys/fs/bpf")):
        mount(kind, at)
    for number, name in enumerate(("stdin", "stdout", "stderr")):  # udev's work elsewhere
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")
    tell(booted=platform.release())
    plan = json.loads(Path("/plan.json").read_text())
    subprocess.run(["modprobe", "-a", *plan["modules"]], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    seconds = plan["seconds"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path in plan["objects"]:
            pool.submit(load, path, seconds)
    if plan["beside"]:  # a module that programs call into, if it is there
        subprocess.run(["modprobe", plan["beside"]], check=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path in plan["again"]:
            pool.submit(load, path, seconds, plan["beside"])
        for one in plan["programs"]:
            pool.submit(step, "program", one["name"], one["cmd"], seconds, one["env"])
    for kind in ("host", "nic"):
        for one in plan[f"{kind}s"]:
            step(kind, one["name"], one["cmd"], seconds, one["env"])
    tell(done=True)


try:
    main()
finally:
    LIBC.sync()
    time.sleep(0.2)  # for the serial lines
    LIBC.reboot(POWER_OFF)
