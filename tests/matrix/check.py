#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check.py BUILD [KERNEL...]: what was built, on Debian's kernels, in guests that QEMU emulates.

Each object of the fast path is loaded, the tests of the programs run, and traffic passes a chain
on virtio-net. With --quick, what a run of all tests has the time for: the objects, and QUICK. With
--offline only kernels that have been fetched.
"""
import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kernels  # noqa: E402  (found by the line above)
from guest_run import Guest, GuestError, NotBooted  # noqa: E402
from image import PYTHON, SOURCE, Image  # noqa: E402

SKIPPED = 77  # to Meson
# What a test of a minute has the time for, the longest first: names, and which cases. Left out are
# those that go through random packets for long, where others load the same programs.
QUICK = {"forward": [], "reenter": [], "parse": ["~program and model agree on random frames"],
         "classify": ["~a packet goes the way of the first rule*"]}
DRIVERS = ["virtio_pci", "virtio_net"]
# Seconds: bounds are here only so that a guest that hangs is found.
BOOT = 300
STEP = 1800
SILENCE = STEP + 60


def say(text):
    print(text, file=sys.stderr, flush=True)


def missing(quick):
    """Why this machine cannot, or None."""
    machine = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    if machine.stdout.strip() != "amd64":
        return "the kernels are those of amd64"
    for program in ("qemu-system-x86_64", "depmod", "cpio", *([] if quick else ["xdp-filter"])):
        if not shutil.which(program):
            return f"{program} is not there: ./run {'install-deps' if quick else 'matrix'} installs it"
    return None


def program_tests(build, quick):
    """Of Meson's tests those of programs: all, or QUICK."""
    said = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, text=True,
                          check=True).stdout
    found = [{"name": t["name"], "cmd": t["cmd"], "env": {**t["env"], "EVNF_REQUIRE_BPF": "1"}}
             for t in json.loads(said)
             if t["suite"][0].endswith(":program") and "python" not in t["cmd"][0]]
    if not quick:
        return found
    by_name = {t["name"]: t for t in found}
    return [{**by_name[name], "cmd": by_name[name]["cmd"] + cases} for name, cases in QUICK.items()]


def make_plan(build, quick):
    objects = sorted(str(o) for folder in ("bpf", "vnfs") for o in (build / folder).glob("*.bpf.o"))
    hosts = [] if quick else [
        {"name": "chain", "cmd": [PYTHON, "-B", str(SOURCE / "tests/matrix/chain_test.py")],
         "env": {"EVNF_BUILD": str(build)}}]
    return {"modules": DRIVERS, "seconds": STEP, "objects": objects,
            "programs": program_tests(build, quick), "hosts": hosts}


def make_image(root, build, plan, quick):
    image = Image(root)
    image.add_system(xdp_tools=not quick)
    image.add_sources()
    for path in plan["objects"]:
        image.add(path)
    for path in [one["cmd"][0] for one in plan["programs"]]:
        image.add(path, strip=True)
    for name in () if quick else ("daemon/evnfd", "tools/evnf"):
        image.add(build / name, strip=True)
    return image


def listen(guest, release, steps):
    for told in guest.lines(BOOT, SILENCE):
        if "kind" in told:
            steps.append(told)
            say(f"{release}: {told['kind']} {told['name']}: "
                f"{'passed' if told['passed'] else 'FAILED'} ({told['seconds']} s)")


def run_kernel(kernel, plan, initrd, console):
    """Each step, and why it ended early if it did. One that does not boot is tried once more."""
    for again in (True, False):
        steps = []
        begin = time.monotonic()
        say(f"== {kernel.release}, Debian's {kernel.package}")
        try:
            with Guest(kernel, initrd, console) as guest:
                listen(guest, kernel.release, steps)
            error = None
        except NotBooted as why:
            if again:
                say(f"{kernel.release}: {why}: once more")
                continue
            error = f"it does not boot: {why}"
        except GuestError as why:
            error = str(why)
        break
    done = {(s["kind"], s["name"]) for s in steps}
    wanted = [("load", Path(o).name.removesuffix(".bpf.o")) for o in plan["objects"]]
    wanted += [(kind, one["name"]) for kind in ("program", "host") for one in plan[f"{kind}s"]]
    for kind, name in wanted:
        if (kind, name) not in done:
            steps.append({"kind": kind, "name": name, "passed": False, "seconds": 0,
                          "why": error or "it was not heard of"})
    return {"release": kernel.release, "package": kernel.package, "error": error,
            "seconds": round(time.monotonic() - begin, 1), "steps": steps}


def table(results):
    cells = {}
    for version, result in results.items():
        for s in result["steps"]:
            cells.setdefault((s["kind"], s["name"]), {})[version] = (
                f"{s['seconds']:.1f} s" if s["passed"] else "FAILED")
    order = {"load": 0, "program": 1, "host": 2}
    width = max(len(f"{kind} {name}") for kind, name in cells)
    print(f"{'':{width}}" + "".join(f"{r['package']:>20}" for r in results.values()))
    for kind, name in sorted(cells, key=lambda key: (order[key[0]], key[1])):
        print(f"{kind + ' ' + name:{width}}" +
              "".join(f"{cells[kind, name].get(version, '-'):>20}" for version in results))
    for version, result in results.items():
        passed = sum(s["passed"] for s in result["steps"])
        print(f"{version}: {passed} of {len(result['steps'])} passed in {result['seconds']:.0f} s")


def main():
    options = argparse.ArgumentParser(prog="matrix")
    options.add_argument("build", type=Path)
    options.add_argument("kernels", nargs="*", metavar="KERNEL")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--offline", action="store_true")
    options.add_argument("--json", type=Path)
    asked = options.parse_intermixed_args()
    build = asked.build.resolve()
    folder = build / "matrix"
    if why := missing(asked.quick):
        print(f"skipped: {why}")
        return SKIPPED
    get = kernels.find if asked.offline else kernels.fetch
    chosen = {version: get(folder, version) for version in asked.kernels or kernels.PACKAGES}
    if None in chosen.values():
        print(f"skipped: not all of {', '.join(chosen)} are in {folder}: ./run matrix fetches them")
        return SKIPPED
    plan = make_plan(build, asked.quick)
    results = {}
    with tempfile.TemporaryDirectory(dir=folder) as files:
        image = make_image(Path(files, "root"), build, plan, asked.quick)
        for version, kernel in chosen.items():
            initrd = Path(files, "initrd")
            image.write(kernel, plan, initrd)
            results[version] = run_kernel(kernel, plan, initrd, folder / f"{version}.log")
    for version, result in results.items():
        for s in result["steps"]:
            if not s["passed"]:
                print(f"== {version}: {s['kind']} {s['name']} failed; all of it is in "
                      f"{folder / version}.log\n{s['why']}")
    table(results)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(s["passed"] for r in results.values() for s in r["steps"]) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the guest too
    try:
        sys.exit(main())
    except kernels.KernelError as why:
        sys.exit(f"matrix: {why}")
