#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Firewall and load balancer chained in one host, against each in a host of its own.

    one host    client ── [efw, elb] ── two nginx
    two hosts   client ── [efw] ── [elb] ── two nginx

Beside each the same path without a VNF: hosts that the kernel forwards through, a client
that talks to the servers themselves. That is the ceiling, and what the CPU time of the
VNFs is counted from. All of them are up all the time and are measured in turn, so that a
slow spell of the machine hits each.
"""
import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import CONFIG, NGINX, VIP, Host, Lab, LabError  # noqa: E402  (found by the line above)

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("10.0.11.2", "10.0.12.2")

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
CALM = 0.02  # share of the CPUs that others may take from a run without being noticed
TIMEOUTS = 2  # of a slow spell; a connection that is dead for 3 s has more
MEASURES = ("requests_per_second", "latency_p50_us", "latency_p99_us", "cpu_us_per_request")


class OneHost(Lab):
    """The lab, with both VNFs in its one host, or none."""

    path = "one host"

    def __init__(self, build, prefix, vnfs):
        # nginx's own default: keep-alive, and the few connections find both servers.
        super().__init__(build, prefix=prefix, keepalive_requests=1000)
        self.vnfs = vnfs
        self.title = self.path if vnfs else f"{self.path}, no VNF"

    def start(self):
        super().start()
        if self.vnfs:
            self.start_vnfs()
        self.script = self.dir / "both.lua"
        self.script.write_text(WRK_BOTH)
        for address in (VIP,) if self.vnfs else SERVERS:
            self.check_answer(address)
        masters = [int((self.dir / f"{s.name}.pid").read_text()) for s in self.servers]
        self.workers = [int(pid) for m in masters
                        for pid in Path(f"/proc/{m}/task/{m}/children").read_text().split()]

    def start_nginx(self, server):
        """Answers without a body, as in the paper."""
        conf = self.dir / f"{server.name}.conf"
        text = NGINX.format(dir=self.dir, name=server.name, requests=self.keepalive_requests)
        conf.write_text(re.sub(r'return 200 "[^"]*";', "return 204;", text))
        server.run("nginx", "-c", conf)

    def start_vnfs(self):
        self.write_config(CONFIG + EFW + ELB)
        self.start_daemon()

    def daemons(self):
        return [self] if self.vnfs else []

    def check_answer(self, address):
        done = self.client.run("curl", "-s", "-m", 3, "-o", "/dev/null", "-w", "%{http_code}",
                               f"http://{address}/", check=False)
        if done.stdout != "204":
            raise LabError(f"{self.title}: {address} does not answer with 204: "
                           f"HTTP {done.stdout}, curl {done.returncode}")

    def wrk_args(self):
        return [f"http://{VIP}/"] if self.vnfs else ["-s", self.script, f"http://{SERVERS[0]}/"]


class TwoHosts(OneHost):
    """The load balancer stays where it was; a host with the firewall comes before it."""

    path = "two hosts"

    def __init__(self, build, prefix, vnfs):
        super().__init__(build, prefix, vnfs)
        # Of this second lab only the VNF host and its daemon are used.
        self.front = Lab(build, prefix=prefix)
        self.front.name = f"{prefix}-fw"
        self.front.vnf = Host(self.front, "fw")
        self.front.hosts = {}  # it is made and removed with the hosts of this one
        self.hosts["fw"] = self.front.vnf

    def connect(self, host, port, net):
        if host is not self.client:
            super().connect(host, port, net)
            return
        self.front.dir = self.dir / "fw"
        self.front.dir.mkdir()
        firewall = self.front.vnf
        firewall.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.front.connect(self.client, "cli0", net)
        self.front.connect(self.vnf, "lb0", 2)
        for beyond in (VIP, *SERVERS):
            firewall.run("ip", "route", "add", beyond, "via", "10.0.2.2")

    def start_vnfs(self):
        self.front.write_config(FIREWALL + EFW)
        self.front.start_daemon()
        self.write_config(BALANCER + ELB)
        self.start_daemon()

    def daemons(self):
        return [self.front, self] if self.vnfs else []

    def tear_down(self):
        try:
            self.front.stop()
        finally:
            super().tear_down()


def say(text):
    print(text, file=sys.stderr, flush=True)


# -- one measurement

def cpu_seconds():
    """CPU time of the whole machine since its start: spent on work, and in user space."""
    ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    user, nice, system, _idle, _iowait, irq, softirq = (
        int(t) / os.sysconf("SC_CLK_TCK") for t in ticks)
    return user + nice + system + irq + softirq, user + nice


def own_user_seconds(lab):
    """Time in user space of what makes and answers the requests: wrk once it has ended, nginx."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    for pid in lab.workers:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(after_name[11]) / os.sysconf("SC_CLK_TCK")
    return used


def fast_path(daemon):
    """Packets that came in by XDP, and those of them that a stage gave to the kernel."""
    slots = [s for c in daemon.evnf_json("counters")["chains"] for s in c["slots"]]
    return (sum(s["packets"] for s in slots if s["name"].startswith("root@")),
            sum(s["verdicts"]["slow"]["packets"] for s in slots))


def tcp_failures(lab):
    """SYNs that had to be sent again, and retransmission timeouts, of the client."""
    lines = lab.client.run("cat", "/proc/net/netstat").stdout.splitlines()
    counters = dict(zip(lines[0].split()[1:], lines[1].split()[1:]))
    return int(counters["TCPSynRetrans"]), int(counters["TCPTimeouts"])


def measure(lab, connections, seconds):
    """One run of wrk; a failed request is an error, not a number."""
    threads = min(2, connections)
    before, tcp = [fast_path(d) for d in lab.daemons()], tcp_failures(lab)
    start = time.monotonic()
    (busy, user), own = cpu_seconds(), own_user_seconds(lab)
    try:
        out = lab.client.run("wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s",
                             "--latency", *lab.wrk_args(), timeout=seconds + 20).stdout
    except subprocess.TimeoutExpired:
        raise LabError(f"{lab.title}, {connections} connections: wrk does not end") from None
    busy, user = (now - then for now, then in zip(cpu_seconds(), (busy, user)))
    own = own_user_seconds(lab) - own
    others = max(0, user - own) / (time.monotonic() - start) / os.cpu_count()
    if "Socket errors" in out or "Non-2xx" in out:
        raise LabError(f"{lab.title}, {connections} connections: requests failed:\n{out}")
    # wrk says nothing of a request that is never answered; its connection's TCP does.
    syns, timeouts = (now - then for now, then in zip(tcp_failures(lab), tcp))
    if syns or timeouts > TIMEOUTS:
        raise LabError(f"{lab.title}, {connections} connections: {syns} SYNs were not answered, "
                       f"{timeouts} retransmission timeouts")
    try:
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        rate = float(re.search(r"Requests/sec:\s+(\S+)", out).group(1))
        p50, p99 = (float(value) * UNITS[unit] for value, unit in
                    (re.search(rf"\b{p}%\s+([\d.]+)([a-z]+)", out).groups() for p in (50, 99)))
        cpu = busy * 1e6 / requests
    except (AttributeError, ZeroDivisionError):
        raise LabError(f"{lab.title}: no number in what wrk printed:\n{out}") from None
    # What the kernel forwards instead of the VNFs would be measured as theirs.
    for daemon, (packets, slow) in zip(lab.daemons(), before):
        packets, slow = (now - then for now, then in zip(fast_path(daemon), (packets, slow)))
        if packets < 2 * requests or slow > packets / 100:
            raise LabError(f"{lab.title}: {requests} requests, but {daemon.name} had {packets} "
                           f"packets and left {slow} of them to the kernel")
    return dict(zip(MEASURES, (rate, p50, p99, cpu))) | {"others_share": others}


def measure_calmly(measure_once, tries):
    """Measures again if others were busy, and takes the run in which they were least."""
    best = None
    for _ in range(tries):
        got = measure_once()
        best = min(best or got, got, key=lambda g: g["others_share"])
        if best["others_share"] <= CALM:
            break
    return best


def run(labs, args):
    """Samples by connections and set-up, one for each round."""
    samples = {(c, lab.title): [] for c in args.connections for lab in labs}
    for lab in labs:
        measure(lab, max(args.connections), 1)  # neighbours, caches
    for n in range(args.rounds):
        for c in args.connections:
            # Every other round backwards: nobody is always after the same one.
            for lab in labs if n % 2 == 0 else reversed(labs):
                got = measure_calmly(lambda lab=lab, c=c: measure(lab, c, args.seconds),
                                     args.tries)
                samples[c, lab.title].append(got)
                say(f"round {n + 1}/{args.rounds}, {c} connections, {lab.title}: "
                    f"{got['requests_per_second']:,.0f} requests/s, "
                    f"{got['cpu_us_per_request']:.1f} µs CPU, others {got['others_share']:.0%}")
    return samples


# -- what it comes to

def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "rounds": list(values)}


def by_round(f, a, b, key):
    """Two set-ups compared round by round: both have had the same weather."""
    return spread([f(x[key], y[key]) for x, y in zip(a, b)])


def evaluate(samples, connections):
    results, compared = [], []
    for c in connections:
        for path in (OneHost.path, TwoHosts.path):
            without, with_vnfs = samples[c, f"{path}, no VNF"], samples[c, path]
            for title, got in ((f"{path}, no VNF", without), (path, with_vnfs)):
                row = {"connections": c, "setup": title}
                row |= {key: spread([s[key] for s in got]) for key in (*MEASURES, "others_share")}
                if got is with_vnfs:
                    row["cpu_us_added"] = by_round(lambda x, y: x - y, with_vnfs, without,
                                                   "cpu_us_per_request")
                results.append(row)
        one, two = samples[c, OneHost.path], samples[c, TwoHosts.path]
        compared.append({"connections": c} | {
            key: by_round(lambda x, y: x / y, one, two, key) for key in MEASURES})
    return results, compared


def text(value, digits):
    m, low, high = (f"{value[k]:,.{digits}f}" for k in ("median", "min", "max"))
    return f"{m} ({low} – {high})"


def table(head, rows):
    rows = [head, *rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for r in rows:
        cells = [r[0].rjust(widths[0]), r[1].ljust(widths[1])]
        print("  ".join(cells + [x.rjust(w) for x, w in zip(r[2:], widths[2:])]).rstrip())


def report(results, compared):
    print("\nMedian of the rounds (least – most); CPU added by the VNFs: over the same path without\n")
    table(("CONN", "SET-UP", "REQUESTS/S", "P50 µs", "P99 µs", "CPU µs/REQUEST", "CPU µs ADDED"),
          [(str(r["connections"]), r["setup"],
            *(text(r[k], d) for k, d in zip(MEASURES, (0, 0, 0, 1))),
            text(r["cpu_us_added"], 1) if "cpu_us_added" in r else "") for r in results])
    print("\nOne host / two hosts, round by round\n")
    table(("CONN", "", "REQUESTS/S", "P50", "P99", "CPU/REQUEST"),
          [(str(r["connections"]), "", *(text(r[k], 2) for k in MEASURES)) for r in compared])


def environment(lab, versions):
    cpus = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "cpu": cpus[0] if cpus else platform.machine(),
        "versions": {
            "evnfd": lab.run([lab.build / "daemon/evnfd", "--version"]).stdout.strip(),
        } | versions,
    }


def versions(lab):
    nginx = lab.run(["nginx", "-v"]).stderr
    wrk = lab.run(["wrk", "-v"], check=False).stdout  # ends with 1
    return {"nginx": nginx.strip().rpartition("/")[2],
            "wrk": wrk.split("[")[0].removeprefix("wrk").strip()}


def say_where(facts, others, args):
    """The machine, and how far it was ours alone; how many runs were disturbed."""
    print(f"{facts['date']}, Linux {facts['kernel']}, {facts['cpus']} x {facts['cpu']}\n"
          + ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
          + f"; {args.rounds} rounds of {args.seconds} s\n"
          f"others took {statistics.median(others):.0%} of the CPUs, at most {max(others):.0%}")
    disturbed = sum(o > CALM for o in others)
    if disturbed:
        print(f"WARNING: {disturbed} of {len(others)} runs were disturbed by others, whose work is "
              f"in their numbers")
    return disturbed


def at_least(least):
    def check(value):
        if int(value) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(value)
    return check


def arguments():
    def connections(value):
        numbers = [int(n) for n in value.split(",")]
        # wrk shares them out to two threads, and drops what is over.
        if any(n < 1 or n != 1 and n % 2 for n in numbers) or len(set(numbers)) != len(numbers):
            raise argparse.ArgumentTypeError("each 1 or an even number, and once")
        return numbers

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="default: %(default)s")
    parser.add_argument("--connections", type=connections, metavar="N,…",
                        help="default: 1,4,12,36")
    parser.add_argument("--seconds", type=at_least(3), help="of each run; default: 5")
    parser.add_argument("--rounds", type=at_least(1), help="default: 5")
    parser.add_argument("--tries", type=at_least(1), default=1,
                        help="of a run, while others take more than 2 %% of the CPUs; default: 1")
    parser.add_argument("--quick", action="store_true", help="12 connections, 2 rounds of 3 s")
    parser.add_argument("--json", type=argparse.FileType("w"), metavar="FILE",
                        help="every number, there")
    args = parser.parse_args()
    usual = ([12], 3, 2) if args.quick else ([1, 4, 12, 36], 5, 5)
    args.connections = args.connections or usual[0]
    args.seconds = args.seconds or usual[1]
    args.rounds = args.rounds or usual[2]
    return args


def main():
    args = arguments()
    if os.geteuid() != 0:
        sys.exit("sfc: network namespaces and BPF need root")
    missing = [p for p in ("nginx", "wrk", "curl", "ethtool") if not shutil.which(p)]
    if missing:
        sys.exit(f"sfc: not installed: {', '.join(missing)} (./run install-deps)")
    prefix = f"evnfsfc{os.getpid()}"
    try:
        with contextlib.ExitStack() as stack:
            labs = []
            for kind, vnfs, name in ((OneHost, False, "a"), (OneHost, True, "b"),
                                     (TwoHosts, False, "c"), (TwoHosts, True, "d")):
                labs.append(kind(args.build, prefix + name, vnfs))
                stack.callback(labs[-1].stop)
                say(f"setting up: {labs[-1].title}")
                labs[-1].start()
            facts = environment(labs[0], versions(labs[0]))
            samples = run(labs, args)
            say("taking everything down")
    except LabError as e:
        sys.exit(f"sfc: {e}")
    except KeyboardInterrupt:
        sys.exit("\nsfc: interrupted; everything is taken down")
    results, compared = evaluate(samples, args.connections)
    others = [s["others_share"] for got in samples.values() for s in got]
    disturbed = say_where(facts, others, args)
    report(results, compared)
    if args.json:
        with args.json as out:
            json.dump(facts | {"seconds": args.seconds, "rounds": args.rounds,
                               "disturbed_runs": disturbed, "results": results,
                               "one_to_two": compared}, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
