#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Forwarding through many rules of netfilter, by netfilter itself and offloaded to XDP.

    client ── cli0 [ vnf: the rules ] srv1 ── server1, which counts and drops

The rules are a list of addresses to drop, but the first and the last of them accept. The
client sends UDP frames of one address, which the first rule accepts ("early"), the last
("late") or none ("default", the policy); all are forwarded, and what server1 gets is
counted. The same rules by iptables (nf_tables and legacy), and as an expert would write
them for nft: the drops as one set. Each variant is measured with evnfd offloading them and
without it, one after the other in each round, so that a slow spell of the machine hits each.
"""
import argparse
import os
import statistics
import sys
import time

import report
from forwarding import FLOWS, Forwarding, address
from lab import LabError

CONFIG = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[[chain]]
name = "back"
path = "in(srv1) -> out"

[efw]
offload = true
"""
NETFILTER, OFFLOADED, NOTHING = "netfilter", "offloaded", "no rules"

def iptables(rules):
    lines = [f"-A FORWARD -s {address(i)}/32 -j {'ACCEPT' if i in (0, rules - 1) else 'DROP'}"
             for i in range(rules)]
    return ("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
            "\n".join(lines) + "\nCOMMIT\n")


def nft(rules):
    drops = ", ".join(address(i) for i in range(1, rules - 1))
    return ("table ip filter {\n set bad { type ipv4_addr; elements = { " + drops + " } }\n"
            " chain forward { type filter hook forward priority 0; policy accept;\n"
            f"  ip saddr {address(0)} accept\n  ip saddr @bad drop\n"
            f"  ip saddr {address(rules - 1)} accept\n }}\n}}\n")


class Bench(Forwarding):
    def __init__(self, build, args):
        super().__init__(build, prefix=f"evnfbo{os.getpid()}")
        self.args = args
        self.samples = {}
        self.alone = []  # rates of the sender

    def prepare(self):
        super().prepare()
        self.write_config(CONFIG)

    def load(self, variant):
        self.clear()
        rules = self.args.rules
        if variant == "nft set":
            self.vnf.run("nft", "-f", "-", input=nft(rules))
        elif variant:
            self.vnf.run(f"{variant}-restore", input=iptables(rules))

    def start_offload(self, variant):
        self.start_daemon()
        for _ in range(600):
            status = self.evnf_json("efw", "offload", "status")
            if status["state"] == "in force":
                break
            time.sleep(0.1)
        else:
            raise LabError(f"{variant} is not offloaded: {status}")

    def redirected(self):
        """Frames that went on without the kernel's stack."""
        chain = next(c for c in self.evnf_json("chain", "show") if c["name"] == "in")
        return sum(r["packets"] for slot in chain["slots"] for r in slot["reasons"]
                   if slot["name"] == "out" and r["reason"] == "redirect")

    def measure(self, variant, how, places):
        for place, source in places.items():
            before = self.received(), self.redirected() if how == OFFLOADED else 0
            rates = self.rates(source, self.args.seconds)
            if how == OFFLOADED and \
                    self.redirected() - before[1] < 0.9 * (self.received() - before[0]):
                raise LabError(f"{variant}, {place}: not offloaded")
            self.samples.setdefault((variant or NOTHING, how, place), []).extend(rates)
            print(f"{variant or NOTHING:16} {how:10} {place:8} "
                  f"{statistics.median(rates) / 1000:9.1f} kpps",
                  file=sys.stderr, flush=True)

    def round(self, variants):
        rules = self.args.rules
        places = {"early": address(0), "late": address(rules - 1), "default": "198.51.100.1"}
        self.load(None)
        self.alone += self.rates_of_sender(address(0), self.args.seconds)
        self.measure(None, NETFILTER, {"default": places["default"]})
        for variant in variants:
            self.load(variant)
            self.measure(variant, NETFILTER, places)
            self.start_offload(variant)
            self.measure(variant, OFFLOADED, places)
            self.end_daemon()

    def results(self):
        out = [report.result("offload", "the sender alone", "packets", "1/s", "higher", self.alone,
                             rules=self.args.rules)]
        return out + [report.result("offload", f"{variant}, {how}", "packets", "1/s", "higher",
                                    rates, rules=self.args.rules, match=place)
                      for (variant, how, place), rates in self.samples.items()]


def table(lab):
    """The sender shares the CPUs: what it takes by itself is not the rules' cost."""
    alone = statistics.median(lab.alone)

    def cell(rates):
        if not rates:
            return "-"
        f = report.figures(rates)
        return f"{f['value'] / 1000:.1f} ({f['p10'] / 1000:.1f} – {f['p90'] / 1000:.1f})"

    def cost(rates):
        if not rates or statistics.median(rates) >= alone:  # a slow spell hit the sender alone
            return "-"
        return f"{1e9 / statistics.median(rates) - 1e9 / alone:.0f}"
    out = ["| rules | match | netfilter, kpps | offloaded, kpps | netfilter, ns | offloaded, ns |",
           "|---|---|---|---|---|---|"]
    for (variant, how, place), rates in lab.samples.items():
        if how == NETFILTER:
            fast = lab.samples.get((variant, OFFLOADED, place))
            out.append(f"| {variant} | {place} | {cell(rates)} | {cell(fast)} | "
                       f"{cost(rates)} | {cost(fast)} |")
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rules", type=int, default=10000, help="at most 65536")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="1000 rules, one round, one second")
    parser.add_argument("--json", metavar="FILE", help="write the results there too")
    args = parser.parse_args()
    if args.quick:
        args.rules, args.rounds, args.seconds = 1000, 1, 1
    if not 3 <= args.rules <= 65536:
        parser.error("--rules: 3 to 65536")
    lab = Bench(args.build, args)
    try:
        lab.prepare()
        for _ in range(args.rounds):
            lab.round(["iptables-nft", "iptables-legacy", "nft set"])
    except LabError as e:
        sys.exit(f"bench offload: {e}")
    finally:
        lab.stop()
    facts = report.envelope(args.build, report.versions_of("iptables", "nft"), lab.results())
    print(f"{report.where(facts)}\n{args.rules} rules, {args.rounds} rounds of {args.seconds:g} s, "
          f"60-byte UDP, {FLOWS} flows; median, and the 10th and 90th percentile of slices. The "
          f"sender alone: {statistics.median(lab.alone) / 1000:.1f} kpps; ns are what a packet "
          "costs besides sending it.\n")
    print(table(lab))
    if args.json:
        report.write(args.json, facts)


if __name__ == "__main__":
    main()
