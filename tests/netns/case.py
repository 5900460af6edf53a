# SPDX-License-Identifier: GPL-2.0-or-later
"""What the namespace tests share: a lab for each test case, and skipping without root."""
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/lab"))
from lab import PATIENCE, Lab  # noqa: E402  (found by the line above)

BUILD = os.environ.get("EVNF_BUILD", "build")


class LabCase(unittest.TestCase):
    """A test with a lab of its own; `config` is what its daemon starts with."""

    keepalive_requests = 100

    def setUp(self):
        self.lab = Lab(BUILD, keepalive_requests=self.keepalive_requests)
        self.addCleanup(self.lab.stop)
        self.lab.start()

    def slots(self, chain):
        """Counters of a chain's slots by name."""
        for one in self.lab.evnf_json("chain", "show"):
            if one["name"] == chain:
                return {slot["name"]: slot for slot in one["slots"]}
        raise KeyError(chain)

    def reason(self, chain, slot, reason):
        for r in self.slots(chain)[slot]["reasons"]:
            if r["reason"] == reason:
                return r["packets"]
        return 0

    def wait_for(self, what, seconds=PATIENCE):
        """Until it holds: a deadline that also a busy machine keeps."""
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end, "it did not happen in time")
            time.sleep(0.05)

    def wait_until_equal(self, what, wanted):
        """For what is counted a moment after it happens: is as wanted in time, or fails."""
        end = time.monotonic() + PATIENCE
        while (got := what()) != wanted and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(got, wanted)

    def wait_until_closed(self):
        """Until no end has a connection that is open or being closed: then no packet of one is
        under way any more."""
        left = ("ss", "-Htn", "state", "connected", "exclude", "time-wait")
        self.wait_for(lambda: not any(host.run(*left).stdout.strip()
                                      for host in (self.lab.client, *self.lab.servers)))

    def check_both_answer(self, url):
        """Both servers do, and nobody else; a balancer gives each the half by chance."""
        answers = set()
        for _ in range(100):
            answers.add(self.curl(url))
            if len(answers) > 1:
                break
        self.assertEqual(answers, {"server1", "server2"})

    def curl(self, url, *more, seconds=30):
        """What the client gets from a URL, or None; who expects that says after how long."""
        done = self.lab.client.run("curl", "-s", "-m", seconds, *more, url, check=False)
        return done.stdout.strip() if done.returncode == 0 else None


class Load:
    """Requests of the client's over so many connections, until end(). None may fail."""

    def __init__(self, case, url, connections=32):
        self.case = case
        self.begun = self.sent()
        # Not within wrk's two seconds: that would be about how fast this machine is.
        self.wrk = subprocess.Popen(
            case.lab.client.command(["wrk", "-t2", f"-c{connections}", "-d600s", "--timeout",
                                     f"{PATIENCE}s", url]), stdout=subprocess.PIPE, text=True)
        case.lab.processes.append(self.wrk)
        case.addCleanup(self.wrk.stdout.close)
        case.wait_for(lambda: self.sent() > self.begun + 1000)

    def sent(self):
        return self.case.lab.client.link("eth0")[1]

    def end(self):
        """How many there were."""
        self.case.wait_for(lambda: self.sent() > self.begun + 10000)
        self.case.assertIsNone(self.wrk.poll(), "the load ended before its time")
        self.wrk.send_signal(signal.SIGINT)
        out = self.wrk.communicate()[0]
        self.case.assertNotIn("Socket errors", out)
        self.case.assertNotIn("Non-2xx", out)
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        self.case.assertGreater(requests, 1000)
        return requests


def main():
    if os.geteuid() != 0:
        print("network namespaces and BPF need root")
        sys.exit(1 if os.environ.get("EVNF_REQUIRE_BPF") else 77)
    unittest.main(verbosity=2)
