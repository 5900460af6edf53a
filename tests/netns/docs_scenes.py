# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pages of the documentation need around their commands, and what cannot be run.

A page's class has a lab, and a method for each `<!-- lab: SCENE -->` of the page.
"""
import re
import socket
import struct
import time
from pathlib import Path

from docs_lab import CONFIG, DocsLab, OneHostLab
from docs_page import Page

SOURCE = Path(__file__).resolve().parents[2]


class Scenes:
    def __init__(self):
        self.lab = DocsLab()


class Readme(Scenes):
    def ports(self):
        """The interface of the page, which is another machine's."""
        self.lab.vnf.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0p")
        self.lab.vnf.run("ip", "link", "set", "eth0", "up")


def ipv4(source, destination, sport, dport):
    """An IPv4 datagram of UDP without payload."""
    head = (struct.pack(">BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0) +
            socket.inet_aton(source) + socket.inet_aton(destination))
    total = sum(struct.unpack(">10H", head))
    head = head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + head[12:]
    return head + struct.pack(">HHHH", sport, dport, 8, 0)


class EfwAnalysis(Scenes):
    def some_pcap(self):
        """Three datagrams of the client, and an ARP request."""
        to = bytes.fromhex(self.lab.vnf.mac("cli0").replace(":", ""))
        frames = [to + bytes.fromhex("020000000001" "0800") + ipv4(*flow) for flow in (
            ("10.0.1.2", "10.0.11.2", 4000, 53), ("10.0.1.2", "10.0.11.2", 4000, 99),
            ("10.0.1.66", "10.0.11.2", 4000, 99))]
        frames.append(b"\xff" * 6 + bytes.fromhex("020000000001" "0806") + bytes(46))
        with open(self.lab.here / "some.pcap", "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
            for data in frames:
                out.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


TLS = """
pid {dir}/tls.pid; error_log {dir}/tls.err; daemon on; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 443 ssl; ssl_certificate {dir}/cert; ssl_certificate_key {dir}/key;
            location / {{ return 200 "server1\\n"; }} }}
}}
"""


class Edpi(Scenes):
    def tls_server(self):
        folder = self.lab.dir
        self.lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key", "-out",
                      folder / "cert", "-subj", "/CN=x"])
        (folder / "tls.conf").write_text(TLS.format(dir=folder))
        self.lab.servers[0].run("nginx", "-c", folder / "tls.conf")

    def browse(self):
        """Web pages, from now on."""
        self.lab.client.start("bash", "-c", "while sleep .05; do curl -s http://10.0.11.2/; done",
                              log="browse.log")


# Says a share of a server's weight to whoever connects.
AGENT = """
import socket, sys
listener = socket.create_server(("", 9707))
while True:
    connection = listener.accept()[0]
    connection.sendall(sys.argv[1].encode() + b"\\n")
    connection.close()
"""
# Opens a connection from port 40000, and keeps it when both sides have said something.
HOLD = """
import socket, sys, time
s = socket.create_connection(("192.0.2.10", 80), source_address=("", 40000))
s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(len(s.recv(1000)), flush=True)
time.sleep(1000)
"""


class Elb(Scenes):
    def as_elb(self):
        """The configuration of another page."""
        page = Page(SOURCE / "docs/elb.md", "docs/elb.md")
        CONFIG.write_text(next(b for b in page.blocks if ("file", str(CONFIG)) in b.marks).text())

    def agents(self):
        for server, share in zip(self.lab.servers, ("25%", "90%")):
            server.start("python3", "-c", AGENT, share, log="agents.log")

    def hold(self):
        """A connection with server1, which stays."""
        self.lab.evnf("elb", "backend", "set", "tcp", "192.0.2.10:80", "10.0.12.2", "weight", "0")
        log = self.lab.dir / "hold.log"
        self.lab.client.start("python3", "-c", HOLD, log=log.name)
        end = time.monotonic() + 60
        while not log.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        self.lab.evnf("elb", "backend", "set", "tcp", "192.0.2.10:80", "10.0.12.2", "weight", "1")


class Chains(Scenes):
    def browse(self):
        """Web pages, from now on."""
        self.lab.client.start("bash", "-c", "while sleep .1; do curl -s http://192.0.2.10/; done",
                              log="browse.log")


class Troubleshooting(Scenes):
    def others(self):
        """Two interfaces more, one with somebody else's XDP program."""
        self.lab.vnf.run("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
        for name in ("other0", "other1"):
            self.lab.vnf.run("ip", "link", "set", name, "up")
        pin = "/sys/fs/bpf/accept"
        self.lab.run(["bpftool", "prog", "load", self.lab.build / "tests/accept.bpf.o", pin, "type",
                      "xdp"])
        self.lab.vnf.run("ip", "link", "set", "dev", "other1", "xdp", "pinned", pin)

    def questions(self):
        self.lab.client.start("bash", "-c", "while sleep .1; do echo > /dev/udp/10.0.11.2/53; done",
                              log="questions.log")


class Tutorial(Scenes):
    """Which makes its hosts itself."""

    def __init__(self):
        self.lab = OneHostLab()


PAGES = {
    "docs/chains.md": Chains,
    "README.md": Readme,
    "docs/edpi.md": Edpi,
    "docs/efw.md": Scenes,
    "docs/elb.md": Elb,
    "docs/troubleshooting.md": Troubleshooting,
    "docs/tutorial.md": Tutorial,
    "docs/elb-health.md": Elb,
    "docs/efw-analysis.md": EfwAnalysis,
    "docs/efw-offload.md": Scenes,
}

# (page, command, reason), both patterns of the whole.
INSTALLS = "installs, builds or measures; ./run help says how long that takes"
CLOUD = "needs a cloud; ./run openstack-check has OpenStack's own programs judge them"
NOT_RUN = [(re.compile(page), re.compile(command, re.S), why) for page, command, why in (
    ("HACKING.md", r"(sudo )?(\./run|meson test|build/tests/|EVNF_BUILD=build python3 tests/).*",
     "they run the tests, of which this is one"),
    ("README.md", r"sudo \./run (demo|test).*", INSTALLS),
    ("docs/(edpi|performance).md", r"(sudo )?\./run bench .*", INSTALLS),
    ("docs/edpi.md", "nfdump .*", "edpi_export_test.py has nfcapd and nfdump"),
    ("docs/elb.md", r"ip link add t4 .*|sysctl -w net.ipv4.conf.t4.*",
     "not every kernel has tunnels; elb_direct_test.py does without"),
    ("docs/packages.md", r"(sudo )?\./run package.*", INSTALLS),
    ("docs/packages.md", r"(apt|editor|evnfd --check|systemctl|usermod|journalctl) .*",
     "needs a machine with systemd; ./run package-test has one"),
    ("docs/packages.md", r"(chmod|snmp[a-z]+) .*",
     "needs snmpd as a service; ./run package-test has one, agentx_test.py one of its own"),
    ("docs/preflight.md", ".*", "shown as a guest with virtio_net says it; preflight_test.py runs "
     "the same on interfaces that it makes"),
    ("docs/tutorial.md", "apt install .*", INSTALLS),
    ("(docs/tutorial|openstack/README).md",
     r"(openstack|\./deploy|export|security:deb|disk-image-create) .*", CLOUD),
    ("openstack/README.md", r"(evnf (status|elb backend list|chain show)|journalctl) ?.*", CLOUD),
)]


def not_run(page, command):
    """Why a command is not run, or None."""
    return next((why for of, what, why in NOT_RUN if of.fullmatch(page) and what.fullmatch(command)),
                None)
