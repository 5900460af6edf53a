#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: HTTP and TLS from a real client pass an XDP firewall, a classifier and a load
balancer."""
import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from lab import VIP, Lab, LabError

CHAINS = """\
# Both directions have a chain: the way in through firewall, classifier and load balancer, the
# way back through the last two. The classifier sees the service's address in both.
[[chain]]
name = "in"
path = "in(cli0) -> efw -> edpi -> elb -> out"

[[chain]]
name = "back"
path = "in(srv1, srv2) -> elb -> edpi -> out"
"""
NAME = "www.example.org"  # of the site, in its certificate
# A page by TLS, again and again.
BROWSE = f"while :; do curl -sk -o /dev/null --resolve {NAME}:443:{VIP} https://{NAME}/; sleep .3; done"

KEPT = Path("/run/evnf-demo.json")
BOLD, DIM, CLEAR = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def say(text):
    print(f"\n{BOLD}{text}{CLEAR}", flush=True)


def show(lab, *words, lines=None):
    """Runs the CLI and shows the command and what it printed, or its first lines."""
    print(f"{DIM}${CLEAR} evnf {' '.join(shlex.quote(str(w)) for w in words)}")
    printed = lab.evnf(*words).stdout.splitlines()
    for line in printed[:lines]:
        print(line)
    if printed[lines:] and lines:
        print(f"… {len(printed) - lines} more")
    sys.stdout.flush()


class Table:
    """Packets by stage and verdict, applications, and the share of each backend, drawn over
    itself."""

    def __init__(self, lab):
        self.lab = lab
        self.lines = 0
        self.seen = {}  # bytes of each application, and when

    def applications(self):
        now = time.monotonic()
        for row in self.lab.api("/v1/edpi/applications")["applications"]:
            before, then = self.seen.get(row["application"], (0, None))
            self.seen[row["application"]] = row["bytes"], now
            rate = f"{8e-6 * max(0, row['bytes'] - before) / (now - then):9.1f} Mbit/s" if then else ""
            yield (f"application {row['application']:<16}{row['flows']:>7} flows"
                   f"{row['packets']:>10} packets{rate}")

    def rows(self):
        counters = self.lab.evnf_json("counters")
        rows = [f"{'STAGE':<14}{'PACKETS':>10}{'NEXT':>10}{'DROP':>8}{'SLOW':>8}{'DONE':>10}"]
        for chain in counters["chains"]:
            for slot in chain["slots"]:
                v = {k: slot["verdicts"][k]["packets"] for k in ("next", "drop", "slow", "done")}
                rows.append(f"{chain['name'] + ' ' + slot['name']:<14}{slot['packets']:>10}"
                            f"{v['next']:>10}{v['drop']:>8}{v['slow']:>8}{v['done']:>10}")
        rows += self.applications()
        for service in counters["elb"]["service"]:
            total = sum(b["connections"] for b in service["backends"]) or 1
            for b in service["backends"]:
                rows.append(f"backend {b['address']}:{b['port']:<5} weight {b['weight']}  "
                            f"{b['connections']:>7} connections  {b['connections'] / total:6.1%}")
        return rows

    def draw(self):
        rows = self.rows()
        if sys.stdout.isatty() and self.lines:
            print(f"\033[{self.lines}A", end="")
        for row in rows:
            print(f"{row}\033[K" if sys.stdout.isatty() else row)
        sys.stdout.flush()
        self.lines = len(rows)


def traffic(lab, seconds, meanwhile=None):
    """wrk for some seconds, with the live table; fails if a request failed."""
    wrk = subprocess.Popen(lab.client.command(["wrk", "-t2", "-c32", f"-d{seconds}s",
                                               f"http://{VIP}/"]),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lab.processes.append(wrk)
    worker = threading.Thread(target=meanwhile) if meanwhile else None
    if worker:
        worker.start()
    table = Table(lab)
    while wrk.poll() is None:
        time.sleep(1 if sys.stdout.isatty() else max(1, seconds // 2))
        try:
            table.draw()
        except LabError:
            pass  # the daemon is just being restarted
    if worker:
        worker.join()
    out = wrk.stdout.read()
    done = re.search(r"(\d+) requests in", out)
    if wrk.returncode or not done or "Socket errors" in out or "Non-2xx" in out:
        raise LabError(f"requests failed:\n{out}")
    rate = re.search(r"Requests/sec:\s+(\S+)", out).group(1)
    print(f"wrk: {done.group(1)} requests, {rate} per second, none failed")


def restart_under_load(lab):
    for _ in range(2):
        time.sleep(1.5)
        lab.kill_daemon()
        time.sleep(0.5)
        lab.start_daemon()


# Another firewall, to swap for the first: it has the web's rule and one more.
GUARD = """
[guard]
vnf = "efw"
rules = ["tcp dport {80, 443} accept", "udp dport 7 drop"]
"""


def swap_under_load(lab):
    """A stage is swapped for another one, and one put in, and both taken back."""
    for words in (("set", "in", "in(cli0) -> guard -> edpi -> elb -> out"),
                  ("set", "in", "in(cli0) -> guard -> { udp -> drop; otherwise -> edpi -> elb -> out }"),
                  ("rollback",), ("history",)):
        time.sleep(1)
        show(lab, "chain", *words)


def http(lab, url, seconds=3):
    done = lab.client.run("curl", "-s", "-m", str(seconds), url, check=False)
    answer = done.stdout.strip() if done.returncode == 0 else f"no answer (curl {done.returncode})"
    print(f"{DIM}client${CLEAR} curl {url}  ->  {answer}")
    return done.returncode == 0


def netfilter_count(lab):
    rules = lab.vnf.run("iptables", "-nvxL", "INPUT").stdout
    return int(next(line for line in rules.splitlines() if "REJECT" in line).split()[0])


def serve_tls(lab):
    key, cert = lab.dir / "key", lab.dir / "cert"
    lab.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
             "-out", cert, "-subj", f"/CN={NAME}"])
    for server in lab.servers:
        server.start("openssl", "s_server", "-accept", "443", "-key", key, "-cert", cert, "-www",
                     log="tls.log")


def build(lab):
    say("Four hosts: client, vnf (firewall, classifier, load balancer), server1, server2")
    lab.start()
    lab.vnf.run("ip", "addr", "add", f"{VIP}/32", "dev", "lo")  # for what the kernel answers
    lab.vnf.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9090", "-j", "REJECT")
    serve_tls(lab)
    lab.write_config(CHAINS + GUARD)
    lab.start_daemon()
    show(lab, "status")

    say("Rules, by the command line")
    show(lab, "efw", "rule", "add", "tcp dport {80, 443} accept")
    show(lab, "efw", "rule", "add", "priority 10 tcp dport 81 drop comment \"not for you\"")
    show(lab, "elb", "service", "add", "tcp", f"{VIP}:80")
    show(lab, "elb", "backend", "add", "tcp", f"{VIP}:80", "10.0.11.2:80", "weight", "2")
    show(lab, "elb", "backend", "add", "tcp", f"{VIP}:80", "10.0.12.2:80", "weight", "1")
    show(lab, "elb", "service", "add", "tcp", f"{VIP}:443")
    for server in ("10.0.11.2", "10.0.12.2"):
        show(lab, "elb", "backend", "add", "tcp", f"{VIP}:443", f"{server}:443", "weight", "1")


def tour(lab):
    say("Two requests, then many, and some by TLS")
    lab.client.start("sh", "-c", BROWSE, log="browse.log")
    http(lab, f"http://{VIP}/")
    http(lab, f"http://{VIP}/")
    traffic(lab, 6)

    show(lab, "edpi", "flows", "--application", "tls", lines=3)

    say("A port that a rule drops is dropped")
    if http(lab, f"http://{VIP}:81/", 2):
        raise LabError("port 81 answered")
    show(lab, "efw", "rule", "list")

    say("A port that no rule matches is netfilter's: iptables rejects 9090, and counts it")
    before = netfilter_count(lab)
    http(lab, f"http://{VIP}:9090/", 2)
    counted = netfilter_count(lab) - before
    print(f"{DIM}vnf${CLEAR} iptables: {counted} packet(s) rejected")
    if counted != 1:
        raise LabError("iptables did not see the packet")

    say("The daemon is killed (SIGKILL) and started again, twice, under load")
    traffic(lab, 6, lambda: restart_under_load(lab))

    say("The firewall is swapped for another, a branch put in and taken back, under load")
    traffic(lab, 6, lambda: swap_under_load(lab))
    show(lab, "chain", "plan")
    show(lab, "chain", "show")


def keep(lab):
    """Leaves everything running when this program ends."""
    KEPT.write_text(json.dumps({"prefix": lab.prefix, "dir": str(lab.dir),
                                "pids": [p.pid for p in lab.processes if p.poll() is None]}))
    evnf = f"{lab.build}/tools/evnf --name {lab.name} --run-dir {lab.dir}/run"
    say("The hosts stay up. Play with them:")
    print(f"  alias evnf='{evnf}'\n"
          f"  evnf chain show\n"
          f"  evnf elb backend set tcp {VIP}:80 10.0.11.2:80 weight 5\n"
          f"  nsenter --net=/run/netns/{lab.client.netns} curl http://{VIP}/\n"
          f"and end it with:  sudo ./run demo --stop")
    sys.stdout.flush()
    os._exit(0)  # without stop(), which is registered for a normal end


def stop(lab):
    if not KEPT.exists():
        print("no demo is kept")
        return
    kept = json.loads(KEPT.read_text())
    lab.__init__(lab.build, prefix=kept["prefix"])
    lab.dir = Path(kept["dir"])
    for pid in kept["pids"]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    time.sleep(0.2)  # its lock goes with the process
    lab.stop()
    KEPT.unlink()
    print("the demo is taken down")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--keep", action="store_true", help="leave the hosts up")
    parser.add_argument("--stop", action="store_true", help="take down what --keep left")
    args = parser.parse_args()
    lab = Lab(args.build, prefix="evnfdemo")
    if args.stop:
        return stop(lab)
    if KEPT.exists():
        sys.exit("a demo is kept up: end it first with ./run demo --stop")
    try:
        build(lab)
        tour(lab)
        if args.keep:
            keep(lab)
        say("Done; taking everything down")
    except LabError as e:
        sys.exit(f"demo: {e}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; taking everything down")
    finally:
        lab.stop()


if __name__ == "__main__":
    main()
