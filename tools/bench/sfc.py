# SPDX-License-Identifier: GPL-2.0-or-later
"""What the measurements of service chains share: a firewall's host before the lab's VNF host;
all set-ups up all the time and measured in turn, so that a slow spell of the machine hits each;
the CPU time of the whole machine, and what others take of it.
"""
import argparse
import contextlib
import os
import resource
import shutil
import statistics
import sys
from pathlib import Path

import report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import VIP, Host, Lab, LabError  # noqa: E402  (found by the line above)

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("10.0.11.2", "10.0.12.2")
CALM = 0.02  # share of the CPUs that others may take from a run without being noticed


class TwoHosts(Lab):
    """A lab with a host more, the firewall's, between the client and the VNF host."""

    def __init__(self, build, prefix, **more):
        super().__init__(build, prefix=prefix, **more)
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


def process_seconds(pids):
    """CPU time of processes: in user space, and all of it."""
    user = system = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = user + int(after_name[11]), system + int(after_name[12])
    return user / os.sysconf("SC_CLK_TCK"), (user + system) / os.sysconf("SC_CLK_TCK")


def own_user_seconds(lab):
    """Time in user space of the lab's own processes: the clients once they have ended, and those
    that stay."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime + process_seconds(lab.workers)[0]


def fast_path(daemon):
    """Packets that came in by XDP, and those of them that a stage gave to the kernel."""
    slots = [s for c in daemon.evnf_json("counters")["chains"] for s in c["slots"]]
    return (sum(s["packets"] for s in slots if s["name"].startswith("root@")),
            sum(s["verdicts"]["slow"]["packets"] for s in slots))


def measure_calmly(measure_once, tries):
    """Measures again if others were busy, and takes the run in which they were least."""
    best = None
    for _ in range(tries):
        got = measure_once()
        best = min(best or got, got, key=lambda g: g["others_share"])
        if best["others_share"] <= CALM:
            break
    return best


def take_turns(labs, cases, args, measure, tell):
    """Samples by case and set-up, one for each round."""
    samples = {(case, lab.title): [] for case in cases for lab in labs}
    for lab in labs:
        measure(lab, cases[-1], 1)  # neighbours, caches
    for n in range(args.rounds):
        for case in cases:
            # Every other round backwards: nobody is always after the same one.
            for lab in labs if n % 2 == 0 else reversed(labs):
                got = measure_calmly(lambda lab=lab, case=case: measure(lab, case, args.seconds),
                                     args.tries)
                samples[case, lab.title].append(got)
                say(f"round {n + 1}/{args.rounds}, {lab.title}: {tell(case, got)}, "
                    f"others {got['others_share']:.0%}")
    return samples


def measured(name, needs, labs, cases, args, measure, tell):
    """What take_turns() gives, of labs that are up for it."""
    if os.geteuid() != 0:
        sys.exit(f"{name}: network namespaces and BPF need root")
    missing = [p for p in needs if not shutil.which(p)]
    if missing:
        sys.exit(f"{name}: not installed: {', '.join(missing)} (./run install-deps)")
    try:
        with contextlib.ExitStack() as stack:
            for lab in labs:
                stack.callback(lab.stop)
                say(f"setting up: {lab.title}")
                lab.start()
            samples = take_turns(labs, cases, args, measure, tell)
            say("taking everything down")
    except LabError as e:
        sys.exit(f"{name}: {e}")
    except KeyboardInterrupt:
        sys.exit(f"\n{name}: interrupted; everything is taken down")
    return samples


# -- what it comes to

def by_round(f, a, b, key):
    """Two set-ups compared round by round: both have had the same weather."""
    return [f(x[key], y[key]) for x, y in zip(a, b)]


def text(value, digits):
    """A result: its median and its spread, which of few rounds is from the least to the most."""
    m, low, high = (f"{value[k]:,.{digits}f}" for k in ("value", "p10", "p90"))
    return f"{m} ({low} – {high})"


def table(head, rows):
    rows = [head, *rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for r in rows:
        cells = [r[0].rjust(widths[0]), r[1].ljust(widths[1])]
        print("  ".join(cells + [x.rjust(w) for x, w in zip(r[2:], widths[2:])]).rstrip())


def say_where(facts, samples, args):
    """The machine, and how far it was ours alone."""
    others = [s["others_share"] for got in samples.values() for s in got]
    print(f"{report.where(facts)}\n{args.rounds} rounds of {args.seconds} s; "
          f"others took {statistics.median(others):.0%} of the CPUs, at most {max(others):.0%}")
    disturbed = sum(o > CALM for o in others)
    if disturbed:
        print(f"WARNING: {disturbed} of {len(others)} runs were disturbed by others, whose work is "
              f"in their numbers")


# -- the command line

def at_least(least):
    def check(value):
        if int(value) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(value)
    return check


def parser(doc, quick):
    """The options of all."""
    out = argparse.ArgumentParser(description=doc.partition("\n")[0])
    out.add_argument("--build", type=Path, default=ROOT / "build", help="default: %(default)s")
    out.add_argument("--seconds", type=at_least(2), help="of each run")
    out.add_argument("--rounds", type=at_least(1))
    out.add_argument("--tries", type=at_least(1), default=1,
                     help="of a run, while others take more than 2 %% of the CPUs; default: 1")
    out.add_argument("--quick", action="store_true", help=quick)
    out.add_argument("--json", metavar="FILE", help="every number, there")
    return out


def with_usual(args, full, quick):
    """What was not said is as usual: of a quick run, or of a full one."""
    for name, value in (quick if args.quick else full).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args
