#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One watches packets at a time, whoever is killed; and traffic does not notice."""
import re
import signal
import subprocess

import web_test
from case import Load, main
from lab import CONFIG, PATIENCE, VIP
from watch_case import BUSY, RULES, WatchCase


class TurnsTest(WatchCase):
    def watch_once(self):
        """A trace that sees a packet; fails if another one watches."""
        trace = self.watch("trace", "--count", "1")
        self.assertIsNotNone(self.curl(f"http://{VIP}/"))
        self.end(trace)

    def test_one_at_a_time(self):
        first = self.watch("trace", "udp")
        for words in (["trace"], ["capture", "-w", self.lab.dir / "none"],
                      ["chain", "plan", "--measure", 1]):
            done = self.lab.evnf(*words, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(BUSY, done.stderr)
        self.assertIsNone(first.poll())
        self.kill(first)
        self.wait_until_over(first)
        self.watch_once()

    def test_a_killed_watcher(self):
        size = self.stage_program("in/efw")
        trace = self.watch("trace", "udp")
        self.assertGreater(self.stage_program("in/efw"), size)
        self.kill(trace, signal.SIGKILL)
        self.wait_for(lambda: self.stage_program("in/efw") == size)
        self.watch_once()

    def test_a_killed_measurement(self):
        size = self.stage_program("in/efw")
        measuring = self.watch("chain", "plan", "--measure", 60)
        self.assertIn(BUSY, self.lab.evnf("trace", check=False).stderr)
        self.assertIsNone(measuring.poll())
        self.kill(measuring, signal.SIGKILL)  # it would have gone on for a minute
        self.lab.evnf("chain", "plan", "--measure", 1)  # which waits for two seconds
        self.wait_for(lambda: self.stage_program("in/efw") == size)
        self.watch_once()

    # The server must not keep back, to compress it, what tells that the client is gone.
    def test_a_killed_measurement_that_takes_compressed(self):
        size = self.stage_program("in/efw")
        measuring = subprocess.Popen(
            ["curl", "-s", "--compressed", "--unix-socket",
             self.lab.dir / f"run/{self.lab.name}.sock", "http://evnf/v1/times?seconds=60"],
            stdout=subprocess.DEVNULL)
        self.lab.processes.append(measuring)
        self.wait_for(lambda: self.stage_program("in/efw") > size)
        measuring.kill()
        measuring.wait()
        self.wait_for(lambda: self.stage_program("in/efw") == size)

    def test_a_daemon_that_ends_while_it_measures(self):
        measuring = self.watch("chain", "plan", "--measure", 60)
        self.lab.stop_daemon()
        _, err = measuring.communicate(timeout=PATIENCE)
        self.assertEqual(measuring.returncode, 1)
        self.assertRegex(err, "no evnfd listens on|is gone")

    def test_a_killed_daemon(self):
        size = self.stage_program("in/efw")
        trace = self.watch("trace", "tcp")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        watched = self.stage_program("in/efw")
        self.assertGreater(watched, size)
        self.lab.kill_daemon()
        for _ in range(5):
            self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        err = self.kill(trace)[1] if trace.poll() is None else trace.stderr.read()
        self.assertEqual(trace.returncode, 1)
        self.assertIn("evnfd has ended", err)
        self.lab.start_daemon()
        self.assertEqual(self.stage_program("in/efw"), size)
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")
        self.watch_once()

    def test_the_chains_change(self):
        size = self.stage_program("in/efw")
        trace = self.watch("trace", "udp")
        other = self.lab.dir / "other.toml"
        other.write_text((CONFIG + RULES).replace("tcp dport 8080 drop", "tcp dport 8081 drop"))
        self.lab.evnf("apply", other)
        _, err = trace.communicate(timeout=PATIENCE)
        self.assertEqual(trace.returncode, 1)
        self.assertIn("the chains were changed: watch again", err)
        self.wait_for(lambda: self.stage_program("in/efw") == size)
        self.watch_once()


class LoadTest(WatchCase):
    keepalive_requests = 4  # many connections: there is always a SYN under way
    rules = web_test.RULES
    # What the web tests know of every packet between the ends.
    kernel_sent = web_test.WebTest.kernel_sent
    snapshot = web_test.WebTest.snapshot
    read_counters = web_test.WebTest.read_counters
    check_sums = web_test.WebTest.check_sums

    def setUp(self):
        super().setUp()
        for port in ("cli0", "srv1", "srv2"):
            self.lab.vnf.run("tc", "qdisc", "add", "dev", port, "root", "pfifo")
        self.start = self.snapshot()

    def test_traffic_does_not_notice(self):
        load = Load(self, f"http://{VIP}/")
        for _ in range(3):
            seen = self.end(self.watch("--json", "trace", "tcp", "--count", "300"))
            self.assertGreater(len(seen.splitlines()), 300)
            nothing, sent = self.watch("trace", "udp"), load.sent()
            self.wait_for(lambda: load.sent() > sent + 1000)
            self.assertEqual(self.kill(nothing)[0], "")
            self.wait_until_over(nothing)
        load.end()
        self.check_sums()
        for chain in ("in", "back"):
            for name, slot in self.slots(chain).items():
                self.assertEqual(slot["verdicts"]["drop"]["packets"], 0, f"{chain}/{name}")

    def test_measure(self):
        load = Load(self, f"http://{VIP}/")
        table = self.lab.evnf("chain", "plan", "--measure", 1).stdout
        plan = self.lab.evnf_json("chain", "plan", "--measure", 1)
        load.end()
        places = {"in": ["root@cli0", "efw", "elb", "out"],
                  "back": ["root@srv1", "root@srv2", "elb", "out"]}
        for chain in plan:
            measured = {p["place"]: p for p in chain["roots"] + chain["places"]}
            self.assertEqual(list(measured), places[chain["name"]])
            for p in measured.values():
                self.assertGreater(p["samples"], 0)
                # A duration, of a packet each: of all samples no longer than the measurement.
                self.assertTrue(0 < p["samples"] * p["measured_ns"] < 100e9, p)
        rows = [re.split(" {2,}", line.strip()) for line in table.splitlines()]
        column = next(row for row in rows if row[0] == "PLACE").index("NS (MEASURED)")
        numbers = [(row[0], row[column]) for row in rows
                   if len(row) > column and row[0] != "PLACE"]
        self.assertEqual([name for name, _ in numbers], places["in"] + places["back"])
        for name, number in numbers:
            self.assertRegex(number, r"^\d+$", name)
        for p in (p for c in self.lab.evnf_json("chain", "plan") for p in c["places"]):
            self.assertNotIn("measured_ns", p)
        self.check_sums()


if __name__ == "__main__":
    main()
