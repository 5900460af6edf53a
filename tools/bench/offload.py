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
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import Lab, LabError  # noqa: E402  (found by the line above)

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
DESTINATION = "10.0.11.2"
NETFILTER, OFFLOADED, NOTHING = "netfilter", "offloaded", "no rules"
FLOWS = 64


def address(i):
    return f"198.18.{i >> 8}.{i & 255}"


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


class Bench(Lab):
    def __init__(self, build, args):
        super().__init__(build, prefix=f"evnfbo{os.getpid()}")
        self.args = args
        self.results = {}
        self.alone = []  # rates of the sender

    def start_nginx(self, server):
        """Servers count what they get, and throw it away as early as they can."""
        server.run("nft", "-f", "-", input="table netdev sink { chain in { type filter hook "
                   "ingress device eth0 priority 0; ip protocol udp drop; }; }")

    def prepare(self):
        self.start()
        # A veth takes frames from XDP only if its other end polls.
        self.vnf.run("ethtool", "-K", "cli0", "gro", "on")
        self.vnf.run("ip", "neigh", "replace", DESTINATION, "lladdr",
                     self.servers[0].mac("eth0"), "dev", "srv1")
        self.write_config(CONFIG)

    def clear(self):
        self.vnf.run("nft", "flush", "ruleset")
        if Path("/usr/sbin/iptables-legacy-restore").exists():
            self.vnf.run("iptables-legacy-restore", input="*filter\nCOMMIT\n")

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

    def end_offload(self):
        self.stop_daemon()
        self.vnf.run(self.evnfd, "--detach", *self.daemon_args())

    def received(self):
        return self.servers[0].link("eth0")[0]

    def redirected(self):
        """Frames that went on without the kernel's stack."""
        chain = next(c for c in self.evnf_json("chain", "show") if c["name"] == "in")
        return sum(r["packets"] for slot in chain["slots"] for r in slot["reasons"]
                   if slot["name"] == "out" and r["reason"] == "redirect")

    def rate(self, source, received):
        """Packets a second that arrive, in the middle of a flood."""
        seconds = self.args.seconds
        flood = self.client.start(self.build / "tools/bench/evnf-bench-flood", "eth0",
                                  self.vnf.mac("cli0"), source, DESTINATION, "--seconds",
                                  str(int(seconds + 2)), "--flows", str(FLOWS), log="flood.log")
        time.sleep(0.7)
        begin, before = time.monotonic(), received()
        time.sleep(seconds)
        took, arrived = time.monotonic() - begin, received() - before
        if flood.wait() != 0:
            raise LabError((self.dir / "flood.log").read_text())
        return arrived / took

    def measure(self, variant, how, places):
        for place, source in places.items():
            before = self.received(), self.redirected() if how == OFFLOADED else 0
            rate = self.rate(source, self.received)
            if how == OFFLOADED and \
                    self.redirected() - before[1] < 0.9 * (self.received() - before[0]):
                raise LabError(f"{variant}, {place}: not offloaded")
            self.results.setdefault((variant, how, place), []).append(rate)
            print(f"{variant or NOTHING:16} {how:10} {place:8} {rate / 1000:9.1f} kpps",
                  file=sys.stderr, flush=True)

    def sender_alone(self):
        """What is sent if the host drops it at once: the ceiling."""
        self.vnf.run("nft", "table netdev sink { chain in { type filter hook ingress device cli0 "
                     "priority 0; drop; }; }")
        self.alone.append(self.rate(address(0), lambda: self.vnf.link("cli0")[0]))
        self.vnf.run("nft", "delete table netdev sink")

    def round(self, variants):
        rules = self.args.rules
        places = {"early": address(0), "late": address(rules - 1), "default": "198.51.100.1"}
        self.load(None)
        self.sender_alone()
        self.measure(None, NETFILTER, {"default": places["default"]})
        for variant in variants:
            self.load(variant)
            self.measure(variant, NETFILTER, places)
            self.start_offload(variant)
            self.measure(variant, OFFLOADED, places)
            self.end_offload()

    def rows(self):
        out = []
        for (variant, how, place), rates in self.results.items():
            out.append({"rules": variant or NOTHING, "by": how, "match": place,
                        "packets_per_second": statistics.median(rates),
                        "least": min(rates), "most": max(rates), "rounds": len(rates)})
        return out


def table(rows, alone):
    """The sender shares the CPUs: what it takes by itself is not the rules' cost."""
    known = {(r["rules"], r["by"], r["match"]): r for r in rows}

    def cell(row):
        if not row:
            return "-"
        middle = row["packets_per_second"]
        spread = max(row["most"] - middle, middle - row["least"]) / middle if middle else 0
        return f"{middle / 1000:.1f} ±{spread:.0%}"

    def cost(row):
        if not row or row["packets_per_second"] >= alone:  # a slow spell hit the sender alone
            return "-"
        return f"{1e9 / row['packets_per_second'] - 1e9 / alone:.0f}"
    out = ["| rules | match | netfilter, kpps | offloaded, kpps | netfilter, ns | offloaded, ns |",
           "|---|---|---|---|---|---|"]
    for row in rows:
        if row["by"] != NETFILTER:
            continue
        fast = known.get((row["rules"], OFFLOADED, row["match"]))
        out.append(f"| {row['rules']} | {row['match']} | {cell(row)} | {cell(fast)} | "
                   f"{cost(row)} | {cost(fast)} |")
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
    rows, alone = lab.rows(), statistics.median(lab.alone)
    print(f"{args.rules} rules, {args.rounds} rounds of {args.seconds:g} s, 60-byte UDP, "
          f"{FLOWS} flows, Linux {os.uname().release}, {os.cpu_count()} CPUs; median, and how "
          f"far the farthest round is from it. The sender alone: {alone / 1000:.1f} kpps; ns are "
          "what a packet costs besides sending it.\n")
    print(table(rows, alone))
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"rules": args.rules, "seconds": args.seconds, "kernel": os.uname().release,
             "sender_alone": alone, "results": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
