#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of elb's connections run inside namespaces: servers, and clients that are
told what to do line by line on standard input and answer with a line each."""
import hashlib
import random
import select
import selectors
import socket
import struct
import sys
import threading
import time

BLOCK = 1 << 20


def block(number):
    """The n-th part of what every server sends to who asks for bytes."""
    return random.Random(number).randbytes(BLOCK)


def digest(blocks):
    out = hashlib.sha256()
    for number in range(blocks):
        out.update(block(number))
    return out.hexdigest()


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


# -- servers

def serve(name, port):
    """Each line of a client is answered with this server's name and the line; "send PAUSE" with
    block after block, so many seconds apart, until another line comes."""
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=4096,
                                    dualstack_ipv6=True)
    while True:
        threading.Thread(target=serve_one, args=(name, listener.accept()[0]), daemon=True).start()


def serve_one(name, peer):
    try:
        for line in peer.makefile("r"):
            words = line.split()
            if words[0] != "send":
                peer.sendall(f"{name} {line}".encode())
                continue
            number = 0
            while not select.select([peer], [], [], float(words[1]))[0]:
                peer.sendall(block(number))
                number += 1
            peer.recv(4096)  # what is left unread would make a reset of the end
            break
    except OSError:
        pass
    peer.close()


def serve_udp(name, port):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind(("::", port))
        while True:
            data, peer = s.recvfrom(65535)
            s.sendto(name.encode() + b" " + data, peer)


# -- clients

def connect(address, port, source_port=0):
    s = socket.socket(family_of(address))
    s.settimeout(60)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if source_port:
        s.bind(("", source_port))
    s.connect((address, port))
    return s


def ask(s, line):
    s.sendall(line.encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        part = s.recv(4096)
        if not part:
            raise OSError("closed")
        answer += part
    name, said = answer.decode().split(maxsplit=1)
    if said.rstrip() != line:
        raise OSError(f"asked {line}, answered {said}")
    return name


def close(s):
    """Both ways, and sees the other side do so."""
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096):
        pass
    s.close()


def talk():
    """open ID ADDRESS PORT [SOURCE_PORT] | ask ID | close ID: the answering server, ok, or
    what went wrong. IDs may be A-B: the number of each answer."""
    open_now = {}
    for line in sys.stdin:
        what, ids, *more = line.split()
        first, _, last = ids.partition("-")
        answers = {}
        for i in range(int(first), int(last or first) + 1):
            try:
                if what == "open":
                    open_now[i] = connect(more[0], *map(int, more[1:]))
                if what == "close":
                    close(open_now.pop(i))
                    answer = "ok"
                else:
                    answer = ask(open_now[i], f"hello from {i}")
            except OSError as e:
                answer = f"failed: {e}"
            answers[answer] = answers.get(answer, 0) + 1
        print(", ".join(f"{n} {a}" for a, n in sorted(answers.items())), flush=True)


def download(address, port, least, pause):
    """At least so many blocks, and until a line comes on standard input."""
    s = connect(address, port)
    print(ask(s, "who"), flush=True)
    s.sendall(f"send {pause}\n".encode())
    got, size, more = hashlib.sha256(), 0, True
    while part := s.recv(1 << 16):
        got.update(part)
        size += len(part)
        if more and size >= least * BLOCK and select.select([sys.stdin], [], [], 0)[0]:
            s.sendall(b"enough\n")
            more = False
    print(size, got.hexdigest())


def echo(address, port, size):
    """The server that gave so many bytes back as they were."""
    print(ask(connect(address, port), "x" * size))


def query(address, port, sources, count):
    """Datagrams from many addresses and ports, each sent again until it is answered: how many
    were, and whether none had another's answer."""
    waiting, poll = {}, selectors.DefaultSelector()
    for i in range(count):
        s = socket.socket(family_of(address), socket.SOCK_DGRAM)
        s.bind((sources[i % len(sources)], 0))
        s.connect((address, port))
        poll.register(s, selectors.EVENT_READ)
        waiting[s] = f"query {i}".encode()
    answered, wrong, end = 0, 0, time.monotonic() + 60
    while waiting and time.monotonic() < end:
        for s, text in waiting.items():
            s.send(text)
        while ready := poll.select(0.5):
            for key, _ in ready:
                s = key.fileobj
                wrong += s.recv(2000).split(b" ", 1)[1] != waiting.pop(s)
                answered += 1
                poll.unregister(s)
                s.close()
    print(answered, wrong)


def exchange(address, port, size, count):
    """Datagrams of random bytes, longer than a packet, each from a port of its own: how many
    came back whole after the answering server's name, and of what digest all were and came."""
    sent, came, answered = hashlib.sha256(), hashlib.sha256(), 0
    dice = random.Random(size)
    for _ in range(count):
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
            s.settimeout(30)
            s.connect((address, port))
            data = dice.randbytes(size)
            sent.update(data)
            s.send(data)
            try:
                came.update(s.recv(65535).split(b" ", 1)[1])
                answered += 1
            except TimeoutError:
                pass
    print(answered, sent.hexdigest(), came.hexdigest())


def named(address, port):
    """Which server answers datagrams, until it has answered thrice."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.settimeout(0.5)
        s.connect((address, port))
        names = []
        for _ in range(120):
            try:
                s.send(b"who?")
                names.append(s.recv(2000).split()[0].decode())
            except OSError:
                continue
            if len(names) == 3:
                break
        print(*sorted(set(names)))


def refused(address, port):
    """What a connected UDP socket hears of a port on which nobody listens."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.settimeout(0.5)
        s.connect((address, port))
        for _ in range(120):
            try:
                s.send(b"anybody?")
                print("answered", s.recv(2000))
                return
            except TimeoutError:
                continue
            except OSError as e:
                print(e.strerror)
                return
    print("nothing")


def words_sum(data):
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def folded(total):
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def flood(interface, mac, address, port, least):
    """SYNs as of a whole network, as fast as they go; at least so many, and until a line comes
    on standard input."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((interface, 0))
    s.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    ethernet = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("020000000099") + b"\x08\x00"
    to = socket.inet_aton(address)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0)
    ip_sum = words_sum(ip) + words_sum(to)
    tcp_sum = words_sum(to) + 6 + 20 + port + 0x5002 + 0xffff
    dice = random.Random(1)
    sent = 0
    while sent < least or sent % 1000 or not select.select([sys.stdin], [], [], 0)[0]:
        high, low = 0xc612 | dice.getrandbits(1), dice.getrandbits(16)  # 198.18.0.0/15
        sport, seq = dice.randrange(1024, 65536), dice.getrandbits(32)
        tcp = tcp_sum + high + low + sport + (seq >> 16) + (seq & 0xffff)
        try:
            s.send(ethernet + ip[:10] +
                   struct.pack("!HHH", folded(ip_sum + high + low), high, low) + to +
                   struct.pack("!HHIIHHHH", sport, port, seq, 0, 0x5002, 0xffff, folded(tcp), 0))
            sent += 1
        except OSError:  # no room for it just now
            pass
    print(sent)


def datagram(address, port, source_port):
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.bind(("", source_port))
        s.sendto(b"hello", (address, port))


def too_big(address, port, source, source_port, mtu):
    """Says that an answer from there to this datagram was too big for some link."""
    ports = struct.pack("!HHHH", port, source_port, mtu + 100, 0)
    at, to = (socket.inet_pton(family_of(a), a) for a in (address, source))
    if family_of(address) == socket.AF_INET:
        quoted = struct.pack("!BBHHHBBH", 0x45, 0, mtu + 120, 1, 0x4000, 64, 17, 0) + at + to
        message = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted + ports
        total = sum(struct.unpack(f"!{len(message) // 2}H", message))
        message = message[:2] + struct.pack("!H", folded(total)) + message[4:]
        kind = socket.IPPROTO_ICMP
    else:
        quoted = struct.pack("!IHBB", 6 << 28, mtu + 100, 17, 64) + at + to
        message = struct.pack("!BBHI", 2, 0, 0, mtu) + quoted + ports
        kind = socket.IPPROTO_ICMPV6  # the kernel sums it
    with socket.socket(family_of(address), socket.SOCK_RAW, kind) as s:
        s.sendto(message, (address, 0))


def main():
    what, *more = sys.argv[1:]
    if what in ("serve", "serve_udp"):
        {"serve": serve, "serve_udp": serve_udp}[what](more[0], int(more[1]))
    elif what == "talk":
        talk()
    elif what == "download":
        download(more[0], int(more[1]), int(more[2]), float(more[3]))
    elif what == "echo":
        echo(more[0], int(more[1]), int(more[2]))
    elif what == "query":
        query(more[0], int(more[1]), more[3:], int(more[2]))
    elif what == "named":
        named(more[0], int(more[1]))
    elif what == "exchange":
        exchange(more[0], *map(int, more[1:]))
    elif what == "refused":
        refused(more[0], int(more[1]))
    elif what == "datagram":
        datagram(more[0], int(more[1]), int(more[2]))
    elif what == "too_big":
        too_big(more[0], int(more[1]), more[2], int(more[3]), int(more[4]))
    elif what == "flood":
        flood(more[0], more[1], more[2], int(more[3]), int(more[4]))


if __name__ == "__main__":
    main()
