#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""log_journal.py EVNFD: under systemd evnfd's log goes to the journal with its fields, and else
where stderr leads.

A socket in the place of the journal's, in a mount namespace, says what journald would get.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

EVNFD = sys.argv[1]
WRONG = '[[chain]]\nname = "in"\npath = "in(eth0) -> nothing"\n'


def fields(datagram):
    """The journal's native protocol."""
    out = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            [size] = struct.unpack("<Q", datagram[:8])
            value, datagram = datagram[8:8 + size], datagram[9 + size:]
        out[name.decode()] = value.decode()
    return out


class Journal(unittest.TestCase):
    def setUp(self):
        os.makedirs("/run/systemd/journal")
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind("/run/systemd/journal/socket")
        self.journal.settimeout(0)
        self.addCleanup(os.removedirs, "/run/systemd/journal")
        self.addCleanup(os.unlink, "/run/systemd/journal/socket")
        self.addCleanup(self.journal.close)

    def log(self, *options, stream=None):
        """What evnfd writes to stderr, and to the journal, of a configuration that is wrong."""
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file, \
                tempfile.TemporaryFile("w+") as err:
            file.write(WRONG)
            file.flush()
            at = os.fstat(err.fileno())
            env = {**os.environ, "JOURNAL_STREAM": stream or f"{at.st_dev}:{at.st_ino}"}
            done = subprocess.run([EVNFD, "--check", "--name", "one", "--config", file.name,
                                   *options], env=env, stderr=err, check=False)
            self.assertEqual(done.returncode, 2)
            err.seek(0)
            try:
                return err.read(), fields(self.journal.recv(65536))
            except BlockingIOError:
                err.seek(0)
                return err.read(), None

    def test_the_journal_has_the_fields(self):
        said, entry = self.log()
        self.assertEqual(said, "")
        self.assertIn("'nothing'", entry["MESSAGE"])
        self.assertGreater(len(entry["MESSAGE"].splitlines()), 2)
        self.assertEqual((entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"], entry["EVNF_DAEMON"]),
                         ("3", "evnfd", "one"))

    def test_stderr_that_leads_elsewhere(self):
        said, entry = self.log(stream="1:2")
        self.assertTrue(said.startswith("evnfd: error: "), said)
        self.assertIsNone(entry)

    def test_what_is_asked_for_goes_to_stderr(self):
        said, entry = self.log("--log-format", "json")
        self.assertIsNone(entry)
        line = json.loads(said)
        self.assertEqual((line["level"], line["daemon"]), ("error", "one"))
        self.assertIn("'nothing'", line["message"])
        said, entry = self.log("--log-format", "text", "--log-level", "error")
        self.assertIsNone(entry)
        self.assertTrue(said.startswith("evnfd: error: "), said)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("a mount namespace needs root")
        sys.exit(1 if os.environ.get("EVNF_REQUIRE_BPF") else 77)
    if len(sys.argv) == 2:
        os.execvp("unshare", ["unshare", "-m", "sh", "-c",
                              'mount -t tmpfs tmpfs /run && exec "$0" "$@" there',
                              sys.executable, *sys.argv])
    unittest.main(argv=["log_journal"], verbosity=1)
