#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Three servers of unequal power under constant load, behind elb: by equal weights, and by
weights that follow the load that the servers tell.

Each server is a queue: one request after the other, each for the same time, and other times
for other servers. Requests come at random moments of one rate (Poisson), each by a connection
of its own, and wait for nobody. Both runs have the same moments. What is measured is the time
from a request's moment to its answer."""
import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import CONFIG, VIP, Lab, LabError  # noqa: E402  (found by the line above)

# Name, host, port, requests a second; what its agent says is one port above.
SERVERS = (("slow", 0, 9000, 50), ("middle", 1, 9000, 100), ("fast", 1, 9002, 200))
RATE = 210
TIMEOUT = 10
FEEDBACK = ('feedback = { interval = 1, gain = 0.1, threshold = 0.05, bounds = [0.1, 10], '
            'smoothing = 0.5, target = "mean", hold = 30 }')


# -- what runs in the namespaces

def serve(port, rate):
    """A queue that answers `rate` requests a second, and an agent that tells how idle it is."""
    busy = 0.0

    async def work(queue):
        nonlocal busy
        free = time.monotonic()
        while True:
            writer = await queue.get()
            begin = max(free, time.monotonic())
            free = begin + 1 / rate  # on time on average, whatever the clock's grain
            await asyncio.sleep(free - time.monotonic())
            busy += 1 / rate
            writer.write(b"done\n")
            writer.close()

    async def run():
        nonlocal busy
        queue = asyncio.Queue()
        idle = 100

        async def take(_, writer):
            await queue.put(writer)

        async def tell(_, writer):
            writer.write(f"{idle}%\n".encode())
            writer.close()

        await asyncio.start_server(take, "", port, backlog=4096)
        await asyncio.start_server(tell, "", port + 1)
        worker = asyncio.create_task(work(queue))
        while not worker.done():
            await asyncio.sleep(1)
            idle = max(0, 100 - round(100 * busy))
            busy = 0.0
    asyncio.run(run())


def load(seconds, rate):
    """Requests at random moments: a line of JSON with the moment and the time that each took."""
    async def ask(moment, begin):
        await asyncio.sleep(max(0, begin + moment - time.monotonic()))
        took = TIMEOUT
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await asyncio.open_connection(VIP, 80)
                writer.write(b"x")
                if await reader.read() == b"done\n":
                    took = time.monotonic() - begin - moment
                writer.close()
        except (OSError, TimeoutError):
            pass
        return moment, took

    async def run():
        dice = random.Random(1)
        begin, moment, asked = time.monotonic(), 0.0, []
        while (moment := moment + dice.expovariate(rate)) < seconds:
            asked.append(asyncio.create_task(ask(moment, begin)))
        print(json.dumps(await asyncio.gather(*asked)))
    asyncio.run(run())


# -- what is measured

def services(lab, feedback):
    backends = ",\n".join(
        f'{{ address = "10.0.1{host + 1}.2", port = {port}, feedback = {{ indices = '
        f'[ {{ tcp = {port + 1} }} ] }} }}' if feedback else
        f'{{ address = "10.0.1{host + 1}.2", port = {port} }}' for _, host, port, _ in SERVERS)
    return (f'[[elb.service]]\naddress = "{VIP}"\nport = 80\nprotocol = "tcp"\n'
            f'{FEEDBACK if feedback else ""}\nbackends = [ {backends} ]\n')


def measure(lab, feedback, seconds):
    """The latencies by moment, and the weights over time."""
    queues = [lab.servers[host].start(sys.executable, Path(__file__), "--serve", str(port),
                                      str(rate), log="queue.log")
              for _, host, port, rate in SERVERS]
    lab.write_config(CONFIG + '[efw]\ndefault = "accept"\n' + services(lab, feedback))
    lab.start_daemon()
    asked = lab.client.command([sys.executable, str(Path(__file__)), "--load", str(seconds),
                                str(RATE)])
    weights, begin = [], time.monotonic()
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as client:
        out = []
        reader = threading.Thread(target=lambda: out.append(client.stdout.read()))
        reader.start()
        while client.poll() is None:
            listed = lab.evnf_json("elb", "backend", "list")["service"][0]["backends"]
            if (now := time.monotonic() - begin) < seconds:
                weights.append([round(now, 2), *(b["effective"] for b in listed)])
            time.sleep(1)
        reader.join()
    lab.stop_daemon()
    for queue in queues:
        queue.kill()
        queue.wait()
    return json.loads(out[0]), weights


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def turns(values):
    """How often a series changes its direction."""
    steps = [b - a for a, b in zip(values, values[1:]) if b != a]
    return sum((a > 0) != (b > 0) for a, b in zip(steps, steps[1:]))


def judged(latencies, weights, seconds):
    """What counts is the second half, when weights have had the first to settle."""
    half = seconds / 2
    late = [took for moment, took in latencies if moment >= half]
    settled = [row[1:] for row in weights if row[0] >= half]
    series = list(zip(*settled)) if settled else [[1]] * len(SERVERS)
    return {"requests": len(late), "p50_ms": round(1000 * quantile(late, 0.5), 1),
            "p99_ms": round(1000 * quantile(late, 0.99), 1),
            "unanswered": sum(took >= TIMEOUT for took in late),
            "settled": {name: {"least": min(s), "most": max(s), "turns": turns(s)}
                        for (name, *_), s in zip(SERVERS, series)}}


def plot(path, runs, seconds):
    """Weights and the 99th percentile of each 2 s, as SVG by gnuplot."""
    data = []
    for name in ("equal", "feedback"):
        latencies = runs[name]["latencies"]
        data.append("\n".join(
            f"{t + 1} {1000 * quantile([s for m, s in latencies if t <= m < t + 2], 0.99):.1f}"
            for t in range(0, seconds, 2)) + "\ne\n")
    curves = ["\n".join(f"{row[0]} {row[i]}" for row in runs["feedback"]["weights"]) + "\ne\n"
              for i in range(1, len(SERVERS) + 1)]
    titles = [f"{name}, {rate}/s" for name, _, _, rate in SERVERS]
    script = (f'set terminal svg size 720,540 font "sans,12" background "white"\n'
              f'set output "{path}"\nset multiplot layout 2,1\nset key top outside horizontal\nset grid\n'
              f'set xrange [0:{seconds}]\nset xlabel "seconds"\nset ylabel "weight"\n'
              'set yrange [0:*]\nplot ' +
              ", ".join(f'"-" with steps lw 2 title "{t}"' for t in titles) + "\n" +
              "".join(curves) +
              'set yrange [*:*]\nset logscale y\nset ylabel "99th percentile, ms"\n'
              'plot "-" with lines lw 2 title "equal weights", '
              '"-" with lines lw 2 title "feedback"\n' + "".join(data))
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def results(runs, seconds):
    """Latencies of the second half, and for how many there was none."""
    out = []
    for name, run in runs.items():
        def add(measure, unit, samples, name=name):
            out.append(report.result("feedback", f"{name} weights" if name == "equal" else name,
                                     measure, unit, "lower", samples, requests_per_second=RATE,
                                     seconds=seconds))
        add("latency", "ms", [1000 * took for at, took in run["latencies"] if at >= seconds / 2])
        add("latency p99", "ms", [run["p99_ms"]])
        add("unanswered", "requests", [run["unanswered"]])
    return out


def main():
    parser = argparse.ArgumentParser(prog="run bench feedback", description=__doc__)
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--load", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=90, help="of each run")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured there")
    parser.add_argument("--svg", metavar="FILE", help="draw it there (needs gnuplot-nox)")
    given = parser.parse_args()
    if given.serve:
        return serve(*given.serve)
    if given.load:
        return load(*given.load)
    if given.svg and not shutil.which("gnuplot"):
        parser.error("--svg needs gnuplot: apt-get install gnuplot-nox")
    runs = {}
    for name in ("equal", "feedback"):
        lab = Lab(given.build)
        try:
            lab.start()
            latencies, weights = measure(lab, name == "feedback", given.seconds)
        except LabError as e:
            sys.exit(f"bench feedback: {e}")
        finally:
            lab.stop()
        result = judged(latencies, weights, given.seconds)
        runs[name] = {**result, "latencies": latencies, "weights": weights}
        print(f"{name}: 50 % within {result['p50_ms']} ms, 99 % within {result['p99_ms']} ms; "
              f"{result['unanswered']} of {result['requests']} unanswered")
        for server, w in result["settled"].items():
            print(f"  {server}: weight {w['least']} to {w['most']}, {w['turns']} turns")
    if given.json:
        report.write(given.json, report.envelope(given.build, {}, results(runs, given.seconds)))
    if given.svg:
        plot(given.svg, runs, given.seconds)


if __name__ == "__main__":
    main()
