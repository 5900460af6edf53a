# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests whose clients keep connections open, and say what they hear on them."""
import subprocess
from pathlib import Path

import elb_ends
from case import LabCase

ENDS = Path(elb_ends.__file__).resolve()


class TalkCase(LabCase):
    def ends(self, host, *words):
        return host.start("python3", ENDS, *words, log="ends.log")

    def piped(self, host, *words):
        process = subprocess.Popen(host.command(["python3", "-u", str(ENDS), *map(str, words)]),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.lab.processes.append(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            self.addCleanup(pipe.close)
        return process

    def talker(self):
        process = self.piped(self.lab.client, "talk")

        def say(*words):
            process.stdin.write(" ".join(map(str, words)) + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()
        return say
