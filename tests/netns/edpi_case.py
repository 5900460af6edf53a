# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of edpi share: its chains, and what the interfaces and the records have counted."""
import json
import time

from case import LabCase
from elb_case import listens
from lab import PATIENCE

CHAINS = """
[[chain]]
name = "in"
path = "in(cli0) -> efw -> edpi -> out"

[[chain]]
name = "back"
path = "in(srv1) -> edpi -> out"

[efw]
default = "accept"

[edpi]
flows = 1024
"""

# Many flows of one packet each, to a port that nobody has.
FLOOD = """
import socket
for port in range(20000, 23000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.0.1.2", port))
    s.sendto(b"x" * 40, ("10.0.11.2", 9))
    s.close()
"""


class EdpiCase(LabCase):
    def start(self, section=""):
        self.records_file = self.lab.dir / "records"
        self.lab.write_config(CHAINS + f'export = "file:{self.records_file}"\n' + section)
        self.lab.start_daemon()

    def records(self):
        return [json.loads(line) for line in self.records_file.read_text().splitlines()]

    def until(self, what):
        """What `what` gives, once it gives something; or nothing, after a long time."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if got := what():
                return got
            time.sleep(0.2)
        return what()

    def serve(self, port, *args, kind="t"):
        """Starts a server, and waits until it listens."""
        self.lab.servers[0].start(*args, log="servers.log")
        listens(self.lab.servers[0], port, kind)

    def seen_by_interfaces(self):
        """Packets and bytes that came in by both."""
        out = [0, 0]
        for name in ("cli0", "srv1"):
            stats = json.loads(self.lab.vnf.run("ip", "-s", "-j", "link", "show", "dev",
                                                name).stdout)[0]["stats64"]["rx"]
            out[0] += stats["packets"]
            # veth counts what a sender's stack gave it without the Ethernet header.
            out[1] += stats["bytes"] + 14 * stats["packets"]
        return out

    def not_for_edpi(self):
        """Packets and bytes that the roots gave to the kernel: ARP, multicast."""
        out = [0, 0]
        for chain in self.lab.evnf_json("chain", "show"):
            for slot in chain["slots"]:
                if not slot["name"].startswith("root@"):
                    continue
                for r in slot["reasons"]:
                    if r["reason"] != "next":
                        out[0] += r["packets"]
                        out[1] += r["bytes"]
        return out

    def passed(self):
        """What came in and is edpi's to account for, at one time."""
        while True:
            before = self.seen_by_interfaces()
            others = self.not_for_edpi()
            if before == self.seen_by_interfaces():
                return [b - o for b, o in zip(before, others)]

    def balance(self, began, told=None):
        """All that has passed since is told, in the records of the file or as `told` has it."""
        told = told or self.accounted

        def same():
            passed = [p - b for p, b in zip(self.passed(), began)]
            return passed if passed == told() else None
        self.assertIsNotNone(self.until(same), f"passed {self.passed()} since {began}, "
                             f"told {told()}")

    def accounted(self):
        out = [0, 0]
        for r in self.records():
            out[0] += r["packets"] + r.get("packets_back", 0)
            out[1] += r["bytes"] + r.get("bytes_back", 0)
        return out
