#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""edpi's records at collectors of others: nfcapd, and python3-ipfix behind a plain socket. What
they have read is what the interfaces have counted, and what JSON says of each flow."""
import csv
import io
import itertools
import json
import sys
from collections import Counter
from pathlib import Path

from case import main
from edpi_case import CHAINS, FLOOD, EdpiCase
from elb_case import listens

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, whichever python3 this is
import ipfix.ie  # noqa: E402  (found by the line above)
import ipfix.reader  # noqa: E402

COLLECTOR = Path(__file__).resolve().parent / "collector.py"
PORT = 4739
ETHERNET = 14


def setUpModule():
    ipfix.ie.use_iana_default()
    ipfix.ie.use_5103_default()


class ExportTest(EdpiCase):
    def begin(self, export, section="idle = 1\nclosed = 1\nactive = 1\n"):
        self.lab.write_config(CHAINS + f'export = "{export}"\n' + section)
        self.lab.start_daemon()
        self.began = self.passed()

    def collect(self, protocol):
        """Starts the collector, and waits until it listens."""
        process = self.lab.vnf.start("python3", COLLECTOR, protocol, str(PORT),
                                     str(self.lab.dir / "collected"), log="collector.log")
        listens(self.lab.vnf, PORT, protocol[0])
        return process

    def collected(self):
        """All data records, of each stream."""
        out = []
        for file in sorted(self.lab.dir.glob("collected*.*")):
            whole = file.read_bytes()
            size = 0  # of whole messages
            while size + 4 <= len(whole):
                length = int.from_bytes(whole[size + 2:size + 4], "big")
                if size + length > len(whole):
                    break
                size += length
            out += ipfix.reader.from_stream(io.BytesIO(whole[:size])).namedict_iterator()
        return out

    def told(self):
        """Packets and bytes of all flows, and those that had no room in the table."""
        packets = octets = lost_packets = lost_octets = 0
        for r in self.collected():
            if "packetDeltaCount" in r:
                packets += r["packetDeltaCount"] + r["reversePacketDeltaCount"]
                octets += r["layer2OctetDeltaCount"] + r["reverseLayer2OctetDeltaCount"]
            elif "ignoredPacketTotalCount" in r:
                lost_packets = max(lost_packets, r["ignoredPacketTotalCount"])
                lost_octets = max(lost_octets, r["ignoredLayer2OctetTotalCount"])
        return [packets + lost_packets, octets + lost_octets]

    def test_all_that_passed_is_in_ipfix_by_tcp(self):
        collector = self.collect("tcp")
        self.begin(f"ipfix-tcp:127.0.0.1:{PORT}")
        for _ in range(3):
            self.assertIsNotNone(self.curl("http://10.0.11.2/"))
            self.assertIsNotNone(self.curl("http://[fd00:11::2]/"))
        self.balance(self.began, self.told)
        # Nobody listens; then there is somebody again, who knows no templates.
        collector.kill()
        collector.wait()
        self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.wait_for(lambda: "records wait in the flow table" in
                      (self.lab.dir / "evnfd.log").read_text())
        for file in self.lab.dir.glob("collected.*"):
            file.rename(self.lab.dir / f"collected-before.{file.suffix[1:]}")
        self.collect("tcp")
        self.balance(self.began, self.told)
        # The flows of an evnfd that was killed are the next one's.
        self.assertIsNotNone(self.curl("http://10.0.11.2/"))
        self.lab.kill_daemon()
        self.lab.client.run("python3", "-c", FLOOD)
        self.lab.start_daemon()
        self.balance(self.began, self.told)

        records = self.collected()
        flows = [r for r in records if "packetDeltaCount" in r]
        self.assertTrue(any("ignoredPacketTotalCount" in r for r in records))
        names = {r["applicationId"]: r["applicationName"].rstrip("\0") for r in records
                 if "applicationName" in r}
        # RFC 6759: engine 20, the number of ntop's registry, nDPI's numbers; 7 is HTTP.
        self.assertEqual(names[bytes([20]) + (35632).to_bytes(4, "big") + bytes([0, 0, 0, 7])],
                         "HTTP")
        self.assertLessEqual({r["applicationId"] for r in flows}, set(names))
        for r in (r for r in flows if r["destinationTransportPort"] == 80):
            self.assertEqual(r["protocolIdentifier"], 6)
            self.assertEqual(r["biflowDirection"], 1)
            self.assertIn(r["flowEndReason"], (1, 2, 3, 4))
        self.assertLessEqual({"sourceIPv4Address", "sourceIPv6Address"},
                             {name for r in flows for name in r})

    def lines(self):
        """Records that evnf has printed whole."""
        text = (self.lab.dir / "json").read_text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def mark(self, port):
        """A flow to port 8080, which is not compared: whether its record has been printed."""
        self.assertEqual(self.curl("http://10.0.11.2:8080/", "--local-port", str(port)), "server1")
        return lambda: any(r.get("source_port") == port for r in self.lines())

    def test_nfdump_has_what_json_says(self):
        folder = self.lab.dir / "nfdump"
        folder.mkdir()
        nfcapd = self.lab.vnf.start("nfcapd", "-p", str(PORT), "-b", "127.0.0.1", "-w",
                                    str(folder), "-t", "3600", log="nfcapd.log")
        listens(self.lab.vnf, PORT, "u")
        self.begin(f"ipfix-udp:127.0.0.1:{PORT}")
        reader = self.lab.vnf.start(self.lab.build / "tools/evnf", "--name", self.lab.name,
                                    "--run-dir", self.lab.dir / "run", "--json", "edpi",
                                    "records", log="json")
        ports = itertools.count(30000)
        self.wait_for(lambda: self.mark(next(ports)) and self.lines())  # it reads from here on
        self.assertEqual(self.curl("http://10.0.11.2/"), "server1")
        self.assertEqual(self.curl("http://[fd00:11::2]/"), "server1")
        self.serve(5201, "iperf3", "-s")
        self.lab.client.run("iperf3", "-c", "10.0.11.2", "-n", "12M", "-b", "50M")

        # Of others, such as neighbour discovery, there may be more at any time.
        self.wait_for(lambda: not self.lab.evnf_json("edpi", "flows", "--protocol", "tcp"))
        self.wait_for(self.mark(29999))  # and what was before has been printed
        self.wait_for(lambda: self.lab.vnf.run("ss", "-Huln", f"sport = :{PORT}").stdout
                      .split()[1] == "0")  # nfcapd has read all
        reader.terminate()
        reader.wait()
        nfcapd.terminate()
        nfcapd.wait()
        theirs, ours = Counter(), Counter()
        for r in self.lines():
            if r.get("protocol") != "tcp" or r["destination_port"] == 8080:
                continue
            key = (r["source"], r.get("source_port", 0), r["destination"])
            for way, packets, octets in (("", r["packets"], r["bytes"]),
                                         ("back", r["packets_back"], r["bytes_back"])):
                ours[*key, "packets", way] += packets
                ours[*key, "octets", way] += octets - ETHERNET * packets
        dump = self.lab.run(["nfdump", "-R", folder, "-q", "-o",
                             "fmt:%sa,%sp,%da,%ipkt,%opkt,%ibyt,%obyt", "-6", "-N",
                             "proto tcp and not port 8080"]).stdout
        for row in csv.reader(line for line in dump.splitlines() if line.count(",") == 6):
            source, port, destination, *numbers = (cell.strip() for cell in row)
            key = (source, int(port), destination)
            for (what, way), n in zip((("packets", ""), ("packets", "back"), ("octets", ""),
                                       ("octets", "back")), numbers):
                theirs[*key, what, way] += int(n)
        self.assertEqual(theirs, ours)
        self.assertGreater(theirs.total(), 10_000_000)


if __name__ == "__main__":
    main()
