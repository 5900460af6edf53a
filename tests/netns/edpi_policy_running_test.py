#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""edpi's policies come and go while flows run, and act from the next packet on."""
from case import main
from edpi_web import EdpiWebCase

WAYS = """
[[chain]]
name = "in"
path = "in(cli0) -> edpi { way1 -> efw -> out; otherwise -> out }"

[[chain]]
name = "back"
path = "in(srv1) -> edpi -> out"

[efw]
rules = ["tcp dport 8000 accept"]

[edpi]
flows = 1024
"""
# curl's --limit-rate takes megabytes at once, and then nothing for as long as that is too fast.
READ_SLOWLY = """
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.connect(("10.0.11.2", 8000))
s.sendall(b"GET /big HTTP/1.1\\r\\nHost: 10.0.11.2\\r\\n\\r\\n")
with open(sys.argv[1], "wb", buffering=0) as out:
    while data := s.recv(20000):
        out.write(data)
        time.sleep(0.05)
"""


class EdpiPolicyRunningTest(EdpiWebCase):
    def running(self):
        """A download that lasts, and how much it has."""
        out = self.lab.dir / "running"
        reader = self.lab.client.start("python3", "-c", READ_SLOWLY, out, log="reader.log")
        self.assertTrue(self.until(lambda: self.lab.evnf_json("edpi", "flows", "--port", "8000",
                                                              "--state", "classified")))
        return reader, lambda: out.stat().st_size if out.exists() else 0

    def check_drop(self):
        """Of a running flow, from the next packet on, until it is taken back."""
        reader, size = self.running()
        self.lab.evnf("edpi", "policy", "add", "web", "drop", "--application", "HTTP")
        passed = self.reason("back", "edpi", "next")
        self.assertTrue(self.until(lambda: self.policies()["web"]["dropped_packets"] > 2))
        self.assertEqual(self.reason("back", "edpi", "next"), passed)
        stalled = size()
        self.assertIn("HTTP", self.lab.evnf("edpi", "policy", "list").stdout)
        self.lab.evnf("edpi", "policy", "del", "web")
        self.assertTrue(self.until(lambda: size() > stalled + 100_000))
        reader.terminate()
        reader.wait()
        self.wait_until_closed()

    def check_send(self):
        """By another way of the chain: what is of another application is not there."""
        before = self.reason("in", "efw", "next")
        astray = self.lab.evnf("edpi", "policy", "add", "web", "send", "--application", "HTTP",
                               "--to", "way2", check=False)
        self.assertEqual(astray.returncode, 2)
        self.assertIn("policy 'web' sends packets to way2, which no chain's path leads anywhere",
                      astray.stderr)
        self.assertEqual(self.policies(), {})
        self.lab.evnf("edpi", "policy", "add", "web", "send", "--application", "HTTP", "--to",
                      "way1")
        self.assertEqual(self.download(), self.digest)
        self.wait_until_closed()
        sent = self.reason("in", "edpi", "way1")
        self.assertGreater(sent, 10)
        self.assertEqual(self.tls("www.example.org", 30003), "small")
        self.assertEqual(self.reason("in", "edpi", "way1"), sent)
        self.assertEqual(self.reason("in", "efw", "next") - before, sent)

    def check_limit(self):
        self.lab.evnf("edpi", "policy", "set", "web", "limit", "--category", "Web", "--rate",
                      "80 mbit/s", "--burst", "20000")
        self.assertEqual(self.curl("http://10.0.11.2:8000/small"), "small")

        def dropped():
            self.lab.client.run("curl", "-s", "-m", "20", "-o", "/dev/null", "-r", "0-1000000",
                                "http://10.0.11.2:8000/big")
            return self.policies()["web"]["dropped_packets"]
        self.assertTrue(self.until(dropped))
        self.wait_until_closed()
        web = self.policies()["web"]
        self.assertGreater(web["packets"], web["dropped_packets"])
        self.assertEqual(self.reason("in", "edpi", "policy_limit") +
                         self.reason("back", "edpi", "policy_limit"), web["dropped_packets"])

    def test_policies_act_at_once(self):
        self.start(chains=WAYS)
        self.check_drop()
        self.check_send()
        self.check_limit()


if __name__ == "__main__":
    main()
