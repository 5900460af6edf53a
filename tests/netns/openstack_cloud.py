# SPDX-License-Identifier: GPL-2.0-or-later
"""Two networks of a cloud on this machine, and the frames that a port chain makes of packets.

    client ─┐                        ┌─ server1
    efw ────┤ clients  (switch)  servers ├─ server2
    elb ────┴────── elb, efw ────────┘

The switch is a bridge for each network. A port chain takes the packets of a classifier where
they come out of a port, gives them the MAC address of the next hop's port and puts them into
that, whatever their destination was; nothing else of them changes, and at the chain's end they
are switched as usual. So does the agent of networking-sfc for hops without correlation.
"""
import json
import os
import subprocess
from pathlib import Path

from lab import PIN_DIR, Host, Lab

OPENSTACK = Path(__file__).resolve().parents[2] / "openstack"
VIP = "10.0.1.10"
# Of a router that is not there: what a chain takes does not need it.
NOWHERE = "fa:16:3e:ff:ff:ff"

# Frames that leave by a port of the switch, which is to say those that its VM gets; until its
# input ends.
LISTEN = """
import json, select, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1], 0))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: all that leaves has room
mac = lambda b: ":".join("%02x" % x for x in b)
print("ready", flush=True)
while s in select.select([s, sys.stdin], [], [])[0]:
    frame, (_, _, kind, _, _) = s.recvfrom(65536)
    if kind == socket.PACKET_OUTGOING and frame[12:14] == b"\\x08\\x00" and frame[23] == 6:
        print(json.dumps({"dst": mac(frame[:6]), "src": mac(frame[6:12]), "ttl": frame[22],
                          "from": socket.inet_ntoa(frame[26:30]),
                          "to": socket.inet_ntoa(frame[30:34])}), flush=True)
"""


class Vm(Lab):
    """A host with a daemon of its own, set up by evnf-vm as cloud-init would do."""

    def __init__(self, cloud, name):
        super().__init__(cloud.build, prefix=cloud.prefix)
        self.vnf = Host(self, name)
        self.name = self.vnf.netns
        self.dir = cloud.dir / name
        self.dir.mkdir()
        self.processes = cloud.processes

    def evnf_vm(self, verb, check=True):
        return self.vnf.run(OPENSTACK / "evnf-vm", verb, check=check,
                            env={**os.environ, "EVNF_ETC": str(self.dir)})

    def begin(self, config, ports, vip_port=None, **words):
        """Starts evnfd with a file of openstack/config, or a text, as user-data brings it."""
        text = (OPENSTACK / "config" / config).read_text() if config.endswith(".toml") else config
        # A check every two seconds makes a long test.
        text = text.replace("[elb.health]", "[elb.health]\ninterval = 0.2")
        for word in sorted(words, key=len, reverse=True):
            text = text.replace(word, str(words[word]))
        (self.dir / "evnf.toml.in").write_text(text)
        (self.dir / "vm.conf").write_text(
            f"PORTS='{' '.join(self.vnf.mac(p) for p in ports)}'\n"
            f"VIPS='{VIP if vip_port else ''}'\n"
            f"VIP_PORT='{self.vnf.mac(vip_port) if vip_port else ''}'\n")
        self.evnf_vm("config")
        self.evnf_vm("network")
        self.config = self.dir / "evnf.toml"
        self.start_daemon()

    def end(self):
        if self.daemon and self.daemon.poll() is None:
            self.kill_daemon()
        if (Path(PIN_DIR) / self.name).exists():
            self.vnf.run(self.evnfd, "--detach", *self.daemon_args(), check=False)


class Cloud(Lab):
    def __init__(self, build):
        super().__init__(build)
        self.hosts = {n: Host(self, n)
                      for n in ("switch", "client", "efw", "elb", "ids", "server1", "server2")}
        self.switch = self.hosts["switch"]
        self.client = self.hosts["client"]
        self.servers = [self.hosts["server1"], self.hosts["server2"]]
        self.vms = []
        self.chains = 0

    def start(self):
        self.begin_hosts()
        for network in ("clients", "servers"):
            self.switch.run("ip", "link", "add", network, "type", "bridge", "forward_delay", "0")
            self.switch.run("ip", "link", "set", network, "up")
        self.plug("clients", self.client, "eth0", "10.0.1.100", gateway=True)
        self.plug("servers", self.servers[0], "eth0", "10.0.20.11")
        self.plug("servers", self.servers[1], "eth0", "10.0.20.12")
        for server in self.servers:
            server.run("ip", "route", "add", "default", "via", "10.0.20.1")
            self.start_nginx(server)

    def vm(self, name):
        vm = Vm(self, name)
        self.vms.append(vm)
        return vm

    def plug(self, network, host, port, address=None, gateway=False):
        """A port of the network for the host, called `port` there and HOST-PORT in the switch."""
        end = f"{host.name}-{port}"
        self.run(["ip", "link", "add", end, "netns", self.switch.netns, "type", "veth",
                  "peer", "name", port, "netns", host.netns])
        self.switch.run("ip", "link", "set", end, "master", network, "up")
        if address:
            host.run("ip", "addr", "add", f"{address}/24", "dev", port)
        host.run("ip", "link", "set", port, "up")
        for at, interface in ((self.switch, end), (host, port)):
            # A veth takes frames that XDP sends only if its end polls, as with GRO it does.
            at.run("ethtool", "-K", interface, "gro", "on")
        if gateway:
            net = address.rsplit(".", 1)[0]
            host.run("ip", "route", "add", "default", "via", f"{net}.1")
            host.run("ip", "neigh", "add", f"{net}.1", "lladdr", NOWHERE, "dev", port)

    def port_chain(self, match, source, hops):
        """Leads what `match` says, in nft's words, from a port of the switch to the hops: pairs
        of the ports (host, port) by which it goes in and comes out again."""
        self.chains += 1
        table = f"chain{self.chains}"
        text = f"table netdev {table} {{\n"
        for i, (into, _) in enumerate(hops):
            at = source if i == 0 else hops[i - 1][1]
            # As in a switch that has learned nothing else, what is in the chain is not bridged.
            text += (f'chain from_{i} {{ type filter hook ingress device "{self.end_of(at)}" '
                     f"priority 0; {match} ether daddr set {into[0].mac(into[1])} "
                     f'counter fwd to "{self.end_of(into)}"\n}}\n')
        self.switch.run("nft", "-f", "-", input=text + "}\n")
        return table

    def copy_to(self, match, source, tap):
        """A hop that is only a tap: it gets copies, with the MAC addresses that they had."""
        text = (f'table netdev tap {{ chain c {{ type filter hook ingress device '
                f'"{self.end_of(source)}" priority -1; {match} dup to "{self.end_of(tap)}"\n}}\n}}\n')
        self.switch.run("nft", "-f", "-", input=text)

    @staticmethod
    def end_of(port):
        return f"{port[0].name}-{port[1]}"

    def steered(self, table):
        """How many packets each hop of a chain was given."""
        out = json.loads(self.switch.run("nft", "-j", "list", "table", "netdev", table).stdout)
        rules = [o["rule"] for o in out["nftables"] if "rule" in o]
        rules.sort(key=lambda r: r["chain"])
        return [e["counter"]["packets"] for r in rules for e in r["expr"] if "counter" in e]

    def listen(self, host, port):
        process = subprocess.Popen(
            self.switch.command(["python3", "-uc", LISTEN, self.end_of((host, port))]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    @staticmethod
    def heard(process):
        out, _ = process.communicate()
        return [json.loads(line) for line in out.splitlines()]

    def tear_down(self):
        for vm in self.vms:
            vm.end()
        super().tear_down()
