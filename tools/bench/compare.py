#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two reports of `./run bench … --json`, before and after, result by result.

A result is better or worse where its spread (from its 10th to its 90th percentile) and that of
the other report do not meet; else it is the same. Of few samples they must be as far apart as the
wider of them is wide: by chance alone those of three and three do not meet once in ten times. One that
was looked at only once has no spread, and is neither. Ends with 0 if nothing is worse, with 1 if
something is, with 2 if the reports cannot be compared.
"""
import argparse
import json
import sys

import report

FEW = 5  # of as many, spreads of the same do not meet once in a hundred times
SAME, BETTER, WORSE, ONE_LOOK = "same", "better", "worse", "one look"


def verdict(before, after):
    if min(before["n"], after["n"]) == 1:
        return ONE_LOOK
    apart = max(before["p10"] - after["p90"], after["p10"] - before["p90"])
    few = min(before["n"], after["n"]) < FEW
    if apart <= (max(f["p90"] - f["p10"] for f in (before, after)) if few else 0):
        return SAME
    grew = after["value"] > before["value"]
    return BETTER if grew == (before["better"] == "higher") else WORSE


def compare(before, after):
    """A row for each result that both have; and what only one has."""
    old = {report.identity(r): r for r in before["results"]}
    new = {report.identity(r): r for r in after["results"]}
    rows = [{key: b[key] for key in ("bench", "case", "measure", "parameters", "unit", "better")} |
            {"before": {f: b[f] for f in report.FIGURES}, "after": {f: a[f] for f in report.FIGURES},
             "ratio": a["value"] / b["value"] if b["value"] else None,
             "verdict": verdict(b, a)}
            for key, b in old.items() if (a := new.get(key))]
    return rows, [r for k, r in old.items() if k not in new], [r for k, r in new.items() if k not in old]


def differences(before, after):
    """What else is not as it was: then a ratio says little about the change of eVNF."""
    out = [f"{name}: {before[name]}, then {after[name]}"
           for name in ("machine", "kernel", "bpf_jit") if before[name] != after[name]]
    for name in sorted(set(before["versions"]) & set(after["versions"]) - {"evnf"}):
        if before["versions"][name] != after["versions"][name]:
            out.append(f"{name}: {before['versions'][name]}, then {after['versions'][name]}")
    return out


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def name_of(row):
    parameters = ", ".join(f"{k} {v}" for k, v in row["parameters"].items())
    return f"{row['bench']}: {row['case']}, {row['measure']}" + (f" ({parameters})" if parameters else "")


def table(rows):
    def cell(f):
        return f"{number(f['value'])} ({number(f['p10'])} – {number(f['p90'])})"
    lines = [("", "BEFORE", "AFTER", "", "RATIO", "")]
    lines += [(name_of(r), cell(r["before"]), cell(r["after"]), r["unit"],
               f"{r['ratio']:.2f}" if r["ratio"] is not None else "-",
               "" if r["verdict"] == SAME else r["verdict"]) for r in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(
        (c.rjust(w) if i in (1, 2, 4) else c.ljust(w))
        for i, (c, w) in enumerate(zip(line, widths))).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(prog="run bench compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", metavar="BEFORE.json")
    parser.add_argument("after", metavar="AFTER.json")
    parser.add_argument("--json", action="store_true", help="the rows as JSON, instead of the table")
    args = parser.parse_args()
    try:
        before, after = report.read(args.before), report.read(args.after)
        rows, gone, new = compare(before, after)
        if not rows:
            raise report.ReportError(f"{args.before} and {args.after} have no result in common: "
                                     "were they made by other benchmarks or options?")
    except report.ReportError as e:
        print(f"run bench compare: {e}", file=sys.stderr)
        return 2
    for line in differences(before, after):
        print(f"warning: not the same {line}", file=sys.stderr)
    for which, missing in ((args.before, gone), (args.after, new)):
        if missing:
            print(f"warning: only in {which}: {len(missing)} results, of {name_of(missing[0])} on",
                  file=sys.stderr)
    if args.json:
        print(json.dumps({"rows": rows, "only_before": gone, "only_after": new}, indent=1))
    else:
        print(table(rows))
        count = [sum(r["verdict"] == v for r in rows) for v in (BETTER, WORSE, SAME, ONE_LOOK)]
        print("\n{} better, {} worse, {} the same within their spreads, {} looked at once"
              .format(*count))
    return 1 if any(r["verdict"] == WORSE for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
