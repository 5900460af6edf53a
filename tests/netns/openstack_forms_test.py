#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The forms in which a port chain of networking-sfc brings packets to a VM, with the files of
openstack/ as cloud-init would install them: what the VMs get, what they send, who is reached."""
import time
import unittest

from case import BUILD, main
from lab import PATIENCE
from openstack_cloud import NOWHERE, VIP, Cloud

SERVICE = f"ip daddr {VIP} tcp dport 80"
BACKENDS = ",\n  ".join(f'{{ address = "10.0.20.{n}" }}' for n in (11, 12, 13, 14))
WORDS = {"VIP": VIP, "SERVICE_PORT": 80, "ADMIN_CIDR": "198.51.100.0/24", "BACKENDS": BACKENDS}
TWO_PORTS = """
[[chain]]
name = "forth"
path = "in(@IN_MAC@) -> efw -> out"
[[chain]]
name = "back"
path = "in(@OUT_MAC@) -> efw -> out"
[efw]
default = "drop"
rules = ["tcp dport 80 accept", "tcp sport 80 accept"]
"""
TAP = """
[[chain]]
name = "tap"
path = "in(@IN_MAC@) -> efw -> out"
[efw]
default = "accept"
"""


class FormsTest(unittest.TestCase):
    def setUp(self):
        self.cloud = Cloud(BUILD)
        self.addCleanup(self.cloud.stop)
        self.cloud.start()
        self.client = self.cloud.client

    def mac(self, host, port="eth0"):
        return self.cloud.hosts[host].mac(port)

    def fetch(self, address=VIP, port=80, seconds=30):
        """What the client gets, or None."""
        done = self.client.run("curl", "-s", "-m", seconds, f"http://{address}:{port}/", check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def check_nothing_comes(self, **where):
        self.assertIsNone(self.fetch(seconds=1, **where))

    def until(self, what, wanted):
        give_up = time.monotonic() + PATIENCE
        while (got := what()) != wanted:
            self.assertLess(time.monotonic(), give_up, f"{got} is not {wanted}")
            time.sleep(0.2)

    def balancer(self, config="elb.toml"):
        """The VM with elb between the two networks, once its checks have found the servers."""
        elb = self.cloud.vm("elb")
        self.cloud.plug("clients", elb.vnf, "eth0", "10.0.1.22")
        self.cloud.plug("servers", elb.vnf, "eth1", "10.0.20.1")
        elb.begin(config, ["eth0", "eth1"], vip_port="eth0", OWN_ADDRESS="10.0.1.22",
                  CLIENTS_MAC=elb.vnf.mac("eth0"), SERVERS_MAC=elb.vnf.mac("eth1"), **WORDS)
        self.until(lambda: self.states(elb), "up up down down")
        return elb

    @staticmethod
    def states(elb):
        """Of the backends, as the configuration lists them."""
        (service,) = elb.evnf_json("elb", "backend", "list")["service"]
        return " ".join(b["state"] for b in service["backends"])

    def firewall(self, config, ports, **words):
        """The VM with efw; ports: of which network, name and address."""
        efw = self.cloud.vm("efw")
        for network, port, address in ports:
            self.cloud.plug(network, efw.vnf, port, address)
        names = [port for _, port, _ in ports]
        macs = dict(zip(("IN_MAC", "OUT_MAC"), map(efw.vnf.mac, names)))
        efw.begin(config, names, PORT_MAC=macs["IN_MAC"], **WORDS, **macs, **words)
        return efw

    @staticmethod
    def place(vm, chain, slot):
        (one,) = [c for c in vm.evnf_json("chain", "show") if c["name"] == chain]
        (found,) = [place for place in one["slots"] if place["name"] == slot]
        return found

    def passed(self, vm, chain, slot):
        """Packets that a place has let go on."""
        return self.place(vm, chain, slot)["verdicts"]["next"]["packets"]

    def dropped(self, vm):
        return self.place(vm, "in", "efw")["verdicts"]["drop"]["packets"]

    def until_all_passed(self, port_chain, efw, chain):
        """Each hop was given as many packets as efw has let go on, once none is under way."""
        self.until(lambda: len({*self.cloud.steered(port_chain), self.passed(efw, chain, "efw")}), 1)

    def check_frames(self, frames, src, dst):
        """Those of the client's direction: from which MAC address to which."""
        seen = {(f["src"], f["dst"]) for f in frames if f["from"] == "10.0.1.100"}
        self.assertEqual(seen, {(src, dst)})

    def test_one_port_for_both_and_a_last_hop_that_rewrites(self):
        # templates/port-chain.yaml. Before the chain is there, the service is elb's alone.
        elb = self.balancer()
        self.assertIn(self.fetch(), ("server1", "server2"))
        efw = self.firewall("efw.toml", [("clients", "eth0", "10.0.1.21")],
                            OWN_ADDRESS="10.0.1.21")
        self.assertEqual(self.passed(efw, "through", "efw"), 0)
        chain = self.cloud.port_chain(SERVICE, (self.client, "eth0"),
                                      [((efw.vnf, "eth0"),) * 2,
                                       ((elb.vnf, "eth0"), (elb.vnf, "eth1"))])
        to_efw = self.cloud.listen(efw.vnf, "eth0")
        to_elb = self.cloud.listen(elb.vnf, "eth0")
        answers = {self.fetch() for _ in range(30)}
        self.assertEqual(answers, {"server1", "server2"})
        # The switch has led as many packets to each hop, and the firewall has seen them all.
        self.until_all_passed(chain, efw, "through")
        self.assertGreater(self.passed(efw, "through", "efw"), 100)
        self.check_frames(self.cloud.heard(to_efw), self.mac("client"), self.mac("efw"))
        frames = self.cloud.heard(to_elb)
        self.check_frames(frames, self.mac("efw"), self.mac("elb"))
        self.assertEqual({f["ttl"] for f in frames if f["from"] == "10.0.1.100"}, {63})
        # Or the port sends back what it gets, as it is; where to, the switch decides. This works
        # before another hop, and asks for no route. (A wire between two ports of one network would
        # send broadcasts round for ever.)
        efw.evnf("chain", "set", "through", "in(eth0) -> efw -> hairpin")
        to_elb = self.cloud.listen(elb.vnf, "eth0")
        self.assertIn(self.fetch(), ("server1", "server2"))
        frames = self.cloud.heard(to_elb)
        self.check_frames(frames, self.mac("efw"), self.mac("elb"))
        self.assertEqual({f["ttl"] for f in frames if f["from"] == "10.0.1.100"}, {64})
        # What the firewall does not let through, nobody does.
        efw.evnf("efw", "rule", "add", "priority", "1", "ip", "saddr", "10.0.1.100", "drop")
        self.check_nothing_comes()

    def test_a_port_for_each_direction_there_and_back(self):
        # A firewall between a client and a server that know of none, in a symmetric chain: the
        # routers that both would send to are not there.
        server = self.cloud.servers[0]
        server.run("ip", "neigh", "add", "10.0.20.1", "lladdr", NOWHERE, "dev", "eth0")
        efw = self.firewall(TWO_PORTS, [("clients", "eth0", "10.0.1.21"),
                                        ("servers", "eth1", "10.0.20.2")])
        forth = self.cloud.port_chain("ip daddr 10.0.20.11 tcp dport 80", (self.client, "eth0"),
                                      [((efw.vnf, "eth0"), (efw.vnf, "eth1"))])
        back = self.cloud.port_chain("ip saddr 10.0.20.11 tcp sport 80", (server, "eth0"),
                                     [((efw.vnf, "eth1"), (efw.vnf, "eth0"))])
        to_server = self.cloud.listen(server, "eth0")
        for _ in range(10):
            self.assertEqual(self.fetch("10.0.20.11"), "server1")
        self.check_frames(self.cloud.heard(to_server), self.mac("efw", "eth1"), self.mac("server1"))
        self.until_all_passed(forth, efw, "forth")
        self.until_all_passed(back, efw, "back")
        self.assertGreater(self.passed(efw, "back", "efw"), 30)

    def test_copies_for_a_tap_are_nobodys(self):
        # They keep the MAC address that they had, so no chain without a wire takes them: they
        # would be sent on, a second time.
        ids = self.cloud.vm("ids")
        self.cloud.plug("clients", ids.vnf, "eth0")
        ids.begin(TAP, ["eth0"], IN_MAC=self.mac("ids"))
        self.cloud.copy_to(SERVICE, (self.client, "eth0"), (ids.vnf, "eth0"))
        self.client.run("ip", "neigh", "add", VIP, "lladdr", NOWHERE, "dev", "eth0")
        self.check_nothing_comes()
        self.until(lambda: "not_our_mac" in
                   [r["reason"] for r in self.place(ids, "tap", "root@eth0")["reasons"]], True)
        self.assertEqual(self.passed(ids, "tap", "efw"), 0)

    def test_one_vm_and_members_that_come_and_go(self):
        # templates/one-vm.yaml: clients find the service by ARP.
        vm = self.balancer("one-vm.toml")
        self.assertEqual({self.fetch() for _ in range(30)}, {"server1", "server2"})
        self.check_nothing_comes(port=8080)  # which the servers serve, too
        # Nor does one who routes by the VM get past the load balancer, or into the VM.
        self.client.run("ip", "route", "add", "10.0.20.0/24", "via", "10.0.1.22")
        self.check_nothing_comes(address="10.0.20.11")
        dropped = self.dropped(vm)
        self.check_nothing_comes(address="10.0.1.22", port=22)
        self.until(lambda: self.dropped(vm) > dropped, True)
        self.assertGreater(self.passed(vm, "in", "efw"), 100)
        # templates/autoscaling.yaml: an address of the pool begins to answer, and ends.
        new = self.cloud.servers[1]
        new.run("ip", "addr", "add", "10.0.20.13/24", "dev", "eth0")
        self.until(lambda: self.states(vm), "up up up down")
        new.run("ip", "addr", "flush", "dev", "eth0")
        self.until(lambda: self.states(vm), "up down down down")
        self.assertEqual({self.fetch() for _ in range(20)}, {"server1"})


if __name__ == "__main__":
    main()
