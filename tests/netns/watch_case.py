# SPDX-License-Identifier: GPL-2.0-or-later
"""A host whose packets are watched on their way."""
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from case import LabCase
from lab import CONFIG, PIN_DIR, VIP

RULES = f"""
[efw]
rules = ["tcp dport 80 accept", "tcp dport 8080 drop", "udp dport 9 drop", "udp accept"]

[[elb.service]]
address = "{VIP}"
port = 80
protocol = "tcp"
backends = [ {{ address = "10.0.11.2", port = 80 }} ]
"""
BUSY = "packets are being watched already"


def host_number(octets):
    """A number as bpftool prints those that it knows no type of."""
    return int.from_bytes([int(o, 16) for o in octets], sys.byteorder)


class WatchCase(LabCase):
    rules = RULES

    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG + self.rules)
        self.lab.start_daemon()

    def generation(self):
        return self.lab.api("/v1/status")["generation"]

    def watch(self, *words, text=True, out=subprocess.PIPE, errors=subprocess.PIPE):
        """Starts evnf, which watches when this returns."""
        before = self.generation()
        process = subprocess.Popen(
            [self.lab.build / "tools/evnf", "--name", self.lab.name, "--run-dir",
             self.lab.dir / "run", *map(str, words)],
            stdout=out, stderr=errors, text=text)
        self.lab.processes.append(process)
        for stream in filter(None, (process.stdout, process.stderr)):
            self.addCleanup(stream.close)
        self.wait_for(lambda: process.poll() is not None or self.generation() > before)
        return process

    def end(self, process):
        """What it has printed."""
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        return out

    def kill(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        return process.communicate(timeout=60)

    def load(self):
        """For as long as it takes: check_load() ends it."""
        wrk = subprocess.Popen(
            self.lab.client.command(["wrk", "-t2", "-c32", "-d600s", f"http://{VIP}/"]),
            stdout=subprocess.PIPE, text=True)
        self.lab.processes.append(wrk)
        self.addCleanup(wrk.stdout.close)
        time.sleep(0.5)
        return wrk

    def check_load(self, wrk):
        self.assertIsNone(wrk.poll(), "the load ended before its time")
        wrk.send_signal(signal.SIGINT)
        out = wrk.communicate()[0]
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)
        self.assertGreater(int(re.search(r"(\d+) requests in", out).group(1)), 1000)

    def stage_program(self, place):
        """Size of the program in force at a place, by its whole name."""
        chain, name = place.split("/")
        slot = next(p["slot"] for c in self.lab.api("/v1/plan") if c["name"] == chain
                    for p in c["places"] if p["place"] == name)
        tables = sorted(Path(PIN_DIR, self.lab.name).glob("abi*/gen/*"), key=lambda p: int(p.name))
        dump = json.loads(self.lab.run(["bpftool", "-j", "map", "dump", "pinned",
                                        tables[-1] / "slot_programs"]).stdout)
        number = next(host_number(e["value"]) for e in dump if host_number(e["key"]) == slot)
        return json.loads(self.lab.run(["bpftool", "-j", "prog", "show", "id",
                                        number]).stdout)["bytes_xlated"]
