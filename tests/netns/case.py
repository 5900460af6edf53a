# SPDX-License-Identifier: GPL-2.0-or-later
"""What the namespace tests share: a lab for each test case, and skipping without root."""
import os
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/lab"))
from lab import Lab  # noqa: E402  (found by the line above)

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

    def wait_for(self, what, seconds=60):
        """Until it holds: a deadline that also a busy machine keeps."""
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end, "it did not happen in time")
            time.sleep(0.05)

    def curl(self, url, *more, seconds=3):
        """What the client gets from a URL, or None."""
        done = self.lab.client.run("curl", "-s", "-m", seconds, *more, url, check=False)
        return done.stdout.strip() if done.returncode == 0 else None


def main():
    if os.geteuid() != 0:
        print("network namespaces and BPF need root")
        sys.exit(1 if os.environ.get("EVNF_REQUIRE_BPF") else 77)
    unittest.main(verbosity=2)
