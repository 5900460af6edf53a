#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Web traffic through a firewall and a load balancer, the paper's SFC 1.

    two hosts   client ── [firewall] ── [load balancer] ── two nginx
    one host    client ── [both, or nothing] ── two nginx

Firewall and load balancer are iptables and HAProxy, iptables and nftables' DNAT, efw and elb; and
beside each path the same without a VNF: hosts that the kernel forwards through, a client that
talks to the servers themselves. That is the ceiling, and what the CPU time of the VNFs is counted
from: the whole machine's, less what others have in user space. Client and servers are on the same
CPUs, and take most of them. And a chain of no stage: what XDP itself costs between virtual links,
whose packets are the kernel's before and after.
"""
import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import report
import sfc
from lab import CONFIG, NGINX, VIP, Lab, LabError
from sfc import SERVERS, TwoHosts, cpu_seconds, fast_path, process_seconds, text

EFW = """
[efw]
rules = ["tcp dport 80 accept"]
"""

ELB = f"""
[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
backends = [ {{ address = "{SERVERS[0]}", port = 80 }}, {{ address = "{SERVERS[1]}", port = 80 }} ]
"""

NOTHING = """
[[chain]]
name = "both"
path = "in(cli0, srv1, srv2) -> out"
"""

FIREWALL = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> out"

[[chain]]
name = "back"
path = "in(lb0) -> out"
"""

BALANCER = """
[[chain]]
name = "in"
path = "in(eth0) -> elb -> out"

[[chain]]
name = "back"
path = "in(srv1, srv2) -> elb -> out"
"""

# As fast as it can be, and as little as elb does: TCP, no checks, connections in turn.
HAPROXY = f"""\
global
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen web
  bind {VIP}:80
  balance roundrobin
  server one {SERVERS[0]}:80
  server two {SERVERS[1]}:80
"""

DNAT = f"""\
table ip balance {{
  chain in {{
    type nat hook prerouting priority dstnat;
    ip daddr {VIP} tcp dport 80 dnat to numgen inc mod 2 map {{ 0 : {SERVERS[0]}, 1 : {SERVERS[1]} }}
  }}
}}
"""

# Without a load balancer it is wrk that gives each server its half of the connections:
# one nginx of one worker would be a ceiling of its own.
WRK_BOTH = f"""\
local servers, n = {{ "{SERVERS[0]}", "{SERVERS[1]}" }}, 0
function setup(thread)
   n = n % #servers + 1
   thread.addr = wrk.lookup(servers[n], "80")[1]
end
"""

UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}
TIMEOUTS = 2  # of a slow spell; a connection that is dead for 3 s has more
KEEP, CLOSE = "keep-alive", "close"
# Of each run: the name in a report, the unit, what is better.
MEASURES = {"requests": ("1/s", "higher"), "latency p50": ("us", "lower"),
            "latency p90": ("us", "lower"), "latency p99": ("us", "lower"),
            "CPU per request": ("us", "lower"),
            "CPU per request of the VNFs' processes": ("us", "lower")}


@dataclass(frozen=True)
class Setup:
    """Who filters and who balances; None: nobody."""
    title: str
    hosts: int
    firewall: str | None = None
    balancer: str | None = None
    chain: str = ""  # of elb's host


ONE_NOTHING, TWO_NOTHING = Setup("no VNF, one host", 1), Setup("no VNF, two hosts", 2)
HAPROXY_SETUP = Setup("iptables + HAProxy", 2, "iptables", "haproxy")
SETUPS = (ONE_NOTHING, TWO_NOTHING, HAPROXY_SETUP,
          Setup("iptables + nftables DNAT", 2, "iptables", "nft"),
          Setup("XDP forwarding, one host", 1, chain=NOTHING),
          Setup("efw + elb, two hosts", 2, "efw", "elb", BALANCER + ELB),
          Setup("efw + elb, one host", 1, "efw", "elb", CONFIG + EFW + ELB))


def without(setup):
    """The same path with nothing on it."""
    return TWO_NOTHING if setup.hosts == 2 else ONE_NOTHING


class Web:
    """A lab with what a set-up wants in it."""

    def __init__(self, build, prefix, setup):
        # nginx's own default: keep-alive, and the few connections find both servers.
        super().__init__(build, prefix=prefix, keepalive_requests=1000)
        self.setup = setup
        self.title = setup.title

    def start(self):
        super().start()
        self.workers, self.vnf_pids = [], []  # what has user space CPU time of ours; of the VNFs'
        for pid_file in self.dir.glob("*.pid"):
            master = int(pid_file.read_text())
            self.workers += map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())
        # Connections come and go faster than they are forgotten: where the client ends them first,
        # all its ports would soon wait for a minute, and each connect() would look for a free one.
        for host in (self.client, self.vnf):
            host.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535",
                     "net.ipv4.tcp_tw_reuse=1")
        self.start_vnfs()
        self.vnf_pids += [d.daemon.pid for d in self.daemons()]
        self.workers += self.vnf_pids
        self.script = self.dir / "both.lua"
        self.script.write_text(WRK_BOTH)
        for address in (VIP,) if self.setup.balancer else SERVERS:
            self.wait_for_answer(address)

    def start_nginx(self, server):
        """Answers without a body, as in the paper."""
        conf = self.dir / f"{server.name}.conf"
        text = NGINX.format(dir=self.dir, name=server.name, requests=self.keepalive_requests)
        conf.write_text(re.sub(r'return 200 "[^"]*";', "return 204;", text))
        server.run("nginx", "-c", conf)

    def start_vnfs(self):
        if self.setup.firewall == "iptables":
            front = self.front.vnf
            front.run("iptables", "-P", "FORWARD", "DROP")
            for way in ("--dport", "--sport"):
                front.run("iptables", "-A", "FORWARD", "-p", "tcp", way, "80", "-j", "ACCEPT")
        if self.setup.balancer == "nft":
            self.vnf.run("nft", "-f", "-", input=DNAT)
        if self.setup.balancer == "haproxy":
            self.vnf.run("ip", "addr", "add", f"{VIP}/32", "dev", "lo")
            conf = self.dir / "haproxy.cfg"
            conf.write_text(HAPROXY)
            self.vnf_pids.append(self.vnf.start("haproxy", "-db", "-f", conf, log="haproxy.log").pid)
        if self.setup.firewall == "efw" and self.setup.hosts == 2:
            self.front.write_config(FIREWALL + EFW)
            self.front.start_daemon()
        if self.setup.chain:
            self.write_config(self.setup.chain)
            self.start_daemon()

    def daemons(self):
        return [lab for lab in (getattr(self, "front", None), self) if lab and lab.daemon]

    def wait_for_answer(self, address):
        """HAProxy needs a moment."""
        end = time.monotonic() + 30
        while True:
            done = self.client.run("curl", "-s", "-m", 3, "-o", "/dev/null", "-w", "%{http_code}",
                                   f"http://{address}/", check=False)
            if done.stdout == "204":
                return
            if time.monotonic() > end:
                raise LabError(f"{self.title}: {address} does not answer with 204: "
                               f"HTTP {done.stdout}, curl {done.returncode}")
            time.sleep(0.1)

    def wrk_args(self, requests):
        out = ["-H", "Connection: close"] if requests == CLOSE else []
        if self.setup.balancer:
            return [*out, f"http://{VIP}/"]
        return [*out, "-s", self.script, f"http://{SERVERS[0]}/"]


class OneHostWeb(Web, Lab):
    pass


class TwoHostsWeb(Web, TwoHosts):
    pass


# -- one measurement

def tcp_failures(lab):
    """SYNs that had to be sent again, and retransmission timeouts, of the client."""
    lines = lab.client.run("cat", "/proc/net/netstat").stdout.splitlines()
    counters = dict(zip(lines[0].split()[1:], lines[1].split()[1:]))
    return int(counters["TCPSynRetrans"]), int(counters["TCPTimeouts"])


def measure(lab, case, seconds):
    """One run of wrk; a failed request is an error, not a number."""
    connections, mode = case
    what = f"{lab.title}, {connections} connections, {mode}"
    before, tcp = [fast_path(d) for d in lab.daemons()], tcp_failures(lab)
    start = time.monotonic()
    (busy, user), own = cpu_seconds(), sfc.own_user_seconds(lab)
    vnfs = process_seconds(lab.vnf_pids)[1]
    try:
        out = lab.client.run("wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s",
                             "--latency", *lab.wrk_args(mode), timeout=seconds + 20).stdout
    except subprocess.TimeoutExpired:
        raise LabError(f"{what}: wrk does not end") from None
    busy, user = (now - then for now, then in zip(cpu_seconds(), (busy, user)))
    own = sfc.own_user_seconds(lab) - own
    vnfs = process_seconds(lab.vnf_pids)[1] - vnfs
    others = max(0, user - own)
    share = others / (time.monotonic() - start) / os.cpu_count()
    if "Socket errors" in out or "Non-2xx" in out:
        raise LabError(f"{what}: requests failed:\n{out}")
    # wrk says nothing of a request that is never answered; its connection's TCP does.
    syns, timeouts = (now - then for now, then in zip(tcp_failures(lab), tcp))
    if syns or timeouts > TIMEOUTS:
        raise LabError(f"{what}: {syns} SYNs were not answered, {timeouts} retransmission timeouts")
    try:
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        rate = float(re.search(r"Requests/sec:\s+(\S+)", out).group(1))
        latencies = [float(value) * UNITS[unit] for value, unit in
                     (re.search(rf"\b{p}%\s+([\d.]+)([a-z]+)", out).groups() for p in (50, 90, 99))]
        cpu = (busy - others) * 1e6 / requests
    except (AttributeError, ZeroDivisionError):
        raise LabError(f"{what}: no number in what wrk printed:\n{out}") from None
    # What the kernel forwards instead of the VNFs would be measured as theirs.
    for daemon, (packets, slow) in zip(lab.daemons(), before):
        packets, slow = (now - then for now, then in zip(fast_path(daemon), (packets, slow)))
        if packets < 2 * requests or slow > packets / 100:
            raise LabError(f"{what}: {requests} requests, but {daemon.name} had {packets} "
                           f"packets and left {slow} of them to the kernel")
    return dict(zip(MEASURES, (rate, *latencies, cpu, vnfs * 1e6 / requests))) | {
        "others_share": share}


def tell(case, got):
    return (f"{case[0]} connections, {case[1]}: {got['requests']:,.0f} requests/s, "
            f"{got['CPU per request']:.1f} µs CPU")


# -- what it comes to

def compared(samples, case, setup):
    """A set-up beside the others, round by round: name, unit, what is better, values."""
    got, nothing = samples[case, setup.title], samples[case, without(setup).title]
    haproxy = samples[case, HAPROXY_SETUP.title]

    def added(one, none):
        return sfc.by_round(lambda x, y: x - y, one, none, "CPU per request")

    def ratio(other):
        return sfc.by_round(lambda x, y: x / y, got, other, "requests")
    yield "CPU per request added", "us", "lower", added(got, nothing)
    yield "requests, of those without a VNF", "ratio", "higher", ratio(nothing)
    if setup is not HAPROXY_SETUP:
        yield "requests, of those with iptables + HAProxy", "ratio", "higher", ratio(haproxy)
        pairs = zip(added(got, nothing), added(haproxy, samples[case, without(HAPROXY_SETUP).title]))
        yield ("CPU added, of that with iptables + HAProxy", "ratio", "lower",
               [a / b for a, b in pairs])


def evaluate(samples, cases):
    results = []
    for connections, mode in cases:
        where = {"connections": connections, "requests": mode}
        for setup in SETUPS:
            got = samples[(connections, mode), setup.title]
            for measure_name, (unit, better) in MEASURES.items():
                results.append(report.result("sfc1", setup.title, measure_name, unit, better,
                                             [g[measure_name] for g in got], **where))
            if setup not in (ONE_NOTHING, TWO_NOTHING):
                results += [report.result("sfc1", setup.title, *about, values, **where)
                            for *about, values in compared(samples, (connections, mode), setup)]
    return results


def tables(results, cases):
    rows = {(r["parameters"]["connections"], r["parameters"]["requests"], r["case"], r["measure"]): r
            for r in results}
    print("\nMedian (10th – 90th percentile); CPU added: over the same path without VNFs\n")
    head = ("CONN", "SET-UP", "REQUESTS", "REQUESTS/S", "P50 µs", "P90 µs", "P99 µs",
            "CPU µs/REQUEST", "ADDED", "PROCESSES")
    columns = (("requests", 0), ("latency p50", 0), ("latency p90", 0), ("latency p99", 0),
               ("CPU per request", 1), ("CPU per request added", 1),
               ("CPU per request of the VNFs' processes", 1))
    sfc.table(head, [(str(c), s.title, mode, *(text(rows[c, mode, s.title, m], d) if
                                               (c, mode, s.title, m) in rows else ""
                                               for m, d in columns))
                     for c, mode in cases for s in SETUPS])
    print("\nRequests per second, and CPU added, round by round\n")
    sfc.table(("CONN", "SET-UP", "REQUESTS", "OF NO VNF", "OF IPTABLES + HAPROXY", "CPU ADDED, OF ITS"),
              [(str(c), s.title, mode, *(
                  text(rows[c, mode, s.title, m], 2) if (c, mode, s.title, m) in rows else ""
                  for m in ("requests, of those without a VNF",
                            "requests, of those with iptables + HAProxy",
                            "CPU added, of that with iptables + HAProxy")))
               for c, mode in cases for s in SETUPS if s not in (ONE_NOTHING, TWO_NOTHING)])


def arguments():
    def connections(value):
        numbers = [int(n) for n in value.split(",")]
        # wrk shares them out to two threads, and drops what is over.
        if any(n < 1 or n != 1 and n % 2 for n in numbers) or len(set(numbers)) != len(numbers):
            raise argparse.ArgumentTypeError("each 1 or an even number, and once")
        return numbers

    def modes(value):
        if not set(value.split(",")) <= {KEEP, CLOSE}:
            raise argparse.ArgumentTypeError(f"{KEEP}, {CLOSE} or both")
        return value.split(",")

    parser = sfc.parser(__doc__, "16 connections, 2 rounds of 2 s")
    parser.add_argument("--connections", type=connections, metavar="N,…", help="default: 1,4,16,64")
    parser.add_argument("--requests", type=modes, metavar=f"{KEEP},{CLOSE}",
                        default=[KEEP, CLOSE],
                        help="over connections that stay, or one for each connection; default: both")
    return sfc.with_usual(parser.parse_args(),
                          {"connections": [1, 4, 16, 64], "seconds": 2, "rounds": 3},
                          {"connections": [16], "seconds": 2, "rounds": 2})


def main():
    args = arguments()
    labs = [(OneHostWeb if setup.hosts == 1 else TwoHostsWeb)(
        args.build, f"evnfsfc{os.getpid()}{chr(ord('a') + n)}", setup)
        for n, setup in enumerate(SETUPS)]
    cases = [(c, mode) for mode in args.requests for c in args.connections]
    samples = sfc.measured("sfc1", ("nginx", "wrk", "curl", "ethtool", "haproxy", "iptables", "nft"),
                           labs, cases, args, measure, tell)
    results = evaluate(samples, cases)
    facts = report.envelope(args.build, report.versions_of("nginx", "wrk", "haproxy", "iptables",
                                                           "nft"), results)
    sfc.say_where(facts, samples, args)
    tables(results, cases)
    if args.json:
        report.write(args.json, facts)


if __name__ == "__main__":
    sys.exit(main())
