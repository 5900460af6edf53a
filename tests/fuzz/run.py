#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a fuzz target from its seeds; says where the input is that it failed on.

What it finds out on the way is kept in --corpus, or else nowhere.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data/netfilter"
MORE_SEEDS = {"iptables": [DATA]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the program, fuzz-NAME")
    parser.add_argument("--runs", type=int, default=-1, help="at most so many inputs")
    parser.add_argument("--seconds", type=int, default=60, help="at most so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="where new inputs are kept")
    args = parser.parse_args()
    name = args.target.name.removeprefix("fuzz-")
    dictionary = HERE / f"corpus/{name}.dict"
    with tempfile.TemporaryDirectory() as nowhere:
        if args.corpus:
            args.corpus.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [args.target, f"-runs={args.runs}", f"-max_total_time={args.seconds}",
             f"-seed={args.seed}", "-max_len=4096", "-timeout=60", "-verbosity=0",
             "-print_final_stats=1", f"-artifact_prefix={args.target.parent}/{name}-",
             *([f"-dict={dictionary}"] if dictionary.exists() else []),
             args.corpus or nowhere, HERE / "corpus" / name, *MORE_SEEDS.get(name, [])],
            check=False)
    sys.exit(done.returncode and 1)


if __name__ == "__main__":
    main()
