# SPDX-License-Identifier: GPL-2.0-or-later
"""A host whose packets are watched on their way."""
import json
import signal
import subprocess
import sys
from pathlib import Path

from case import LabCase
from lab import CONFIG, PATIENCE, PIN_DIR, VIP

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
        self.after = {}  # the generation without them, of those who watch
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
        self.after[process] = before + 2
        return process

    def wait_until_over(self, process):
        """Until nobody watches any more: the next to come would be taken to watch before it does."""
        self.wait_for(lambda: self.generation() >= self.after[process])

    def end(self, process):
        """What it has printed."""
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        self.wait_until_over(process)
        return out

    def kill(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        return process.communicate(timeout=PATIENCE)

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
