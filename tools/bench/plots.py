# SPDX-License-Identifier: GPL-2.0-or-later
"""A report's results as pictures, by gnuplot: one curve for each case, or a bar."""
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

TERMINALS = {"svg": 'svg size {size} font "sans,12" background "white"',
             "png": 'pngcairo size {size} font "sans,12"'}


@dataclass(frozen=True)
class Plot:
    """Results of one bench and measure. The parameter `along` is the x axis; without one each case
    is a bar, for each value of the parameter `groups`."""
    name: str
    title: str
    bench: str
    measure: str
    along: str | None = None
    groups: str | None = None
    only: dict = field(default_factory=dict)  # parameters that must have these values
    log: str = ""  # axes, as gnuplot has them


PLOTS = (
    Plot("program", "A packet of 64 bytes, IPv4, net of the empty program", "program",
         "packet, net", groups="flows", only={"family": 4, "bytes": 64}, log="y"),
    Plot("sfc1-requests", "Requests over connections that stay", "sfc1", "requests",
         "connections", only={"requests": "keep-alive"}, log="x"),
    Plot("sfc1-requests-close", "Requests, one for each connection", "sfc1", "requests",
         "connections", only={"requests": "close"}, log="x"),
    Plot("sfc1-latency", "99th percentile of the latency, connections that stay", "sfc1",
         "latency p99", "connections", only={"requests": "keep-alive"}, log="xy"),
    Plot("sfc1-cpu", "CPU time that the VNFs add, connections that stay", "sfc1",
         "CPU per request added", "connections", only={"requests": "keep-alive"}, log="x"),
    Plot("sfc2-throughput", "4 flows through firewall and classifier", "sfc2", "throughput",
         "elephants_percent"),
    Plot("sfc2-cpu", "CPU time of 4 flows through firewall and classifier", "sfc2",
         "CPU per gigabit", "elephants_percent"),
    Plot("rules-packets", "Forwarding through rules, the last of which accepts", "rules", "packets",
         "rules", log="xy"),
    Plot("rules-echo", "An echo through rules, the last of which accepts", "rules", "echo", "rules",
         log="xy"),
    Plot("rules-replace", "Replacing all rules", "rules", "replace all", "rules", log="xy"),
    Plot("scale-connections", "A packet of an established connection, net of the empty program",
         "scale", "packet, net", "connections", log="x"),
    Plot("scale-chain", "A chain of efw, net of the empty program", "scale", "packet, net", "stages",
         log="y"),
)


def matching(results, plot):
    for r in results:
        known = r["parameters"]
        if (r["bench"], r["measure"]) == (plot.bench, plot.measure) and \
                all(known.get(k) == v for k, v in plot.only.items()) and \
                (plot.along or plot.groups) in known:
            # A logarithmic axis has no place for it.
            if not ("x" in plot.log and plot.along and known[plot.along] <= 0):
                yield r


def curves(results, plot):
    """By case, or with bars by group: what it is called, and its results in order."""
    out = {}
    for r in matching(results, plot):
        name = r["case"] if plot.along else f"{plot.groups}: {r['parameters'][plot.groups]:,}"
        out.setdefault(name, []).append(r)
    if plot.along:
        for rows in out.values():
            rows.sort(key=lambda r: r["parameters"][plot.along])
    return out


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def script(plot, found, terminal, path):
    """What gnuplot reads: settings, then the numbers with their spread."""
    unit = next(iter(found.values()))[0]["unit"]
    size = "900,540" if plot.along else "900,800"  # the cases' names are long
    lines = [f"set terminal {TERMINALS[terminal].format(size=size)}", f"set output {quoted(str(path))}",
             f"set title {quoted(plot.title)} noenhanced", "set key top outside horizontal noenhanced",
             "set grid", f"set ylabel {quoted(f'{plot.measure}, {unit}')} noenhanced"]
    if "y" not in plot.log:
        lines.append("set yrange [0:*]")
    if plot.log:
        lines.append(f"set logscale {plot.log}")
    if plot.along:
        lines += [f"set xlabel {quoted(plot.along.replace('_', ' '))}",
                  "plot " + ", ".join(f'"-" with yerrorlines lw 2 title {quoted(name)}'
                                      for name in found)]
        rows = [[f"{r['parameters'][plot.along]} {r['value']} {r['p10']} {r['p90']}" for r in of]
                for of in found.values()]
    else:
        cases = list(dict.fromkeys(r["case"] for of in found.values() for r in of))
        width = 0.8 / len(found)
        ticks = ", ".join(f"{quoted(case)} {n}" for n, case in enumerate(cases))
        lines += [f"set xtics rotate by 40 right noenhanced ({ticks})", "set style fill solid 0.7",
                  "set lmargin 28", "set rmargin 4",
                  f"set boxwidth {width:.3f}", f"set xrange [-0.6:{len(cases) - 0.4}]",
                  "plot " + ", ".join(f'"-" with boxerrorbars title {quoted(name)}'
                                      for name in found)]
        rows = [[f"{cases.index(r['case']) + (n - (len(found) - 1) / 2) * width:.3f} {r['value']} "
                 f"{r['p10']} {r['p90']} {width:.3f}" for r in of]
                for n, of in enumerate(found.values())]
    return "\n".join(lines) + "\n" + "".join("\n".join(of) + "\ne\n" for of in rows)


def draw(report, folder):
    """Writes what there are results for, as SVG and PNG; gives the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for plot in PLOTS:
        found = curves(report["results"], plot)
        for terminal in TERMINALS if found else ():
            path = folder / f"{plot.name}.{terminal}"
            subprocess.run(["gnuplot"], input=script(plot, found, terminal, path), text=True,
                           check=True, stderr=subprocess.PIPE)
            out.append(path)
    return out
