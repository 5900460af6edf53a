#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A provider's chain, the paper's SFC 2: 4 iperf3 flows through a firewall and a classifier.

    client ── [firewall] ── [classifier] ── server

Firewall and classifier are a host each, as in the paper, where the classifier's VM forwards by
the kernel and nDPI looks on. 0 to 4 of the flows are elephants: flows that a protocol file names,
so that they are known by their first packet. The others are never known: where edpi lets packets
wait, in the modes "stack" and "xsk", they all go the slow way, as in the paper.

All set-ups are up all the time and are measured in turn. Veths are made as much like a wire as
they can be: the ends send frames of 1,514 bytes, not 64 KB at a time, and an interface without a
VNF has a program that lets all in (pass.bpf.c). The hosts between do not put frames of a flow
together, unless --gro: XDP cannot, and the kernel has it only for what it ends or forwards in
large pieces. CPU time is the whole machine's, less what others have in user space; what a set-up
adds is counted from hosts that only forward.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

import report
import sfc
from lab import LabError
from sfc import TwoHosts, cpu_seconds, fast_path, text

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
mode = "{mode}"
{elephants}
"""


@dataclass(frozen=True)
class Setup:
    """Who filters and who classifies; None: nobody."""
    title: str
    firewall: str | None
    classifier: str | None
    mode: str | None = None  # edpi's

    @property
    def waits(self):
        """Whether what is no elephant goes through the slow path."""
        return self.mode in ("stack", "xsk")


NOTHING = Setup("no VNF", None, None)
SETUPS = (
    NOTHING,
    Setup("iptables + ndpiReader", "iptables", "ndpiReader"),
    Setup("efw + ndpiReader", "efw", "ndpiReader"),
    Setup("efw + edpi, copy", "efw", "edpi", "copy"),
    Setup("efw + edpi, stack", "efw", "edpi", "stack"),
    Setup("efw + edpi, xsk", "efw", "edpi", "xsk"),
)
# Of each run: the name in a report, the unit, what is better.
MEASURES = {"throughput": ("Gbit/s", "higher"), "CPU per gigabit": ("ms", "lower")}


class Sfc2(TwoHosts):
    """The hosts of one set-up. The front host is the firewall's."""

    def __init__(self, build, prefix, setup, gro):
        super().__init__(build, prefix)
        self.setup = setup
        self.gro = gro
        self.title = setup.title
        self.server = self.servers[0]  # the other stays alone
        self.workers = []

    def start(self):
        super().start()
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
        kept = ""
        if self.setup.waits:
            kept = f'[edpi.elephants]\napplication = ["{ELEPHANT}"]' if n else 'elephants = "never"'
        self.write_config(CLASSIFIER.format(protocols=self.protocols, mode=self.setup.mode,
                                            elephants=kept))
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
    start = time.monotonic()
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
    others = max(0, user - own)
    share = others / (time.monotonic() - start) / os.cpu_count()
    try:
        ends = [json.loads(s)["end"] for s in said]
        octets = sum(e["sum_received"]["bytes"] for e in ends)
        rate = sum(e["sum_received"]["bits_per_second"] for e in ends)
    except (KeyError, ValueError):
        raise LabError(f"{lab.title}: iperf3 failed: {said}") from None
    frames = octets / 1448  # at least
    for daemon, (packets, slow) in zip(lab.daemons(), before):
        packets, slow = (now - then for now, then in zip(fast_path(daemon), (packets, slow)))
        mice_are_slow = daemon is lab and lab.setup.waits and elephants < FLOWS
        if packets < frames or slow > packets / 100 and not mice_are_slow:
            raise LabError(f"{lab.title}: {frames:.0f} frames, but {daemon.name} had {packets} "
                           f"and left {slow} of them to the kernel")
    known = lab.elephants_seen() - known
    if lab.setup.classifier == "edpi" and (known > frames / 100) != (elephants > 0):
        raise LabError(f"{lab.title}: {known} packets of {elephants} elephants are known")
    got = {"throughput": rate / 1e9, "others_share": share,
           "CPU per gigabit": (busy - others) * 1e3 / (octets * 8e-9)}
    if reader:
        got["seen_by_reader"] = seen_by_reader(lab, looked, octets)
    return got


def tell(elephants, got):
    return (f"{elephants} elephants: {got['throughput']:.2f} Gbit/s, "
            f"{got['CPU per gigabit']:.0f} ms CPU per gigabit")


def evaluate(samples, args):
    """Results for each set-up and share of elephants; each set-up with the fewest of them against
    the most, round by round."""
    results = []
    few, most = args.elephants[0], args.elephants[-1]
    for setup in SETUPS:
        def add(measure_name, unit, better, values, setup=setup, **where):
            results.append(report.result("sfc2", setup.title, measure_name, unit, better, values,
                                         **where, gro=args.gro))
        for n in args.elephants:
            got, where = samples[n, setup.title], {"elephants_percent": 100 * n // FLOWS}
            for name, (unit, better) in MEASURES.items():
                add(name, unit, better, [g[name] for g in got], **where)
            if setup is not NOTHING:
                add("CPU per gigabit added", "ms", "lower",
                    sfc.by_round(lambda x, y: x - y, got, samples[n, NOTHING.title],
                                 "CPU per gigabit"), **where)
            if "seen_by_reader" in got[0]:
                add("traffic seen by ndpiReader", "ratio", "higher",
                    [g["seen_by_reader"] for g in got], **where)
        if few != most:
            add("throughput, of that with the most elephants", "ratio", "higher",
                sfc.by_round(lambda x, y: x / y, samples[few, setup.title],
                             samples[most, setup.title], "throughput"),
                elephants_percent=100 * few // FLOWS)
    return results


def tables(results, args):
    rows = {(r["case"], r["parameters"]["elephants_percent"], r["measure"]): r for r in results}

    def cell(setup, percent, measure_name, digits):
        row = rows.get((setup.title, percent, measure_name))
        return text(row, digits) if row else ""
    print("\nMedian (10th – 90th percentile); CPU added: over hosts that only forward\n")
    percents = [100 * n // FLOWS for n in args.elephants]
    sfc.table(("ELEPHANTS", "SET-UP", "GBIT/S", "CPU ms/GBIT", "CPU ms ADDED", "SEEN BY ndpiReader"),
              [(f"{p} %", s.title, cell(s, p, "throughput", 2), cell(s, p, "CPU per gigabit", 0),
                cell(s, p, "CPU per gigabit added", 0), cell(s, p, "traffic seen by ndpiReader", 2))
               for s in SETUPS for p in percents])
    if percents[0] == percents[-1]:
        return
    print(f"\n{percents[0]} % elephants / {percents[-1]} %, round by round\n")
    sfc.table(("", "SET-UP", "GBIT/S"),
              [("", s.title, cell(s, percents[0], "throughput, of that with the most elephants", 2))
               for s in SETUPS])


def arguments():
    def shares(value):
        percent = [int(n) for n in value.split(",")]
        if any(not 0 <= n <= 100 or n * FLOWS % 100 for n in percent):
            raise argparse.ArgumentTypeError("each 0, 25, 50, 75 or 100")
        return sorted({n * FLOWS // 100 for n in percent})

    parser = sfc.parser(__doc__, "0 and 100 %%, 2 rounds of 2 s")
    parser.add_argument("--elephants", type=shares, metavar="PERCENT,…",
                        help="default: 0,25,50,75,100")
    parser.add_argument("--gro", action="store_true",
                        help="the kernel forwards frames put together to up to 64 KB")
    return sfc.with_usual(parser.parse_args(),
                          {"elephants": list(range(FLOWS + 1)), "seconds": 3, "rounds": 3},
                          {"elephants": [0, FLOWS], "seconds": 2, "rounds": 2})


def main():
    args = arguments()
    labs = [Sfc2(args.build, f"evnfsfc{os.getpid()}{chr(ord('a') + n)}", setup, args.gro)
            for n, setup in enumerate(SETUPS)]
    samples = sfc.measured("sfc2", ("iperf3", "ndpiReader", "iptables", "ethtool"), labs,
                           args.elephants, args, measure, tell)
    results = evaluate(samples, args)
    facts = report.envelope(args.build, report.versions_of("iperf3", "ndpi", "iptables"), results)
    sfc.say_where(facts, samples, args)
    tables(results, args)
    if args.json:
        report.write(args.json, facts)


if __name__ == "__main__":
    sys.exit(main())
