# SPDX-License-Identifier: GPL-2.0-or-later
"""Datagrams with numbers, and how often each arrived. Nothing here is about how fast: who
receives is told what is to come, and who sends many at once waits for those before."""
import json
import subprocess

# Sends a datagram for each (number, text) of each line that comes.
SEND = """
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    for i, words in json.loads(line):
        s.sendto(i.to_bytes(4, "big") + words.encode().ljust(40, b"n"), (sys.argv[1], 9000))
    print("sent", flush=True)
"""
# Sends on until a line comes: the numbers count on, the texts come in turn. Who is late does not
# make up for it: no link takes as many at once as come together then.
STREAM = """
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
words, pause, n = sys.argv[2].encode().split(b","), float(sys.argv[3]), 0
while not select.select([sys.stdin], [], [], pause)[0]:
    s.sendto(n.to_bytes(4, "big") + words[n % len(words)].ljust(40, b"n"), (sys.argv[1], 9000))
    n += 1
print(n)
"""
# For each line "NUMBERS SILENCE": goes on until so many numbers have come, or none for a long
# time, and then until none has come for so many seconds.
RECEIVE = """
import collections, json, select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: all that comes has room
s.bind(("0.0.0.0", 9000))
print("ready", flush=True)
seen = collections.Counter()
for line in sys.stdin:
    numbers, silence = line.split()
    while select.select([s], [], [], 30 if len(seen) < int(numbers) else float(silence))[0]:
        seen[int.from_bytes(s.recv(2000)[:4], "big")] += 1
    print(json.dumps(seen), flush=True)
"""
AT_ONCE = 50  # that no queue on the way is too short for


class Program:
    """One in a namespace that answers lines with a line each."""

    def __init__(self, lab, host, script, *args):
        self.process = subprocess.Popen(
            host.command(["python3", "-uc", script, *map(str, args)]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lab.processes.append(self.process)

    def line(self):
        return self.process.stdout.readline().strip()

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Receiver(Program):
    def __init__(self, lab, host):
        super().__init__(lab, host, RECEIVE)
        if self.line() != "ready":
            raise OSError("the receiver does not listen")

    def seen(self, numbers, silence):
        """How often each number has come, once so many have and then none for some seconds."""
        return {int(i): n for i, n in json.loads(self.say(f"{numbers} {silence}")).items()}


def stream(lab, client, server, words, change, pause, to="10.0.11.2"):
    """Sends datagrams, so many seconds after another, while something changes; how many were
    sent, and how often each has come."""
    receiver = Receiver(lab, server)
    sender = Program(lab, client, STREAM, to, ",".join(words), pause)
    change()
    sent = int(sender.say("stop"))
    seen = receiver.seen(sent, 0.3)
    sender.end()
    receiver.end()
    return sent, seen


def deliver(lab, client, server, packets, wanted, silence=0.3, to="10.0.11.2"):
    """Sends a datagram for each text; how often each has come, of `wanted` that are to come."""
    receiver, sender = Receiver(lab, server), Program(lab, client, SEND, to)
    numbered, none_lost = list(enumerate(packets)), True
    for first in range(0, len(packets), AT_ONCE):
        sender.say(json.dumps(numbered[first:first + AT_ONCE]))
        so_far = min(first + AT_ONCE, wanted)
        none_lost = none_lost and len(receiver.seen(so_far, 0)) >= so_far
    seen = receiver.seen(wanted, silence)
    sender.end()
    receiver.end()
    return seen
