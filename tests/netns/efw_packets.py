# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets as efw's tests send them, with right checksums."""
import socket
import struct

TCP, UDP, ICMP, GRE, ICMP6 = 6, 17, 1, 47, 58
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def segment(src, dst, proto, data, at):
    """With the checksum that covers the pseudo-header too."""
    pseudo = packed(src) + packed(dst) + struct.pack("!II", len(data), proto)
    return data[:at] + struct.pack("!H", checksum(pseudo + data)) + data[at + 2:]


def tcp(src, dst, flags, payload=b"", doff=5, options=b"", seq=0x01020304):
    header = struct.pack("!HHIIBBHHH", 4000, 7, seq, 0x0a0b0c0d, doff << 4, flags, 512, 0, 0)
    return segment(src, dst, TCP, header + options + payload, 16)


def udp(src, dst, size, port=7):
    payload = bytes(i % 251 for i in range(size))
    return segment(src, dst, UDP, struct.pack("!HHHH", 4000, port, 8 + size, 0) + payload, 6)


def icmp(kind, code, rest=b"\0\0\0\0abcdefgh"):
    data = struct.pack("!BBH", kind, code, 0) + rest
    return data[:2] + struct.pack("!H", checksum(data)) + data[4:]


def icmp6(src, dst, kind, code, rest=b"\0\0\0\0abcdefgh"):
    return segment(src, dst, ICMP6, struct.pack("!BBH", kind, code, 0) + rest, 2)


def ip4(src, dst, proto, data, frag=0, tos=0):
    header = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(data), 0x1234, frag, 64, proto, 0)
    header += packed(src) + packed(dst)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + data


def ip6(src, dst, proto, data):
    return struct.pack("!IHBB", 6 << 28, len(data), proto, 64) + packed(src) + packed(dst) + data
