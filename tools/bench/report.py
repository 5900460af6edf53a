# SPDX-License-Identifier: GPL-2.0-or-later
"""The form of what every benchmark writes with --json: docs/performance.md has it in words.

The machine's part is told by evnf-bench-environment, which C++ benchmarks use, too.
"""
import json
import math
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

FORMAT = "evnf-bench/1"
# What must be there, and of which type; for all else a report has, see docs/performance.md.
ENVELOPE = {"format": str, "date": str, "commands": list, "machine": dict, "kernel": str,
            "bpf_jit": bool, "versions": dict, "results": list}
MACHINE = {"cpu": str, "cores": int, "memory_mib": int}
IDENTITY = {"bench": str, "case": str, "measure": str, "parameters": dict, "unit": str}
FIGURES = ("value", "min", "p10", "p90", "max")
BETTER = ("lower", "higher")


class ReportError(Exception):
    """Not a report, or none that can be read: the message names file, place and cause."""


# -- making one

def figures(samples):
    """Median and spread. Of up to ten samples p10 and p90 are the least and the most."""
    ordered = sorted(samples)
    last = len(ordered) - 1
    return {"value": statistics.median(ordered), "min": ordered[0],
            "p10": ordered[last * 10 // 100], "p90": ordered[math.ceil(last * 90 / 100)],
            "max": ordered[-1], "n": len(ordered)}


def result(bench, case, measure, unit, better, samples, **parameters):
    return {"bench": bench, "case": case, "measure": measure, "parameters": parameters,
            "unit": unit, "better": better} | figures(samples)


def versions_of(*programs):
    """What Debian's programs say of themselves, by name."""
    ask = {"iptables": ["iptables", "--version"], "nft": ["nft", "--version"],
           "haproxy": ["haproxy", "-v"], "nginx": ["nginx", "-v"], "wrk": ["wrk", "-v"],
           "iperf3": ["iperf3", "--version"], "ndpi": ["ndpiReader", "-h"]}
    out = {}
    for name in programs:
        done = subprocess.run(ask[name], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).replace("/", " ").split()
        out[name] = next(word.strip(",()") for word in said
                         if word.lstrip("v")[:1].isdigit() and "." in word)
    return out


def environment(build):
    program = Path(build) / "tools/bench/evnf-bench-environment"
    return json.loads(subprocess.run([program], capture_output=True, text=True, check=True).stdout)


def envelope(build, versions, results):
    """The report of the program that calls this."""
    out = environment(build)
    out["commands"] = [shlex.join(sys.argv)]
    out["versions"] |= versions
    out["results"] = results
    return out


def where(report):
    """The machine in a line, for people."""
    machine = report["machine"]
    return (f"{report['date']}, Linux {report['kernel']}, {machine['cores']} x {machine['cpu']}\n"
            + ", ".join(f"{k} {v}" for k, v in report["versions"].items()))


def write(path, report):
    Path(path).write_text(json.dumps(report, indent=1) + "\n")


def merge(reports):
    """One of several that one machine made, in their order."""
    out = dict(reports[0], commands=[], versions={}, results=[])
    for one in reports:
        out["commands"] += one["commands"]
        out["versions"] |= one["versions"]
        out["results"] += one["results"]
    return out


# -- reading one

def identity(one):
    """What two reports must have in common for their numbers to be compared."""
    return (one["bench"], one["case"], one["measure"], one["unit"],
            tuple(sorted((k, str(v)) for k, v in one["parameters"].items())))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_fields(place, fields, types):
    if not isinstance(fields, dict):
        raise ReportError(f"{place} is not an object")
    for name, kind in types.items():
        if name not in fields:
            raise ReportError(f"{place} has no \"{name}\"")
        if not isinstance(fields[name], kind) or kind is int and isinstance(fields[name], bool):
            raise ReportError(f"{place}: \"{name}\" is not {kind.__name__}")


def check_result(place, one):
    check_fields(place, one, IDENTITY)
    if one.get("better") not in BETTER:
        raise ReportError(f"{place}: \"better\" is neither lower nor higher")
    for name in FIGURES:
        if not is_number(one.get(name)):
            raise ReportError(f"{place}: \"{name}\" is not a number")
    if not is_number(one.get("n")) or one["n"] < 1:
        raise ReportError(f"{place}: \"n\" is not a number of samples")
    if not one["min"] <= one["p10"] <= one["value"] <= one["p90"] <= one["max"]:
        raise ReportError(f"{place}: min, p10, value, p90 and max are not in this order")


def check(report):
    """Whether it is a report of this form; the first thing that is not, is the error."""
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ReportError(f"it is no report of a benchmark (\"format\" is not {FORMAT})")
    check_fields("the report", report, ENVELOPE)
    check_fields("machine", report["machine"], MACHINE)
    seen = set()
    for number, one in enumerate(report["results"]):
        place = f"results[{number}]"
        check_result(place, one)
        if identity(one) in seen:
            raise ReportError(f"{place} is there twice: {one['bench']}, {one['case']}, "
                              f"{one['measure']}, {one['parameters']}")
        seen.add(identity(one))


def read(path):
    try:
        report = json.loads(Path(path).read_text())
        check(report)
    except OSError as e:
        raise ReportError(f"{path}: {e.strerror}") from None
    except ValueError as e:
        raise ReportError(f"{path} is not JSON: {e}") from None
    except ReportError as e:
        raise ReportError(f"{path}: {e}") from None
    return report
