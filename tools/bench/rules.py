#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic through many rules: how much, how fast, and what is lost while they are replaced.

    client ── cli0 [ vnf: the rules ] srv1 ── server1, which counts and drops

The rules are a list of addresses to drop; the last accepts the client's, and nothing else is
let through. By iptables (legacy), by nftables as the same list and as an expert would write it,
with a set; and by efw. What is measured of each: packets a second in a flood, the time of an echo
on an idle path, the time that the command takes which replaces all rules or adds one, and how many
of 1,000 datagrams a second are lost at each replacement.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import report
import sfc
from forwarding import DESTINATION, Forwarding, address
from lab import LabError

ENDS = Path(__file__).resolve().with_name("rules_ends.py")
ECHOES = 1000
REPLACEMENTS, ADDITIONS = 2, 5  # of each round
NO_RULES = "no rules"
NEW = "203.0.113.1"  # of a rule that is added

CHAINS = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[[chain]]
name = "back"
path = "in(srv1) -> out"

[efw]
default = "drop"
memory = 64  # MiB, for 65,000 rules
"""


def drops(rules, other):
    """The addresses of all rules but the last; `other` has them the other way round."""
    return [address(i) for i in (range(rules - 2, -1, -1) if other else range(rules - 1))]


class Nothing:
    title = NO_RULES

    def __init__(self, lab):
        self.lab = lab

    def begin(self, rules):
        self.lab.clear()

    def end(self):
        self.lab.clear()


class Legacy(Nothing):
    title = "iptables-legacy"

    def begin(self, rules):
        self.replace(rules, False)

    def replace(self, rules, other):
        lines = [f"-A FORWARD -s {a}/32 -j DROP" for a in drops(rules, other)]
        return self.lab.timed("iptables-legacy-restore", input="\n".join([
            "*filter", ":INPUT ACCEPT", ":FORWARD DROP", ":OUTPUT ACCEPT",
            "-A FORWARD -i srv1 -j ACCEPT", *lines,
            f"-A FORWARD -s {address(rules - 1)}/32 -j ACCEPT", "COMMIT", ""]))

    def add(self, n):
        return self.lab.timed("iptables-legacy", "-A", "FORWARD", "-s", f"{NEW}/32", "-p", "tcp",
                              "--dport", str(n + 1), "-j", "DROP")


class NftList(Nothing):
    title = "nftables, a list"

    def begin(self, rules):
        self.lab.vnf.run("nft", "add table ip rules")
        self.replace(rules, False)

    def body(self, rules, other):
        return "\n".join(f"ip saddr {a} drop" for a in drops(rules, other))

    def sets(self, rules, other):
        return ""

    def replace(self, rules, other):
        return self.lab.timed("nft", "-f", "-", input=(
            f"delete table ip rules\ntable ip rules {{\n{self.sets(rules, other)}"
            " chain forward { type filter hook forward priority 0; policy drop;\n"
            f"iifname srv1 accept\n{self.body(rules, other)}\n"
            f"ip saddr {address(rules - 1)} accept\n}}\n}}\n"))

    def add(self, n):
        return self.lab.timed("nft", f"add rule ip rules forward ip saddr {NEW} tcp dport {n + 1} drop")


class NftSet(NftList):
    title = "nftables, a set"

    def body(self, rules, other):
        return "ip saddr @bad drop"

    def sets(self, rules, other):
        elements = ", ".join(drops(rules, other))
        return f" set bad {{ type ipv4_addr; elements = {{ {elements} }} }}\n"

    def add(self, n):
        return self.lab.timed("nft", f"add element ip rules bad {{ 203.0.113.{n + 1} }}")


class Efw(Nothing):
    title = "efw"

    def begin(self, rules):
        self.lab.write_config(CHAINS)
        self.lab.start_daemon()
        self.replace(rules, False)

    def end(self):
        self.lab.end_daemon()

    def replace(self, rules, other):
        file = self.lab.dir / "rules"
        file.write_text("".join(f"ip saddr {a} drop\n" for a in drops(rules, other)) +
                        f"ip saddr {address(rules - 1)} accept\n")
        return self.lab.timed_evnf("efw", "rule", "replace", file)

    def add(self, n):
        return self.lab.timed_evnf("efw", "rule", "add",
                                   f"ip saddr {NEW} tcp dport {n + 1} drop")


KINDS = (Nothing, Legacy, NftList, NftSet, Efw)
MEASURES = {"packets": ("1/s", "higher"), "echo": ("us", "lower"), "replace all": ("ms", "lower"),
            "lost at a replacement": ("packets", "lower"), "add one": ("ms", "lower")}


class Rules(Forwarding):
    def prepare(self):
        super().prepare()
        self.vnf.run("ip", "route", "add", "198.18.0.0/15", "via", "10.0.1.2")

    def timed(self, *command, **more):
        """Milliseconds of a command in the VNF host."""
        begin = time.monotonic()
        self.vnf.run(*command, **more)
        return 1000 * (time.monotonic() - begin)

    def timed_evnf(self, *words):
        begin = time.monotonic()
        self.evnf(*words)
        return 1000 * (time.monotonic() - begin)

    def echoes(self, source):
        done = self.client.run(sys.executable, ENDS, "echo", source, DESTINATION, str(ECHOES),
                               timeout=60, check=False)
        if done.returncode:
            raise LabError(f"an echo is not answered: {done.stderr.strip().splitlines()[-1]}")
        return json.loads(done.stdout)

    def datagrams(self):
        """That have come to the server."""
        said = json.loads(self.servers[0].run("nft", "-j", "list", "table", "netdev", "sink").stdout)
        return next(part["counter"]["packets"] for entry in said["nftables"]
                    for part in entry.get("rule", {}).get("expr", []) if "counter" in part)

    def all_came(self, before, what):
        """Waits until no more datagrams come."""
        last = -1
        while (now := self.datagrams()) != last:
            last = now
            time.sleep(0.3)
        if now == before:
            raise LabError(f"{what}: nothing is let through")
        return now - before

    def replacements(self, kind, rules, source):
        """Milliseconds of each, and how many datagrams are lost, of all of them divided up."""
        before = self.datagrams()
        sender = subprocess.Popen(
            self.client.command([sys.executable, str(ENDS), "pace", source, DESTINATION]),
            stdout=subprocess.PIPE, text=True)
        self.processes.append(sender)
        while self.datagrams() - before < 100:
            if sender.poll() is not None:
                raise LabError("the sender has ended")
            time.sleep(0.05)
        took = []
        for n in range(REPLACEMENTS):
            took.append(kind.replace(rules, n % 2 == 0))
            time.sleep(0.1)
        sender.send_signal(signal.SIGTERM)
        sent = int(sender.communicate(timeout=60)[0])
        return took, (sent - self.all_came(before, kind.title)) / REPLACEMENTS

    def measure(self, kind, rules, seconds):
        """Samples of all that is measured of some rules."""
        source = address(max(rules, 1) - 1)
        self.client.run("ip", "addr", "replace", f"{source}/32", "dev", "eth0")
        kind.begin(rules)
        try:
            out = {"packets": self.rates(source, seconds), "echo": self.echoes(source)}
            if rules:
                out["replace all"], lost = self.replacements(kind, rules, source)
                out["lost at a replacement"] = [lost]
                out["add one"] = [kind.add(n) for n in range(ADDITIONS)]
        finally:
            kind.end()
        self.client.run("ip", "addr", "del", f"{source}/32", "dev", "eth0")
        return out


def tell(title, rules, samples):
    row = {name: report.figures(values)["value"] for name, values in samples.items()}
    print(f"{title}, {rules} rules: {row['packets'] / 1000:.0f} kpps, echo {row['echo']:.0f} µs" +
          (f", replace {row['replace all']:.0f} ms, lost {row['lost at a replacement']:g}, "
           f"add {row['add one']:.1f} ms" if rules else ""), file=sys.stderr, flush=True)


def run(lab, args):
    """Samples by kind and number of rules, and what the sender can by itself."""
    samples, alone = {}, []
    for _ in range(args.rounds):
        alone += lab.rates_of_sender(address(0), args.seconds)
        for rules in (0, *args.rules):
            for kind in (Nothing,) if not rules else KINDS[1:]:
                got = lab.measure(kind(lab), rules, args.seconds)
                tell(kind.title, rules, got)
                to = samples.setdefault((kind.title, rules), {})
                for name, values in got.items():
                    to.setdefault(name, []).extend(values)
    return samples, alone


def results_of(samples, alone):
    out = [report.result("rules", "the sender alone", "packets", "1/s", "higher", alone, rules=0)]
    for (title, rules), measured in samples.items():
        out += [report.result("rules", title, name, *MEASURES[name], values, rules=rules)
                for name, values in measured.items()]
    return out


def table(results):
    rows = {}
    for r in results:
        rows.setdefault((r["parameters"]["rules"], r["case"]), {})[r["measure"]] = r

    def cell(row, name, digits):
        return sfc.text(row[name], digits) if name in row else ""
    print("\nMedian (10th – 90th percentile)\n")
    sfc.table(("RULES", "BY", "PACKETS/S", "ECHO µs", "REPLACE ALL ms", "LOST", "ADD ONE ms"),
              [(str(n), title, cell(row, "packets", 0), cell(row, "echo", 0),
                cell(row, "replace all", 0), cell(row, "lost at a replacement", 1),
                cell(row, "add one", 1)) for (n, title), row in rows.items()])


def arguments():
    def numbers(value):
        out = [int(n) for n in value.split(",")]
        if any(not 2 <= n <= 65000 for n in out):
            raise argparse.ArgumentTypeError("each from 2 to 65000")
        return out

    parser = argparse.ArgumentParser(prog="run bench rules", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    parser.add_argument("--rules", type=numbers, metavar="N,…",
                        help="default: 10,100,1000,10000,50000")
    parser.add_argument("--seconds", type=sfc.at_least(1), help="of each flood; default: 2")
    parser.add_argument("--rounds", type=sfc.at_least(1), help="default: 1")
    parser.add_argument("--quick", action="store_true", help="100 and 10,000 rules, one round of 1 s")
    parser.add_argument("--json", metavar="FILE", help="every number, there")
    return sfc.with_usual(parser.parse_args(),
                          {"rules": [10, 100, 1000, 10000, 50000], "seconds": 2, "rounds": 1},
                          {"rules": [100, 10000], "seconds": 1, "rounds": 1})


def main():
    args = arguments()
    lab = Rules(args.build, prefix=f"evnfbr{os.getpid()}")
    try:
        lab.prepare()
        samples, alone = run(lab, args)
    except LabError as e:
        sys.exit(f"bench rules: {e}")
    except KeyboardInterrupt:
        sys.exit("\nbench rules: interrupted; everything is taken down")
    finally:
        lab.stop()
    results = results_of(samples, alone)
    facts = report.envelope(args.build, report.versions_of("iptables", "nft"), results)
    print(report.where(facts))
    table(results)
    if args.json:
        report.write(args.json, facts)


if __name__ == "__main__":
    main()
