#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An evnfd whose tables are laid out differently meets what another one left: it refuses, or takes
the interfaces over; whatever it does, packets go on.

What another one left is what this one left, under another name: programs, links and maps that run.
"""
from pathlib import Path

from case import LabCase, Load, main
from lab import CONFIG, PIN_DIR, VIP, LabError
from lifecycle_test import RULES

PREINST = Path(__file__).resolve().parents[2] / "debian/evnf.preinst"
SLOW = "http://10.0.11.2:8080/"  # which no rule accepts, so that the kernel forwards it


class LayoutsTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.write_config(CONFIG + RULES)
        self.lab.start_daemon()
        self.pins = Path(PIN_DIR, self.lab.name)
        [self.abi] = (p.name for p in self.pins.iterdir())
        self.assertEqual(self.curl(SLOW), "server1")  # places are in use
        self.load = Load(self, f"http://{VIP}/", connections=8)
        self.lab.stop_daemon()
        (self.pins / self.abi).rename(self.pins / "abi1")

    def anew(self):
        """What the operator says."""
        word = self.lab.dir / f"run/{self.lab.name}.anew"
        word.touch()
        return word

    def programs(self):
        return {port: self.lab.vnf.run("ip", "link", "show", "dev", port).stdout.split("prog/xdp id")[1]
                for port in ("cli0", "srv1", "srv2")}

    def check_refused(self, why):
        before = self.programs()
        with self.assertRaises(LabError) as refused:
            self.lab.start_daemon()
        self.assertIn(why, str(refused.exception))
        self.assertEqual([p.name for p in self.pins.iterdir()], ["abi1"])
        self.assertEqual(self.programs(), before)
        self.assertEqual(self.curl(SLOW), "server1")
        self.assertEqual(self.curl(f"http://{VIP}/"), "server1")

    def test_it_refuses_and_then_takes_over(self):
        self.check_refused(f"was left by an evnfd whose tables are laid out differently ({self.abi} here)")
        before = self.programs()
        word = self.anew()
        self.lab.start_daemon()
        self.assertFalse(word.exists())
        self.assertEqual([p.name for p in self.pins.iterdir()], [self.abi])
        after = self.programs()
        self.assertEqual([p for p in after if after[p] == before[p]], [])
        self.assertEqual(self.curl(SLOW), "server1")
        self.assertGreater(self.reason("in", "efw", "default_slow"), 0)
        self.load.end()  # no request has failed
        self.lab.evnf("efw", "rule", "add", "udp dport 9 drop")
        self.lab.stop_daemon()
        self.lab.start_daemon()
        self.assertEqual(self.curl(SLOW), "server1")

    def test_what_cannot_take_over_leaves_it_alone(self):
        self.lab.vnf.run("ip", "link", "add", "other1", "type", "veth", "peer", "name", "other2")
        self.lab.vnf.run("ip", "link", "set", "other1", "up")
        pin = f"{PIN_DIR}/accept-{self.lab.name}"
        self.lab.run(["bpftool", "prog", "load", self.lab.build / "tests/accept.bpf.o", pin, "type",
                      "xdp"])
        self.lab.vnf.run("ip", "link", "set", "dev", "other1", "xdp", "pinned", pin)
        Path(pin).unlink()
        self.lab.write_config(CONFIG.replace("in(cli0)", "in(cli0, other1)") + RULES)
        word = self.anew()
        self.check_refused("other1 has another XDP program")
        self.assertTrue(word.exists())  # for the next start
        self.load.end()

    def preinst(self, action="upgrade"):
        """What the package's script says of the lab's evnfd, for this build."""
        layouts = self.lab.run([self.lab.evnfd, "--layouts"]).stdout.strip()
        text = PREINST.read_text().replace("#LAYOUTS#", layouts)
        for path, here in (("/sys/fs/bpf/evnf/*", self.pins), ("/run/evnf", self.lab.dir / "run")):
            self.assertIn(path, text)
            text = text.replace(path, str(here))
        done = self.lab.run(["sh", "-c", text, "preinst", action, "0.0.1"], check=False)
        self.assertEqual(done.returncode, 1 if done.stderr else 0)
        return done.stderr

    def test_the_package_tells_before_it_is_installed(self):
        told = self.preinst()
        self.assertIn(f"the programs of evnfd '{self.lab.name}' run with tables of another layout", told)
        self.assertEqual(self.preinst("abort-upgrade"), "")
        word = self.anew()
        self.assertIn(f"touch {word}", told)
        self.assertEqual(self.preinst(), "")
        word.unlink()
        (self.pins / "abi1").rename(self.pins / self.abi)
        self.assertEqual(self.preinst(), "")
        [state] = self.pins.glob("abi*/maps/efw/v*")  # elb converts its own
        state.rename(state.parent / "v0")
        self.assertEqual(self.preinst(), told)
        self.load.end()

    def test_detach_ends_it(self):
        self.load.end()
        self.lab.vnf.run(self.lab.evnfd, "--detach", *self.lab.daemon_args())
        self.assertFalse(self.pins.exists())
        for port in ("cli0", "srv1", "srv2"):
            self.assertNotIn("xdp", self.lab.vnf.run("ip", "link", "show", "dev", port).stdout)
            for hook in ("ingress", "egress"):
                self.assertNotIn("bpf", self.lab.vnf.run("tc", "filter", "show", "dev", port,
                                                         hook).stdout)
        self.assertEqual(self.curl(SLOW), "server1")


if __name__ == "__main__":
    main()
