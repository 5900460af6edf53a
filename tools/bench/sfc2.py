#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A provider's chain, the paper's SFC 2: 4 iperf3 flows through a firewall and a classifier.

    client ── [firewall] ── [classifier] ── server

Firewall and classifier are a host each, as in the paper, where the classifier's VM forwards by
the kernel and nDPI looks on. 0 to 4 of the flows are elephants: flows that a protocol file names,
so that they are known by their first packet. The others are never known.

All set-ups are up all the time and are measured in turn. Veths are made as much like a wire as
they can be: the ends send frames of 1,514 bytes, not 64 KB at a time, and an interface without a
VNF has a program that lets all in (pass.bpf.c). The hosts between do not put frames of a flow
together, unless --gro: XDP cannot, and the kernel has it only for what it ends or forwards in
large pieces. CPU time is the whole machine's; what a set-up adds is counted from hosts that only
forward.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import sfc
from lab import Lab, LabError
from sfc import ROOT, TwoHosts, at_least, cpu_seconds, fast_path, say, spread, text

FLOWS = 4
PORTS = range(7001, 7001 + FLOWS)
SERVER = "10.0.11.2"
ELEPHANT = "Elephant"

FIREWALL = f"""
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[[chain]]
name = "back"
path = "in(lb0) -> efw -> out"

[efw]
rules = ["tcp dport {PORTS[0]}-{PORTS[-1]} accept", "tcp sport {PORTS[0]}-{PORTS[-1]} accept"]
default = "drop"
"""

CLASSIFIER = """
[[chain]]
name = "in"
path = "in(eth0) -> edpi -> out"

[[chain]]
name = "back"
path = "in(srv1) -> edpi -> out"

[edpi]
protocols = "{protocols}"
"""


@dataclass(frozen=True)
class Setup:
    """Who filters and who classifies; None: nobody."""
    title: str
    firewall: str | None
    classifier: str | None
    edpi: str = ""  # lines of the section besides the protocols'


NOTHING = Setup("no VNF", None, None)
SETUPS = (
    NOTHING,
    Setup("iptables + ndpiReader", "iptables", "ndpiReader"),
    Setup("efw + ndpiReader", "efw", "ndpiReader"),
    Setup("efw + edpi, copy", "efw", "edpi", 'mode = "copy"'),
)
MEASURES = ("gbit_per_second", "cpu_ms_per_gigabit")


class Sfc2(TwoHosts):
    """The hosts of one set-up. The front host is the firewall's."""

    def __init__(self, build, prefix, setup, gro):
        super().__init__(build, prefix, False)
        self.setup = setup
        self.gro = gro
        self.title = setup.title
        self.server = self.servers[0]  # the other stays alone
        self.workers = []

    def start(self):
        Lab.start(self)
        for host in (self.client, self.server):
            host.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
        if self.setup.firewall == "iptables":
            self.filter()
        if self.setup.firewall == "efw":
            self.front.write_config(FIREWALL)
            self.front.start_daemon()
        else:
            self.take_in(self.front.vnf, "cli0", "lb0")
        self.set_elephants(0)
        if self.setup.classifier == "edpi":
            self.start_daemon()
        else:
            self.take_in(self.vnf, "eth0", "srv1")
        self.workers += [d.daemon.pid for d in self.daemons()]

    def start_nginx(self, server):
        """What serves here is iperf3."""
        if server is self.server:
            self.workers += [server.start("iperf3", "-s", "-p", str(port), log="servers.log").pid
                             for port in PORTS]

    def connect(self, host, port, net):
        if host in (self.client, self.server):
            super().connect(host, port, net)

    def filter(self):
        front = self.front.vnf
        front.run("iptables", "-P", "FORWARD", "DROP")
        for way in ("--dport", "--sport"):
            front.run("iptables", "-A", "FORWARD", "-p", "tcp", way, f"{PORTS[0]}:{PORTS[-1]}",
                      "-j", "ACCEPT")

    def take_in(self, host, *interfaces):
        for name in interfaces:
            host.run("ethtool", "-K", name, "gro", "on" if self.gro else "off")
            host.run("ip", "link", "set", name, "xdpdrv", "obj",
                     self.build / "tools/bench/pass.bpf.o", "sec", "xdp")

    def set_elephants(self, n):
        """What names the elephants, for either classifier."""
        self.protocols = self.dir / f"elephants-{n}"
        ports = ",".join(f"tcp:{port}" for port in PORTS[:n])
        self.protocols.write_text(f"{ports}@{ELEPHANT}\n" if n else "")
        if self.setup.classifier != "edpi":
            return
        self.write_config(CLASSIFIER.format(protocols=self.protocols) + self.setup.edpi + "\n")
        if self.daemon:
            self.evnf("apply", self.config)

    def daemons(self):
        return [lab for lab in (self.front, self) if lab.daemon]

    def elephants_seen(self):
        """Packets of elephants so far."""
        if self.setup.classifier != "edpi":
            return 0
        rows = self.api("/v1/edpi/applications")["applications"]
        return sum(row["packets"] for row in rows if ELEPHANT in row["application"])

    def look_on(self, seconds):
        """ndpiReader beside the kernel's forwarding, where it is the classifier."""
        if self.setup.classifier != "ndpiReader":
            return None
        return subprocess.Popen(
            self.vnf.command(["ndpiReader", "-i", "eth0", "-s", str(seconds), "-p",
                              str(self.protocols)]),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def seen_by_reader(lab, said, octets):
    """How much of it ndpiReader has seen, of both directions; the rest it was too slow for."""
    seen = re.search(r"IP bytes:\s+(\d+)", said)
    if not seen:
        raise LabError(f"{lab.title}: ndpiReader counts nothing:\n{said}")
    return min(1.0, int(seen.group(1)) / octets)


def measure(lab, elephants, seconds):
    """One run of all flows; a flow that fails is an error, not a number."""
    lab.set_elephants(elephants)
    before, known = [fast_path(d) for d in lab.daemons()], lab.elephants_seen()
    (busy, user), own = cpu_seconds(), sfc.own_user_seconds(lab)
    reader = lab.look_on(seconds + 1)
    clients = [subprocess.Popen(
        lab.client.command(["iperf3", "-c", SERVER, "-p", str(port), "-t", str(seconds), "-J"]),
        stdout=subprocess.PIPE, text=True) for port in PORTS]
    try:
        said = [c.communicate(timeout=seconds + 30)[0] for c in clients]
        looked = reader.communicate(timeout=30)[0] if reader else None
    except subprocess.TimeoutExpired as e:
        raise LabError(f"{lab.title}: {e.cmd[-1]} does not end") from None
    finally:
        for process in (*clients, *([reader] if reader else [])):
            if process.poll() is None:
                process.kill()
                process.wait()
    busy, user = (now - then for now, then in zip(cpu_seconds(), (busy, user)))
    own = sfc.own_user_seconds(lab) - own
    try:
        ends = [json.loads(s)["end"] for s in said]
        octets = sum(e["sum_received"]["bytes"] for e in ends)
        rate = sum(e["sum_received"]["bits_per_second"] for e in ends)
    except (KeyError, ValueError):
        raise LabError(f"{lab.title}: iperf3 failed: {said}") from None
    frames = octets / 1448  # at least
    for daemon, (packets, slow) in zip(lab.daemons(), before):
        packets, slow = (now - then for now, then in zip(fast_path(daemon), (packets, slow)))
        if packets < frames or slow > packets / 100:
            raise LabError(f"{lab.title}: {frames:.0f} frames, but {daemon.name} had {packets} "
                           f"and left {slow} of them to the kernel")
    known = lab.elephants_seen() - known
    if lab.setup.classifier == "edpi" and (known > frames / 100) != (elephants > 0):
        raise LabError(f"{lab.title}: {known} packets of {elephants} elephants are known")
    got = {"gbit_per_second": rate / 1e9, "cpu_ms_per_gigabit": busy * 1e3 / (octets * 8e-9),
           "others_share": max(0, user - own) / (seconds * os.cpu_count())}
    if reader:
        got["seen_by_reader"] = seen_by_reader(lab, looked, octets)
    return got


def run(labs, args):
    """Samples by elephants and set-up, one for each round."""
    samples = {(n, lab.title): [] for n in args.elephants for lab in labs}
    for lab in labs:
        measure(lab, args.elephants[0], 1)  # neighbours, caches
    for n in range(args.rounds):
        for elephants in args.elephants:
            # Every other round backwards: nobody is always after the same one.
            for lab in labs if n % 2 == 0 else reversed(labs):
                got = sfc.measure_calmly(lambda lab=lab, e=elephants:
                                         measure(lab, e, args.seconds), args.tries)
                samples[elephants, lab.title].append(got)
                say(f"round {n + 1}/{args.rounds}, {elephants} elephants, {lab.title}: "
                    f"{got['gbit_per_second']:.2f} Gbit/s, "
                    f"{got['cpu_ms_per_gigabit']:.0f} ms CPU per gigabit, "
                    f"others {got['others_share']:.0%}")
    return samples


def evaluate(samples, args):
    """A row for each set-up and share of elephants; each set-up with the fewest of them against
    the most, round by round."""
    results, flat = [], []
    for setup in SETUPS:
        for n in args.elephants:
            got = samples[n, setup.title]
            row = {"setup": setup.title, "elephants_percent": 100 * n // FLOWS}
            row |= {key: spread([g[key] for g in got]) for key in (*MEASURES, "others_share")}
            if setup is not NOTHING:
                row["cpu_ms_added"] = sfc.by_round(lambda x, y: x - y, got,
                                                   samples[n, NOTHING.title],
                                                   "cpu_ms_per_gigabit")
            if "seen_by_reader" in got[0]:
                row["seen_by_reader"] = spread([g["seen_by_reader"] for g in got])
            results.append(row)
        few, many = (samples[n, setup.title] for n in (args.elephants[0], args.elephants[-1]))
        if few is not many:
            flat.append({"setup": setup.title} | {
                key: sfc.by_round(lambda x, y: x / y, few, many, key) for key in MEASURES})
    return results, flat


def report(results, flat, args):
    print("\nMedian of the rounds (least – most); CPU added: over hosts that only forward\n")
    sfc.table(("ELEPHANTS", "SET-UP", "GBIT/S", "CPU ms/GBIT", "CPU ms ADDED", "SEEN BY ndpiReader"),
              [(f"{r['elephants_percent']} %", r["setup"], text(r["gbit_per_second"], 2),
                text(r["cpu_ms_per_gigabit"], 0),
                text(r["cpu_ms_added"], 0) if "cpu_ms_added" in r else "",
                f"{r['seen_by_reader']['median']:.0%}" if "seen_by_reader" in r else "")
               for r in results])
    if not flat:
        return
    few, many = (100 * n // FLOWS for n in (args.elephants[0], args.elephants[-1]))
    print(f"\n{few} % elephants / {many} %, round by round\n")
    sfc.table(("", "SET-UP", "GBIT/S", "CPU/GBIT"),
              [("", r["setup"], *(text(r[key], 2) for key in MEASURES)) for r in flat])


def arguments():
    def shares(value):
        percent = [int(n) for n in value.split(",")]
        if any(not 0 <= n <= 100 or n * FLOWS % 100 for n in percent):
            raise argparse.ArgumentTypeError("each 0, 25, 50, 75 or 100")
        return sorted({n * FLOWS // 100 for n in percent})

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="default: %(default)s")
    parser.add_argument("--elephants", type=shares, metavar="PERCENT,…",
                        help="default: 0,25,50,75,100")
    parser.add_argument("--seconds", type=at_least(2), help="of each run; default: 5")
    parser.add_argument("--rounds", type=at_least(1), help="default: 5")
    parser.add_argument("--tries", type=at_least(1), default=1,
                        help="of a run, while others take more than 2 %% of the CPUs; default: 1")
    parser.add_argument("--gro", action="store_true",
                        help="the kernel forwards frames put together to up to 64 KB")
    parser.add_argument("--quick", action="store_true", help="0 and 100 %%, 2 rounds of 3 s")
    parser.add_argument("--json", type=argparse.FileType("w"), metavar="FILE",
                        help="every number, there")
    args = parser.parse_args()
    usual = ([0, FLOWS], 3, 2) if args.quick else (list(range(FLOWS + 1)), 5, 5)
    args.elephants = args.elephants or usual[0]
    args.seconds = args.seconds or usual[1]
    args.rounds = args.rounds or usual[2]
    return args


def versions(lab):
    iperf = lab.run(["iperf3", "--version"]).stdout.split()[1]
    reader = lab.run(["ndpiReader", "-h"], check=False).stdout
    return {"iperf3": iperf, "nDPI": re.search(r"nDPI (\S+)", reader).group(1)}


def main():
    args = arguments()
    if os.geteuid() != 0:
        sys.exit("sfc2: network namespaces and BPF need root")
    missing = [p for p in ("iperf3", "ndpiReader", "iptables", "ethtool") if not shutil.which(p)]
    if missing:
        sys.exit(f"sfc2: not installed: {', '.join(missing)} (./run install-deps)")
    try:
        with contextlib.ExitStack() as stack:
            labs = []
            for n, setup in enumerate(SETUPS):
                labs.append(Sfc2(args.build, f"evnfsfc{os.getpid()}{chr(ord('a') + n)}", setup,
                                 args.gro))
                stack.callback(labs[-1].stop)
                say(f"setting up: {setup.title}")
                labs[-1].start()
            facts = sfc.environment(labs[0], versions(labs[0]))
            samples = run(labs, args)
            say("taking everything down")
    except LabError as e:
        sys.exit(f"sfc2: {e}")
    except KeyboardInterrupt:
        sys.exit("\nsfc2: interrupted; everything is taken down")
    results, flat = evaluate(samples, args)
    disturbed = sfc.say_where(facts, [s["others_share"] for got in samples.values() for s in got],
                              args)
    report(results, flat, args)
    if args.json:
        with args.json as out:
            json.dump(facts | {"seconds": args.seconds, "rounds": args.rounds,
                               "disturbed_runs": disturbed, "results": results,
                               "fewest_to_most": flat}, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
