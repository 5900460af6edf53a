#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The form of benchmarks' reports, and what `./run bench compare` makes of two of them. The first
argument is evnf-bench-environment, whose part of a report must be of that form too."""
import copy
import io
import json
import random
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/bench"))
import compare  # noqa: E402  (found by the line above)
import report  # noqa: E402

FACTS = json.loads(subprocess.run([sys.argv.pop(1)], capture_output=True, check=True).stdout)


def a_report(*results):
    return copy.deepcopy(FACTS) | {"commands": ["run bench x"], "results": list(results)}


def a_result(*samples, case="efw", better="lower", **parameters):
    return report.result("program", case, "packet", "ns", better, samples, **parameters)


class Reports(unittest.TestCase):
    def refused(self, broken, why):
        with self.assertRaisesRegex(report.ReportError, why):
            report.check(broken)

    def test_figures_are_in_order_and_of_the_samples(self):
        dice = random.Random(1)
        for n in range(1, 60):
            samples = [dice.uniform(-5, 5) for _ in range(n)]
            f = report.figures(samples)
            self.assertEqual(sorted([f["min"], f["p10"], f["value"], f["p90"], f["max"]]),
                             [f["min"], f["p10"], f["value"], f["p90"], f["max"]])
            self.assertEqual((f["min"], f["max"], f["n"]), (min(samples), max(samples), n))
            # A tenth lies below p10 and a tenth above p90, as nearly as there are samples.
            self.assertLessEqual(sum(s < f["p10"] for s in samples), n / 10)
            self.assertLessEqual(sum(s > f["p90"] for s in samples), n / 10)
            report.check(a_report(report.result("b", "c", "m", "u", "lower", samples)))

    def test_few_samples_spread_from_the_least_to_the_most(self):
        f = report.figures(range(10))
        self.assertEqual((f["p10"], f["p90"]), (0, 9))

    def test_what_is_missing_or_wrong_is_named(self):
        good = a_report(a_result(1, 2, 3), a_result(1, case="elb"))
        report.check(good)
        for key in report.ENVELOPE:
            broken = copy.deepcopy(good)
            del broken[key]
            self.refused(broken, key)
        for key in report.MACHINE:
            broken = copy.deepcopy(good)
            del broken["machine"][key]
            self.refused(broken, f'machine has no "{key}"')
        for key in (*report.IDENTITY, *report.FIGURES, "better", "n"):
            broken = copy.deepcopy(good)
            del broken["results"][1][key]
            self.refused(broken, rf'results\[1\].*"{key}"')
        for key, value in (("min", 9), ("p90", 0), ("value", "1"), ("n", 0), ("better", "best")):
            broken = copy.deepcopy(good)
            broken["results"][0][key] = value
            self.refused(broken, r"results\[0\]")
        self.refused(a_report(a_result(1), a_result(2)), "there twice")
        self.refused([], "no report")

    def test_results_differ_by_all_that_they_are_about(self):
        one = a_result(1, flows=1)
        for key in report.IDENTITY:
            other = {"parameters": {"flows": 2}}.get(key, "another")
            report.check(a_report(one, one | {key: other}))

    def test_merged_are_the_results_of_all(self):
        one, two = a_report(a_result(1)), a_report(a_result(2, case="elb"))
        two["versions"]["wrk"] = "4.1.0"
        both = report.merge([one, two])
        report.check(both)
        self.assertEqual([r["case"] for r in both["results"]], ["efw", "elb"])
        self.assertEqual(both["versions"], one["versions"] | {"wrk": "4.1.0"})
        self.assertEqual(len(both["commands"]), 2)
        self.assertEqual(len(one["results"]), 1)  # they stay as they were


class Compare(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def compared(self, before, after, *options):
        """Exit code, what it says and what it warns of."""
        paths = []
        for name, what in (("before", before), ("after", after)):
            paths.append(str(Path(self.dir.name) / f"{name}.json"))
            Path(paths[-1]).write_text(what if isinstance(what, str) else json.dumps(what))
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "argv", ["compare", *paths, *options]), \
                redirect_stdout(out), redirect_stderr(err):
            code = compare.main()
        return code, out.getvalue(), err.getvalue()

    def verdict(self, before, after, better):
        code, out, _ = self.compared(a_report(a_result(*before, better=better)),
                                     a_report(a_result(*after, better=better)), "--json")
        [row] = json.loads(out)["rows"]
        self.assertEqual(code, 1 if row["verdict"] == "worse" else 0)
        return row["verdict"]

    def test_only_what_is_outside_both_spreads_differs(self):
        for better, up, down in (("lower", "worse", "better"), ("higher", "better", "worse")):
            self.assertEqual(self.verdict((9, 9, 10, 11, 11), (12, 12, 13, 14, 14), better), up)
            self.assertEqual(self.verdict((12, 12, 13, 14, 14), (9, 9, 10, 11, 11), better), down)
            self.assertEqual(self.verdict((9, 9, 10, 12, 12), (12, 12, 13, 14, 14), better), "same")
            self.assertEqual(self.verdict((12, 12, 13, 14, 14), (9, 9, 10, 12, 12), better), "same")
            self.assertEqual(self.verdict((5, 6, 10, 15, 15), (9, 9, 12, 13, 13), better), "same")

    def test_few_samples_differ_where_they_are_far_apart(self):
        for better, up, down in (("lower", "worse", "better"), ("higher", "better", "worse")):
            self.assertEqual(self.verdict((9, 10, 11), (14, 15, 15), better), up)
            self.assertEqual(self.verdict((14, 15, 15), (9, 10, 11), better), down)
            self.assertEqual(self.verdict((9, 10, 11), (13, 14, 14), better), "same")
            self.assertEqual(self.verdict((13, 14, 14), (9, 10, 11), better), "same")
            self.assertEqual(self.verdict((9, 10, 11), (14, 14, 14, 14, 14), better), up)
            self.assertEqual(self.verdict((9, 10, 11), (13, 13, 13, 13, 13), better), "same")

    def test_the_same_seldom_differ(self):
        """As the words above FEW say: of three rounds once in a hundred times, as of five."""
        dice = random.Random(1)
        for n in (3, 5):
            looks = [[report.figures([dice.gauss(0, 1) for _ in range(n)]) | {"better": "lower"}
                      for _ in range(2)] for _ in range(4000)]
            differ = sum(compare.verdict(*pair) != "same" for pair in looks)
            self.assertLess(differ, 0.015 * len(looks), n)

    def test_the_table_has_the_ratio(self):
        code, out, err = self.compared(a_report(a_result(10, 10, flows=1)),
                                       a_report(a_result(15, 15, flows=1)))
        self.assertEqual((code, err), (1, ""))
        self.assertRegex(out, r"program: efw, packet \(flows 1\) .*\b1\.50  worse")
        self.assertIn("0 better, 1 worse, 0 the same", out)

    def test_what_was_looked_at_once_is_neither_better_nor_worse(self):
        for before, after in (((1,), (2, 2)), ((2, 2), (1,)), ((1,), (2,))):
            self.assertEqual(self.verdict(before, after, "lower"), "one look")

    def test_a_ratio_to_nothing_is_none(self):
        _, out, _ = self.compared(a_report(a_result(0)), a_report(a_result(1)), "--json")
        self.assertIsNone(json.loads(out)["rows"][0]["ratio"])

    def test_what_only_one_has_is_told(self):
        code, _, err = self.compared(a_report(a_result(1), a_result(1, case="gone")),
                                     a_report(a_result(1), a_result(1, flows=2)))
        self.assertEqual(code, 0)
        self.assertRegex(err, r"only in .*before.json: 1 results, of program: gone")
        self.assertRegex(err, r"only in .*after.json: 1 results, of program: efw, packet \(flows 2\)")

    def test_another_machine_is_a_warning(self):
        other = a_report(a_result(1))
        other["machine"]["cpu"], other["versions"]["libbpf"] = "another", "0.1"
        code, _, err = self.compared(a_report(a_result(1)), other)
        self.assertEqual(code, 0)
        self.assertIn("not the same machine", err)
        self.assertIn("not the same libbpf", err)

    def test_another_evnf_is_what_is_compared(self):
        other = a_report(a_result(1))
        other["versions"]["evnf"] = "another"
        self.assertEqual(self.compared(a_report(a_result(1)), other)[2], "")

    def test_what_is_no_report_is_an_error(self):
        good = a_report(a_result(1))
        for broken, why in (("", "not JSON"), ("{}", "no report"), ({"format": "x"}, "no report"),
                            (a_report({"bench": "x"}), r"results\[0\] has no \"case\""),
                            (a_report(a_result(1, case="x")), "no result in common")):
            for pair in ((good, broken), (broken, good)):
                code, out, err = self.compared(*pair)
                self.assertEqual((code, out), (2, ""))
                self.assertRegex(err, why)
        with mock.patch.object(sys, "argv", ["compare", "/nowhere", "/nowhere"]), \
                redirect_stderr(io.StringIO()) as err:
            self.assertEqual(compare.main(), 2)
        self.assertIn("/nowhere: No such file", err.getvalue())


if __name__ == "__main__":
    unittest.main()
