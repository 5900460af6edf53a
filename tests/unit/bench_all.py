#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`./run bench` with made-up benchmarks: what it merges, what it draws, and what becomes of one that
fails. The first argument is evnf-bench-environment."""
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/bench"))
import plots  # noqa: E402  (found by the line above)
import report  # noqa: E402

bench_all = importlib.import_module("all")
FACTS = json.loads(subprocess.run([sys.argv.pop(1)], capture_output=True, check=True).stdout)

# What runs in the place of a benchmark: its arguments are the report, the exit code, then those
# that it is given.
FAKE = """
import json, sys
report, code, *given = sys.argv[1:]
with open(given[given.index("--json") + 1], "w") as out:
    out.write(report)
sys.exit(int(code))
"""


def results_of(plot):
    """Enough of what a plot draws, with what it must leave out."""
    def one(case, value, **parameters):
        return report.result(plot.bench, case, plot.measure, "u", "lower", [value, value + 1],
                             **(plot.only | parameters))
    axis = plot.along or plot.groups
    out = [one(case, 10 * n, **{axis: n}) for n in (4, 1, 2) for case in ("a_b", 'c "d"')]
    if plot.only:
        key = next(iter(plot.only))
        out.append(one("left out", 1, **{key: "another", axis: 1}))
    return out


def a_report(*results):
    return FACTS | {"commands": ["x"], "results": list(results)}


class All(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.folder = Path(self.dir.name)
        (self.folder / "fake.py").write_text(FAKE)

    def run_all(self, *options, code=lambda part: 0):
        """The exit status of `./run bench`, each of whose parts has one result."""
        def command(part, _):
            one = a_report(report.result(part, "case", "measure", "u", "lower", [1]))
            return [sys.executable, str(self.folder / "fake.py"), json.dumps(one), str(code(part))]
        with mock.patch.object(bench_all, "command", command), \
                mock.patch.object(sys, "argv", ["all", *options]), \
                redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            try:
                return bench_all.main()
            except SystemExit as e:
                return e.code

    def test_all_parts_are_in_one_report(self):
        path = self.folder / "all.json"
        self.assertIsNone(self.run_all("--json", str(path)))
        self.assertEqual([r["bench"] for r in report.read(path)["results"]], list(bench_all.PARTS))

    def test_the_others_are_reported_if_one_fails(self):
        path = self.folder / "all.json"
        self.assertIn("failed: sfc2", self.run_all("--json", str(path),
                                                   code=lambda part: int(part == "sfc2")))
        self.assertEqual([r["bench"] for r in report.read(path)["results"]],
                         [p for p in bench_all.PARTS if p != "sfc2"])

    def test_a_folder_that_is_not_there_is_found_before_anything_runs(self):
        def never(part):
            self.fail(f"{part} is run")
        self.assertEqual(self.run_all("--json", str(self.folder / "none/all.json"), code=never), 2)

    def test_every_part_has_a_command_that_is_there(self):
        for part in bench_all.PARTS:
            program = bench_all.command(part, ROOT / "build")
            if program[0] == sys.executable:
                self.assertTrue(Path(program[1]).is_file(), program)


class Plots(unittest.TestCase):
    def test_each_has_its_results_in_order_and_no_others(self):
        every = [r for plot in plots.PLOTS for r in results_of(plot)]
        for plot in plots.PLOTS:
            with self.subTest(plot.name):
                found = plots.curves(every, plot)
                self.assertNotIn("left out", [r["case"] for of in found.values() for r in of])
                # Several plots may draw of the same results.
                want = ["a_b", 'c "d"'] if plot.along else [f"{plot.groups}: {n}" for n in (1, 2, 4)]
                self.assertEqual(sorted(found), want)
                if plot.along:
                    for of in found.values():
                        steps = [r["parameters"][plot.along] for r in of]
                        self.assertEqual(steps, sorted(steps))

    def test_what_has_no_results_is_not_drawn(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(plots.draw(a_report(), folder), [])

    def test_a_logarithmic_axis_has_no_zero(self):
        plot = plots.Plot("p", "t", "b", "m", "x", log="x")
        results = [report.result("b", "c", "m", "u", "lower", [1], x=x) for x in (0, 1)]
        self.assertEqual(plots.curves(results, plot), {"c": [results[1]]})

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_gnuplot_draws_them(self):
        with tempfile.TemporaryDirectory() as folder:
            results = {report.identity(r): r for plot in plots.PLOTS for r in results_of(plot)}
            drawn = plots.draw(a_report(*results.values()), folder)
            self.assertEqual({p.name for p in drawn}, {f"{plot.name}.{kind}" for plot in plots.PLOTS
                                                       for kind in plots.TERMINALS})
            for path in drawn:
                if path.suffix == ".svg":
                    ElementTree.parse(path)
                    self.assertIn('c "d"', path.read_text().replace("&quot;", '"'))
                else:
                    self.assertEqual(path.read_bytes()[:4], b"\x89PNG")


if __name__ == "__main__":
    unittest.main()
