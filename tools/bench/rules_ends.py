#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs in the client's namespace for rules.py: echoes by ICMP, and datagrams at a steady pace."""
import json
import os
import signal
import socket
import struct
import sys
import time

PACE = 1000  # datagrams a second: few enough for 50,000 rules in a list
FEW = 0.01   # of the echoes may be lost, on a machine that is busy


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def echo(source, destination, count):
    """Microseconds of each echo; the next begins when the last is there."""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.bind((source, 0))
    s.settimeout(1)
    ident, took, lost = os.getpid() & 0xffff, [], 0
    for number in range(int(count)):
        head = struct.pack("!BBHHH", 8, 0, 0, ident, number & 0xffff)
        request = head[:2] + struct.pack("!H", checksum(head)) + head[4:]
        begin = time.perf_counter_ns()
        s.sendto(request, (destination, 0))
        try:
            while s.recv(128)[24:28] != request[4:]:
                pass
            took.append((time.perf_counter_ns() - begin) / 1000)
        except TimeoutError:
            lost += 1
            if lost > FEW * int(count):
                sys.exit(f"{lost} of {number + 1} are not answered")
    print(json.dumps(took))


def pace(source, destination):
    """Sends until it is told to end; then says how many."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    s.connect((destination, 9))
    begin, sent = time.monotonic(), 0
    while not ended:
        while sent < (time.monotonic() - begin) * PACE and not ended:
            s.send(b"x" * 18)
            sent += 1
        time.sleep(0.5 / PACE)
    print(sent)


if __name__ == "__main__":
    {"echo": echo, "pace": pace}[sys.argv[1]](*sys.argv[2:])
