#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes what is sent to a port of 127.0.0.1, by one sender after the other, into a file each."""
import socket
import sys


def main():
    protocol, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if protocol == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, \
                open(f"{name}.0", "wb", buffering=0) as out:
            s.bind(("127.0.0.1", port))
            while True:
                out.write(s.recv(65536))
    with socket.create_server(("127.0.0.1", port)) as listener:
        for n in range(1 << 30):
            connection, _ = listener.accept()
            with connection, open(f"{name}.{n}", "wb", buffering=0) as out:
                while data := connection.recv(65536):
                    out.write(data)


if __name__ == "__main__":
    main()
