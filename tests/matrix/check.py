#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check.py BUILD [KERNEL...]: what was built, on Debian's kernels, in guests that QEMU emulates.

Each object of the fast path is loaded, traffic passes a chain on virtio-net, evnf preflight is judged on
NICs, and the tests of the programs run. With --quick, what a run of all tests has the time for: the
objects, and QUICK. With --offline only kernels that have been fetched.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kernels  # noqa: E402  (found by the line above)
import nics  # noqa: E402
from guest_run import Guest, GuestError, NotBooted, pairs  # noqa: E402
from image import MODULES, PROGRAMS, PYTHON, SMALL, SOURCE, Image  # noqa: E402

SKIPPED = 77  # to Meson
# What a test of a minute has the time for, the longest first: names, and which cases. Left out are
# those that go through random packets for long, where others load the same programs.
QUICK = {"forward": [], "reenter": [], "parse": ["~program and model agree on random frames"],
         "classify": ["~a packet goes the way of the first rule*"]}
# Tests that are long, the longest first, and how much of each there is time for: by its environment,
# and which cases. What is random in them is only less.
SHARES = {"consolidate": ({"EVNF_PACKETS": "1000"}, []),
          "efw_offload_netfilter": ({"EVNF_ROUNDS": "4", "EVNF_PACKETS": "300"},
                                    ["~plans of well-known rulesets"]),
          "efw_explain": ({"EVNF_PACKETS": "2000"}, []),
          "efw_offload_judge": ({"EVNF_ROUNDS": "4", "EVNF_PACKETS": "600"}, []),
          "efw_exchange": ({"EVNF_ROUNDS": "2"}, [])}
LEFT_OUT = {"bench_programs": "it measures, which says nothing of emulated CPUs"}
DRIVERS = ["virtio_pci", "virtio_net"]
# Debian has this as a module: efw is loaded without it, then with it, as are the programs' tests.
CALLED, CALLERS = "nf_conntrack", "efw.bpf.o"
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
    if not quick and os.geteuid() != 0:
        return "the NICs need root, for a network namespace"
    return None


def program_tests(build, quick):
    """Of Meson's tests those of programs: all, or QUICK. And why others are left out."""
    said = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, text=True,
                          check=True).stdout
    found = {t["name"]: {"name": t["name"], "cmd": t["cmd"], "env": {**t["env"], "EVNF_REQUIRE_BPF": "1"}}
             for t in json.loads(said) if t["suite"][0].endswith(":program")}
    if quick:
        return [{**found[name], "cmd": found[name]["cmd"] + cases} for name, cases in QUICK.items()], {}
    left = {("program", name): why for name, why in LEFT_OUT.items() if found.pop(name, None)}
    first = [name for name in SHARES if name in found]
    for name in first:
        environment, cases = SHARES[name]
        found[name]["env"].update(environment)
        found[name]["cmd"] = found[name]["cmd"] + cases
    return [found[name] for name in first] + [t for name, t in found.items() if name not in first], left


@dataclass
class Round:
    """What one guest of each kernel does."""
    name: str
    plan: dict
    image: Image
    files: list = field(default_factory=lambda: MODULES)  # of the kernel's modules
    devices: list = field(default_factory=pairs)
    flavour: str = ""
    left_out: dict = field(default_factory=dict)  # why, by kind and name


def make_plan(objects=(), programs=(), hosts=(), nics=(), modules=DRIVERS):
    again = [path for path in objects if Path(path).match(CALLERS)]
    return {"modules": modules, "seconds": STEP, "objects": objects, "beside": CALLED if again or programs else "",
            "again": again, "programs": programs, "hosts": hosts, "nics": nics}


def make_rounds(root, build, quick):
    """In the order of what they take: what fails, fails early."""
    objects = sorted(str(o) for folder in ("bpf", "vnfs") for o in (build / folder).glob("*.bpf.o"))
    programs, left_out = program_tests(build, quick)
    image = Image(root / "all")
    image.add_system(PROGRAMS, xdp_tools=not quick)
    image.add_sources()
    for path in objects:
        image.add(path)
    for path in [one["cmd"][0] for one in programs]:
        image.add(path, strip=True)
    if quick:
        return [Round("quick", make_plan(objects, programs), image)]
    for name in ("daemon/evnfd", "tools/evnf"):
        image.add(build / name, strip=True)
    chain = {"name": "chain", "cmd": [PYTHON, "-B", str(SOURCE / "tests/matrix/chain_test.py")],
             "env": {"EVNF_BUILD": str(build)}}
    return [Round("chain", make_plan(objects, hosts=[chain]), image), nic_round(root, build),
            Round("programs", make_plan(programs=programs), image, left_out=left_out)]


def nic_round(root, build):
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        why = "there is no /dev/net/tun, which QEMU's NICs are joined to"
        return Round("nics", None, None, left_out={("nic", name): why for name in nics.NICS})
    evnf, program = build / "tools/evnf", build / "tests/reflect.bpf.o"
    image = Image(root / "nics")
    image.add_system(SMALL)
    image.add_tree(SOURCE / "tests/matrix")
    image.add(evnf, strip=True)
    image.add(program)
    check = [PYTHON, "-B", str(SOURCE / "tests/matrix/nic_check.py"), str(evnf), str(program)]
    plan = make_plan(nics=[{"name": name, "cmd": [*check, name], "env": {}} for name in nics.NICS],
                     modules=nics.MODULES)
    return Round("nics", plan, image, nics.FILES, nics.devices(), "-machine")


def listen(guest, release, steps):
    for told in guest.lines(BOOT, SILENCE):
        if "kind" in told:
            steps.append(told)
            say(f"{release}: {told['kind']} {told['name']}: "
                f"{'passed' if told['passed'] else 'FAILED'} ({told['seconds']} s)")
            if not told["passed"]:
                say(told["why"])


def run_kernel(kernel, plan, initrd, console, devices):
    """Each step, and why it ended early if it did. One that does not boot is tried once more."""
    for again in (True, False):
        steps = []
        begin = time.monotonic()
        say(f"== {kernel.release}, Debian's {kernel.package}")
        try:
            with Guest(kernel, initrd, console, devices) as guest:
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
    wanted += [("load", f"{Path(o).name.removesuffix('.bpf.o')} beside {plan['beside']}") for o in plan["again"]]
    wanted += [(kind, one["name"]) for kind in ("program", "host", "nic") for one in plan[f"{kind}s"]]
    for kind, name in wanted:
        if (kind, name) not in done:
            steps.append({"kind": kind, "name": name, "passed": False, "seconds": 0,
                          "why": error or "it was not heard of"})
    return {"release": kernel.release, "package": kernel.package, "error": error,
            "seconds": round(time.monotonic() - begin, 1), "steps": steps}


def cell(step):
    if step.get("skipped"):
        return "skipped"
    if not step["passed"]:
        return "FAILED"
    found = f"{step['found']['verdict']} " if step.get("found") else ""
    return f"{found}{step['seconds']:.1f} s"


def part_of(name):
    environment, cases = SHARES[name]
    return " ".join([f"{key}={value}" for key, value in environment.items()] + cases)


def table(results):
    cells, notes = {}, {}
    for version, result in results.items():
        for s in result["steps"]:
            cells.setdefault((s["kind"], s["name"]), {})[version] = cell(s)
            if s.get("skipped"):
                notes[s["kind"], s["name"]] = s["skipped"]
            elif s["kind"] == "program" and s["name"] in SHARES:
                notes[s["kind"], s["name"]] = f"a part: {part_of(s['name'])}"
    order = {"load": 0, "host": 1, "nic": 2, "program": 3}
    width = max(len(f"{kind} {name}") for kind, name in cells)
    print(f"{'':{width}}" + "".join(f"{r['package']:>22}" for r in results.values()))
    for kind, name in sorted(cells, key=lambda key: (order[key[0]], key[1])):
        note = notes.get((kind, name), "")
        print(f"{kind + ' ' + name:{width}}" +
              "".join(f"{cells[kind, name].get(version, '-'):>22}" for version in results) +
              (f"   {note}" if note else ""))
    for version, result in results.items():
        skipped = sum(bool(s.get("skipped")) for s in result["steps"])
        passed = sum(s["passed"] for s in result["steps"])
        print(f"{version}: {passed} passed, {len(result['steps']) - passed - skipped} failed, "
              f"{skipped} skipped in {result['seconds']:.0f} s")


def run_round(this, version, kernel, folder, files):
    initrd = files / "initrd"
    result = {"release": kernel.release, "package": kernel.package, "error": None, "seconds": 0, "steps": []}
    if this.plan:
        this.image.write(kernel, this.plan, initrd, this.files)
        result = run_kernel(kernel, this.plan, initrd, folder / f"{version}-{this.name}.log", this.devices)
    result["steps"] += [{"kind": kind, "name": name, "passed": False, "seconds": 0, "why": why,
                         "skipped": why} for (kind, name), why in this.left_out.items()]
    for s in result["steps"]:
        s["log"] = f"{version}-{this.name}.log"
    return result


def add(results, version, result):
    """Of several guests one result; its kernel is that of the first."""
    if version not in results:
        results[version] = result
        return
    so_far = results[version]
    so_far["steps"] += result["steps"]
    so_far["seconds"] += result["seconds"]
    so_far["error"] = so_far["error"] or result["error"]


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
    flavours = ("",) if asked.quick else ("", "-machine")
    chosen = {version + flavour: get(folder, version + flavour)
              for version in asked.kernels or kernels.VERSIONS for flavour in flavours}
    if None in chosen.values():
        print(f"skipped: not all of {', '.join(chosen)} are in {folder}: ./run matrix fetches them")
        return SKIPPED
    results = {}
    with tempfile.TemporaryDirectory(dir=folder) as files:
        for this in make_rounds(Path(files), build, asked.quick):
            for version in asked.kernels or kernels.VERSIONS:
                add(results, version, run_round(this, version, chosen[version + this.flavour], folder,
                                                Path(files)))
    for version, result in results.items():
        for s in result["steps"]:
            if not s["passed"] and not s.get("skipped"):
                print(f"== {version}: {s['kind']} {s['name']} failed; all of it is in "
                      f"{folder / s['log']}\n{s['why']}")
    table(results)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(s["passed"] or s.get("skipped") for r in results.values() for s in r["steps"]) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the guest too
    try:
        sys.exit(main())
    except kernels.KernelError as why:
        sys.exit(f"matrix: {why}")
