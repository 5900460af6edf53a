#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks of hosts make of their samples: results of the form of all reports, which say
what they should, and tables of them."""
import itertools
import sys
import unittest
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/bench"))
import feedback  # noqa: E402  (found by the line above)
import offload  # noqa: E402
import report  # noqa: E402
import rules  # noqa: E402
import sfc1  # noqa: E402
import sfc2  # noqa: E402


class Results(unittest.TestCase):
    def by_identity(self, results):
        """Checked each, and none twice."""
        out = {}
        for number, one in enumerate(results):
            report.check_result(f"results[{number}]", one)
            self.assertNotIn(report.identity(one), out)
            out[report.identity(one)] = one
        return out.values()

    def find(self, results, **wanted):
        [one] = [r for r in self.by_identity(results)
                 if wanted.items() <= (r | r["parameters"]).items()]
        return one

    def said(self, tell, *args):
        with redirect_stdout(StringIO()) as out:
            tell(*args)
        return out.getvalue()

    def test_sfc1_counts_from_the_same_path_without_vnfs(self):
        cases = [(4, "close"), (64, "keep-alive")]
        samples = {(case, s.title): [dict.fromkeys(sfc1.MEASURES, 10.0 * (n + 1) + extra) |
                                     {"others_share": 0} for extra in (0, 1)]
                   for n, s in enumerate(sfc1.SETUPS) for case in cases}
        results = sfc1.evaluate(samples, cases)
        one, two, haproxy, _, forwarding, efw_two, efw_one = (10.0 * (n + 1) for n in range(7))
        where = {"connections": 4, "requests": "close"}
        for title, with_it, nothing in (("efw + elb, two hosts", efw_two, two),
                                        ("efw + elb, one host", efw_one, one),
                                        ("XDP forwarding, one host", forwarding, one),
                                        ("iptables + HAProxy", haproxy, two)):
            added = self.find(results, case=title, measure="CPU per request added", **where)
            self.assertEqual((added["value"], added["n"]), (with_it - nothing, 2))
            share = self.find(results, case=title, measure="requests, of those without a VNF", **where)
            self.assertEqual(share["max"], with_it / nothing)
        ratio = self.find(results, case="efw + elb, one host",
                          measure="requests, of those with iptables + HAProxy", **where)
        self.assertEqual(ratio["max"], efw_one / haproxy)
        ratio = self.find(results, case="efw + elb, one host",
                          measure="CPU added, of that with iptables + HAProxy", **where)
        self.assertEqual(ratio["max"], (efw_one - one) / (haproxy - two))
        said = self.said(sfc1.tables, results, cases)
        self.assertEqual(said.count("efw + elb, one host"), 2 * len(cases))

    def test_sfc2(self):
        args = SimpleNamespace(elephants=[0, 4], gro=False)
        samples = {(n, s.title): [{"throughput": 2.0 + n, "CPU per gigabit": 100.0 * (1 + k),
                                   "others_share": 0, "seen_by_reader": 0.5}] * 2
                   for n, (k, s) in itertools.product(args.elephants, enumerate(sfc2.SETUPS))}
        results = sfc2.evaluate(samples, args)
        last = sfc2.SETUPS[-1].title
        added = self.find(results, case=last, measure="CPU per gigabit added", elephants_percent=100)
        self.assertEqual(added["value"], 100 * (len(sfc2.SETUPS) - 1))
        flat = self.find(results, case=last, measure="throughput, of that with the most elephants")
        self.assertAlmostEqual(flat["value"], 2 / 6)
        self.assertIn(last, self.said(sfc2.tables, results, args))

    def test_rules(self):
        measured = dict.fromkeys(rules.MEASURES, [1.0, 2.0, 3.0])
        samples = {(kind.title, n): measured for kind in rules.KINDS[1:] for n in (10, 1000)}
        samples[rules.NO_RULES, 0] = {"packets": [5.0], "echo": [1.0]}
        results = rules.results_of(samples, [9.0])
        self.assertEqual(self.find(results, case="efw", measure="packets", rules=10)["value"], 2)
        self.assertEqual(self.find(results, case="the sender alone")["value"], 9)
        self.assertEqual(self.said(rules.table, results).count("nftables, a set"), 2)

    def test_rules_of_all_kinds_are_the_same_addresses(self):
        said = []
        lab = SimpleNamespace(vnf=None, timed=lambda *command, input: said.append(input))
        for kind in (rules.Legacy, rules.NftList, rules.NftSet):
            for other in (False, True):
                kind(lab).replace(300, other)
        for text in said:
            for i in (0, 1, 255, 256, 298):  # dropped
                self.assertRegex(text, rf"\b{rules.address(i)}\b")
            self.assertRegex(text, rf"{rules.address(299)}(/32 -j ACCEPT| accept)")
        self.assertEqual(len(set(said)), 6)  # the other order is another ruleset

    def test_offload_and_feedback(self):
        bench = offload.Bench("build", SimpleNamespace(rules=100))
        bench.alone = [5.0]
        bench.samples = {("nft set", how, "late"): [1.0, 2.0] for how in (offload.NETFILTER,
                                                                         offload.OFFLOADED)}
        self.assertEqual(self.find(bench.results(), case="nft set, offloaded")["value"], 1.5)
        self.assertIn("nft set", offload.table(bench))
        run = {"latencies": [(1, 9.0), (50, 0.1), (60, 0.3)], "p99_ms": 300, "unanswered": 0}
        latency = self.find(feedback.results({"feedback": run}, 90), measure="latency")
        self.assertEqual((latency["value"], latency["n"]), (200, 2))


if __name__ == "__main__":
    unittest.main()
