#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""evnf preflight on real interfaces: what it says is so, what it mends is mended, and nothing is left.

The kernel is the judge: what is said of native XDP is tried with a program of iproute2's.
"""
import json
import unittest
from pathlib import Path

from case import BUILD, main
from lab import Lab

PATH = "in({}) -> out"


class PreflightTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(BUILD)
        cls.addClassCleanup(cls.lab.stop)
        cls.lab.begin_hosts()
        cls.vnf = cls.lab.vnf
        cls.vnf.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        cls.program = cls.lab.build / "tests/reflect.bpf.o"

    def add_link(self, name, *words):
        self.vnf.run("ip", "link", "add", "name", name, *words)
        self.addCleanup(self.vnf.run, "ip", "link", "del", name, check=False)  # maybe gone with another
        self.vnf.run("ip", "link", "set", name, "up")

    def pair(self, *here, there=()):
        """A veth in0, whose far end in1 is in the same namespace."""
        self.add_link("in0", *here, "type", "veth", "peer", "name", "in1", *there)
        self.vnf.run("ip", "link", "set", "in1", "up")

    def call(self, *args, wrap=()):
        return self.vnf.run(*wrap, self.lab.build / "tools/evnf", "--json", "preflight", *args,
                            check=False)

    def preflight(self, *args, code=0, wrap=()):
        done = self.call(*args, wrap=wrap)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["good"], code == 0)
        return report

    def one(self, report, subject, check):
        found = [f for f in report["findings"] if (f["subject"], f["check"]) == (subject, check)]
        self.assertEqual(len(found), 1, report["findings"])
        return found[0]

    def mend(self, finding):
        """As an operator would, by the words that are shown."""
        self.assertTrue(finding["mend"], finding)
        for command in finding["mend"]:
            self.vnf.run("sh", "-c", command)

    def takes_native(self, interface):
        done = self.vnf.run("ip", "link", "set", "dev", interface, "xdpdrv", "obj", self.program,
                            "sec", "xdp", check=False)
        if done.returncode == 0:
            self.vnf.run("ip", "link", "set", "dev", interface, "xdpdrv", "off")
        return done.returncode == 0

    def link(self, interface):
        return json.loads(self.vnf.run("ip", "-j", "-d", "link", "show", "dev", interface).stdout)[0]

    def test_a_planned_chain(self):
        self.lab.connect(self.lab.client, "cli0", 1)
        self.lab.connect(self.lab.servers[0], "srv1", 11)
        report = self.preflight("--path", "in(cli0) -> efw -> out")
        self.assertEqual([i["name"] for i in report["facts"]["interfaces"]], ["cli0"])
        for check in ("load", "memory"):
            self.assertEqual(self.one(report, "chains", check)["level"], "ok")
        self.assertGreater(report["facts"]["trial"]["bytes"], 1 << 20)
        for check in ("xdp", "mtu", "far-end"):
            self.assertEqual(self.one(report, "cli0", check)["level"], "ok")
        cli0 = report["facts"]["interfaces"][0]
        self.assertEqual((cli0["driver"], cli0["kind"], cli0["mtu"]), ("veth", "veth", 1500))
        self.assertEqual((cli0["peer"]["name"], cli0["peer"]["mtu"], cli0["peer"]["up"]), ("", 1500, True))
        # Of another namespace's interface of that name, /sys says nothing about this one.
        self.assertEqual((cli0["virtio_features"], cli0["interrupts"]), (None, []))
        self.assertNotIn("xdp", self.link("cli0"))
        self.assertFalse(Path("/sys/fs/bpf/evnf/trial").exists())
        # What it found good, works.
        self.lab.write_config('[[chain]]\nname = "in"\npath = "in(cli0) -> efw -> out"\n')
        self.lab.start_daemon()
        report = self.preflight("srv1", "cli0")
        program = self.one(report, "cli0", "programs")
        self.assertEqual(program["level"], "ok")
        self.assertIn(f"evnfd '{self.lab.name}' is attached: 'root'", program["text"])
        self.assertEqual([i["name"] for i in report["facts"]["interfaces"]], ["srv1", "cli0"])
        words = self.vnf.run(self.lab.build / "tools/evnf", "preflight", "srv1").stdout
        self.assertRegex(words, r"(?m)^srv1\n(.*\n)*  ok       xdp         native: driver veth: ")
        self.assertRegex(words, r"(?m)^  ok       privilege   enough to load and attach$")

    def test_fix_does_what_is_safe(self):
        self.pair("numrxqueues", "4")
        self.vnf.run("ethtool", "-L", "in0", "rx", "1")
        self.vnf.run("ip", "link", "set", "in1", "mtu", "9000")
        path = ("--path", PATH.format("in0"))
        before = self.preflight(*path, code=1)
        self.assertEqual(before["fixes"], [])
        far = self.one(before, "in0", "far-end")
        self.assertEqual((far["level"], far["mend"]), ("warning", ["ethtool -K in1 gro on"]))
        self.assertEqual(self.one(before, "in0", "xdp")["level"], "error")
        self.assertFalse(self.takes_native("in0"))

        after = self.preflight(*path, "--fix", code=1)
        self.assertIn({"command": "ethtool -K in1 gro on", "done": True, "error": ""}, after["fixes"])
        self.assertEqual(self.one(after, "in0", "far-end")["level"], "ok")
        self.assertRegex(self.vnf.run("ethtool", "-k", "in1").stdout, r"generic-receive-offload: on")
        queues = min(4, after["facts"]["host"]["cpus"])
        self.assertEqual(after["facts"]["interfaces"][0]["channels"]["rx"], queues)
        self.assertEqual(len([f for f in after["fixes"] if " -L " in f["command"]]), int(queues > 1))
        # The MTU is the operator's.
        self.assertEqual(self.link("in1")["mtu"], 9000)
        self.mend(self.one(after, "in0", "mtu"))
        good = self.preflight(*path, "--fix")
        self.assertEqual((good["fixes"], self.one(good, "in0", "xdp")["level"]), ([], "ok"))
        self.assertTrue(self.takes_native("in0"))
        self.vnf.run("ip", "link", "set", "in1", "mtu", str(self.link("in1")["mtu"] + 1))
        self.assertFalse(self.takes_native("in0"))  # it said the largest

    def test_a_fix_that_fails_is_told(self):
        self.pair()
        tools = self.lab.dir / "bin"
        tools.mkdir()
        (tools / "ethtool").write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
        (tools / "ethtool").chmod(0o755)
        report = self.preflight("--path", PATH.format("in0"), "--fix", wrap=("env", f"PATH={tools}"))
        self.assertIn({"command": "ethtool -K in1 gro on", "done": False, "error": "no such luck"},
                      report["fixes"])
        self.assertEqual(self.one(report, "in0", "far-end")["level"], "warning")
        (tools / "ethtool").unlink()
        report = self.preflight("--path", PATH.format("in0"), "--fix", wrap=("env", f"PATH={tools}"))
        self.assertEqual(report["fixes"][0]["error"], "ethtool is not installed")

    def test_programs_of_others_stay(self):
        self.pair()
        self.vnf.run("ethtool", "-K", "in1", "gro", "on")
        path = ("--path", PATH.format("in0"))
        for mode, flag in (("native", "xdpdrv"), ("generic", "xdpgeneric")):
            self.vnf.run("ip", "link", "set", "dev", "in0", flag, "obj", self.program, "sec", "xdp")
            number = self.link("in0")["xdp"]["prog"]["id"]
            report = self.preflight(*path, "--fix", code=1)
            program = self.one(report, "in0", "programs")
            self.assertIn(f"'reflect' (id {number}, {mode})", program["text"])
            self.assertEqual((program["level"], program["safe"]), ("error", False))
            self.assertEqual(self.link("in0")["xdp"]["prog"]["id"], number)
            self.mend(program)
            self.preflight(*path)

    def test_links_without_native_xdp(self):
        self.pair()
        self.add_link("mac0", "link", "in0", "type", "macvlan")
        self.add_link("br0", "type", "bridge")
        for interface in ("mac0", "br0"):
            report = self.preflight("--path", PATH.format(interface), code=1)
            self.assertEqual(self.one(report, interface, "xdp")["level"], "error")
            self.assertFalse(self.takes_native(interface))
            report = self.preflight("--path", PATH.format(interface), "--generic")
            self.assertEqual(self.one(report, interface, "xdp")["level"], "note")
        self.assertIn("put the chain on in0", self.one(self.preflight("mac0"), "mac0", "xdp")["text"])
        self.vnf.run("ip", "link", "del", "mac0")  # it has what a bridge needs
        self.vnf.run("ip", "link", "set", "in0", "master", "br0")
        self.assertIn("it is in br0", self.one(self.preflight("--path", PATH.format("in0")), "in0", "link")["text"])

    def test_queues_of_a_veth(self):
        """The far end sends by more than there are to receive by: the kernel refuses until --fix."""
        self.pair("numrxqueues", "4", there=("numtxqueues", "3", "numrxqueues", "3"))
        self.vnf.run("ethtool", "-L", "in1", "tx", "3")
        self.vnf.run("ethtool", "-L", "in0", "rx", "1")
        self.assertFalse(self.takes_native("in0"))
        report = self.preflight("--path", PATH.format("in0"), "--fix")
        queues = max(3, min(4, report["facts"]["host"]["cpus"]))
        self.assertIn(f"ethtool -L in0 rx {queues}", [f["command"] for f in report["fixes"]])
        self.assertTrue(self.takes_native("in0"))

    def test_the_bpf_file_system(self):
        script = 'umount -l /sys/fs/bpf && exec "$@"'  # in a mount namespace of its own
        wrap = ("unshare", "-m", "sh", "-c", script, "sh")
        report = self.preflight("lo", code=1, wrap=wrap)
        self.assertEqual(self.one(report, "host", "bpffs")["mend"], ["mount -t bpf bpf /sys/fs/bpf"])
        report = self.preflight("lo", "--fix", wrap=wrap)
        self.assertEqual(report["fixes"][0], {"command": "mount -t bpf bpf /sys/fs/bpf", "done": True, "error": ""})
        self.assertEqual(self.one(report, "host", "bpffs")["level"], "ok")

    def test_without_privilege(self):
        self.pair()
        report = self.preflight("--path", PATH.format("in0"), code=1,
                                wrap=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
        self.assertIn("CAP_BPF", self.one(report, "host", "privilege")["text"])
        self.assertIsNone(report["facts"]["trial"])
        self.assertEqual(self.one(report, "chains", "load")["level"], "note")
        self.assertEqual(self.one(report, "in0", "xdp")["level"], "ok")

    def test_a_chain_that_cannot_be(self):
        self.pair()
        report = self.preflight("--path", PATH.format("in9"), code=1)
        self.assertIn("no such interface", self.one(report, "in9", "link")["text"])
        config = self.lab.write_config('[[chain]]\nname = "in"\npath = "in(in0) -> out"\n')
        self.assertEqual(self.one(self.preflight("--config", config), "chains", "load")["level"], "ok")
        config = self.lab.dir / "bad.toml"
        config.write_text('[[chain]]\nname = "in"\npath = "in(in0) -> efv -> out"\n')
        for args, text in ((("--path", "in(in0) -> efv -> out"), "efv"),
                           (("--config", config), "bad.toml:3:"),
                           (("--config", self.lab.dir / "none.toml"), "none.toml"),
                           (("--config", config, "--path", "in(in0) -> out"), "or one chain by --path"),
                           (("--config", config, "--generic"), "--generic is for --path"),
                           (("--no-such",), "--no-such")):
            done = self.call(*args)
            self.assertEqual((done.returncode, done.stdout), (1 if "none" in text else 2, ""), done.stderr)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    main()
