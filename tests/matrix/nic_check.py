#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""nic_check.py EVNF PROGRAM NIC, in a guest: what evnf preflight says of a NIC's native XDP, at each
MTU, against the kernel, which takes PROGRAM or does not. Its last line is what came of it, as JSON."""
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from nics import NICS  # noqa: E402  (found by the line above)


def run(*words):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)


def link_of(nic):
    found = [link for link in json.loads(run("ip", "-j", "link").stdout) if link["address"] == nic.mac]
    if not found:
        sys.exit(f"there is no interface with {nic.mac}")
    return found[0]["ifname"]


def native(link, program):
    """Whether the kernel takes the program, and why not."""
    done = run("ip", "link", "set", "dev", link, "xdpdrv", "obj", program, "sec", "xdp")
    if done.returncode == 0:
        run("ip", "link", "set", "dev", link, "xdpdrv", "off")
    return done.returncode == 0, done.stderr.strip()


def expect(what, said, wanted, why):
    if said != wanted:
        sys.exit(f"{what}: {said}, not {wanted}: {why}")


def preflight(evnf, link, *words):
    done = run(evnf, "--json", "preflight", *words)
    if not done.stdout:
        sys.exit(f"preflight says nothing: {done.stderr}")
    report = json.loads(done.stdout)
    return {f["check"]: f for f in report["findings"] if f["subject"] == link}, report, done.returncode


def main(evnf, program, name):
    nic = NICS[name]
    link = link_of(nic)
    version = tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", platform.release()).groups())
    run("ip", "link", "set", "dev", link, "up")

    # As it is, for a chain.
    findings, report, code = preflight(evnf, link, "--path", f"in({link}) -> out")
    takes, refused = native(link, program)
    expect("the kernel takes a program", takes,
           nic.native_in(version), refused)
    expect("preflight's exit code", code, 0 if takes else 1, report["findings"])
    if not takes and nic.finding:
        expect(nic.finding, findings[nic.finding]["level"], "error", findings)
    [facts] = report["facts"]["interfaces"]
    expect("driver", facts["driver"], nic.driver, facts)

    at = {facts["mtu"]: takes}
    for wanted in nic.mtus:
        if run("ip", "link", "set", "dev", link, "mtu", wanted).returncode != 0:
            continue  # more than the device has
        findings, _, _ = preflight(evnf, link, link)
        at[wanted], why = native(link, program)
        expect(f"preflight on native XDP at an MTU of {wanted}", findings["xdp"]["level"] == "ok",
               at[wanted], f"{why}; {findings}")
    best = max((m for m, good in at.items() if good), default=None)
    print(json.dumps({"native": takes, "verdict": "native" if takes else "not native", "best_mtu": best,
                      "mtus": list(at), "why": refused, "facts": report["facts"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
