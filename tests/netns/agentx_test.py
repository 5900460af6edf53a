#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""evnf-agentx behind the real snmpd: EVNF-MIB is served as a whole and nothing else, with the
numbers of the API, and never those of a daemon that is gone."""
import os
import re
import shutil
from pathlib import Path

from case import LabCase, main

ROOT = Path(__file__).resolve().parents[2]
MIB = ROOT / "tools/monitoring/EVNF-MIB.txt"
# Debian has the standard modules only in non-free; ours are enough for EVNF-MIB.
MIBS = f"{ROOT}/tests/data/mibs:/usr/share/snmp/mibs:{MIB.parent}"
SNMPD = """\
agentaddress udp:127.0.0.1:161
master agentx
agentXSocket {dir}/agentx
agentXPerms 0660 0711 0 {group}
rocommunity public
createUser evnf SHA s3cret-auth-phrase AES s3cret-priv-phrase
rouser evnf priv
view all included .1
rouser evnf priv -V all other
"""
GROUP = 65533  # in the place of the group evnf, which need not be here
V2 = ("-v2c", "-c", "public")
V3 = ("-v3", "-l", "authPriv", "-u", "evnf", "-a", "SHA", "-A", "s3cret-auth-phrase", "-x", "AES",
      "-X", "s3cret-priv-phrase")
CONFIG = """\
[[chain]]
name = "in"
path = "in(cli0) -> efw -> edpi -> elb -> out"

[[chain]]
name = "back"
path = "in(srv1, srv2) -> elb -> edpi -> out"

[efw]
rules = ["tcp dport 80 accept", "udp dport 9 drop"]

[edpi]
idle = 1

[[elb.service]]
address = "192.0.2.10"
port = 80
protocol = "tcp"
health = { type = "http", path = "/", interval = 0.5 }
feedback = { interval = 0.5, indices = [ { http = "/load" } ] }
backends = [ { address = "10.0.11.2", weight = 2 }, { address = "10.0.12.2", port = 82 } ]

[[elb.service]]
address = "2001:db8:ffff::10"
port = "8000-8009"
protocol = "udp"
backends = [ { address = "fd00:11::2", backup = true } ]

[other]
vnf = "efw"
rules = ["accept"]
"""


def readable():
    """The MIB's objects that have values, with their types."""
    return {name: syntax for name, syntax, access in re.findall(
        r"^(\w+) OBJECT-TYPE\s+SYNTAX +([\w-]+)(?: OF)?.*?MAX-ACCESS +([\w-]+)", MIB.read_text(),
        re.MULTILINE | re.DOTALL) if access == "read-only"}


def rows_of(api):
    """What the MIB has to show of the API's answers: values by object and index."""
    out = {}

    def add(prefix, index, **columns):
        for name, value in columns.items():
            if isinstance(value, str):
                value = value.encode("ascii", "replace").decode()[:255]
            out[prefix + name, index] = value

    status, all_ = api("/v1/status"), api("/v1/counters")
    hops, workers = all_["nexthops"], all_["workers"]
    add("evnfDaemon", "0", Up=True, Problem="", Name=status["name"], Version=status["version"],
        Uptime=status["uptime_s"] * 100, Generation=status["generation"],
        Warnings=len(status["warnings"]))
    add("evnf", "0", NexthopsResolved=hops["resolved"], NexthopsSlow=hops["slow"],
        NexthopsPending=hops["pending"], NexthopsLost=all_["events_lost"]["nexthop_miss"],
        Workers=workers["workers"], WorkerPacketsHandled=workers["handled"],
        WorkerPacketsRefused=workers["refused"], WorkerPacketsFailed=workers["failed"],
        WorkerPacketsLost=workers["xsk_lost"], CopiesSent=workers["copies_sent"],
        CopiesLost=workers["copies_lost"])
    for number, text in enumerate(status["warnings"], 1):
        add("evnfWarning", f"{number}", Text=text)
    for i in status["interfaces"]:
        add("evnfInterface", i["interface"], Index=i["ifindex"], Chain=i["chain"],
            Attached=True, Mode=i["xdp"], Program=i["program_id"])
    for chain in all_["chains"]:
        add("evnfChain", chain["name"], Path=chain["path"])
        for slot in chain["slots"]:
            add("evnfSlot", f"{slot['slot']}", Chain=chain["name"], Name=slot["name"])
            counts = {"": slot, "Resumed": slot["resumed"],
                      **{verdict.capitalize(): c for verdict, c in slot["verdicts"].items()}}
            for name, c in counts.items():
                add("evnfSlot" + name, f"{slot['slot']}", Packets=c["packets"], Bytes=c["bytes"])
            for r in slot["reasons"]:
                add("evnfReason", f"{slot['slot']}.{r['reason']}", Verdict=r["verdict"],
                    Packets=r["packets"], Bytes=r["bytes"], Meaning=r["help"])
    for i in status["instances"]:
        add("evnfInstance", i["name"], Vnf=i["vnf"])
    efw = all_["efw"]
    add("evnfEfw", "efw", Rules=len(efw["rules"]), Default=efw["default"],
        DefaultPackets=efw["default_packets"], DefaultBytes=efw["default_bytes"],
        AnswersSent=efw["answers"]["sent"], AnswersLimited=efw["answers"]["limited"],
        AnswersSilent=efw["answers"]["silent"], AnswersFailed=efw["answers"]["failed"],
        LogWritten=efw["log"]["written"], LogLeftOut=efw["log"]["left_out"],
        MemoryUsed=efw["memory"]["used"], MemoryRoom=efw["memory"]["room"])
    for r in efw["rules"]:
        add("evnfEfwRule", f"efw.{r['id']}", Action=r["action"], Packets=r["packets"],
            Bytes=r["bytes"], Text=r["rule"])
    edpi = api("/v1/edpi")
    load = edpi["load"]
    add("evnfEdpi", "edpi", Flows=load["flows"], FlowsRoom=edpi["flows"],
        Inspected=load["inspected"], InspectedRoom=edpi["inspected"], Records=load["records"],
        RecordsLost=load["lost_records"], UnaccountedPackets=load["unaccounted"]["packets"],
        UnaccountedBytes=load["unaccounted"]["bytes"])
    for a in api("/v1/edpi/applications")["applications"]:
        add("evnfEdpiApplication", f"edpi.{a['application']}", Category=a["category"],
            Active=a["active"], Flows=a["flows"], Packets=a["packets"], Bytes=a["bytes"])
    add_elb(add, api)
    return out


def add_elb(add, api):
    shown = {b["id"]: b for s in api("/v1/elb")["service"] for b in s["backends"]}
    loads = {(s["service"], b["backend"]): b["aggregate"] for s in api("/v1/elb/feedback")
             for b in s["backends"] if "aggregate" in b}
    ids = iter(sorted(shown))
    for s in api("/v1/elb/health"):
        up = [b for b in s["backends"] if b["state"] != "down"]
        add("evnfElbService", f"elb.{s['service']}", Backends=len(s["backends"]),
            BackendsUp=len(up), Panics=s["panics"], OnBackups=s["on_backups"])
        for checked in s["backends"]:
            number = next(ids)  # in the order of the file, of a daemon that knows no other
            b, index = shown[number], f"elb.{number}"
            add("evnfElbBackend", index, Service=s["service"], Address=checked["backend"],
                State=checked["state"], Up=checked in up, Backup=checked["backup"],
                Weight=checked["weight"], Effective=round(checked["effective"] * 1000),
                Share=round(b["share"] * 1000), Active=b["active"], Connections=b["connections"],
                Established=b["established"], Moved=b["moved"],
                ToPackets=b["to_backend"]["packets"], ToBytes=b["to_backend"]["bytes"],
                FromPackets=b["to_client"]["packets"], FromBytes=b["to_client"]["bytes"],
                Resets=b["resets"]["by_backend"], ClientResets=b["resets"]["by_client"])
            if checked["check"] != "none":
                add("evnfElbBackend", index, Checks=checked["checks"],
                    FailedChecks=checked["failed"])
            if (s["service"], checked["backend"]) in loads:
                add("evnfElbBackend", index,
                    Load=round(loads[s["service"], checked["backend"]] * 1000))


class AgentxTest(LabCase):
    def setUp(self):
        super().setUp()
        server = self.lab.servers[0]
        conf = self.lab.dir / f"{server.name}.conf"
        conf.write_text(conf.read_text().replace("location / ",
                                                 "location /load { return 200 0.25; } location / "))
        server.run("nginx", "-c", conf, "-s", "reload")
        self.lab.write_config(CONFIG)
        self.start_daemon()
        (self.lab.dir / "snmpd.conf").write_text(SNMPD.format(dir=self.lab.dir, group=GROUP))
        (self.lab.dir / "snmp").mkdir()
        self.snmpd = self.start_snmpd()
        self.start_agent()

    def start_snmpd(self):
        return self.lab.vnf.start("env", f"SNMP_PERSISTENT_DIR={self.lab.dir}/snmp", "snmpd", "-f",
                                  "-Lo", "-C", "-c", self.lab.dir / "snmpd.conf", log="snmpd.log")

    def start_daemon(self):
        self.lab.start_daemon()
        os.chown(self.lab.dir / f"run/{self.lab.name}.sock", 0, GROUP)

    def start_agent(self, *more):
        """Nobody, but for a group; the folders of a build need not be everybody's."""
        self.lab.dir.chmod(0o711)
        program = self.lab.dir / "evnf-agentx"
        if not program.exists():
            shutil.copy(self.lab.build / "tools/evnf-agentx", program)
        return self.lab.vnf.start(
            "setpriv", "--reuid=65534", "--regid=65534", f"--groups={GROUP}", "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs", program, "--name", self.lab.name, "--run-dir",
            self.lab.dir / "run", "--agentx", self.lab.dir / "agentx", *more, log="agentx.log")

    def ask(self, tool, *words, version=V2, options=("-OQs",), seconds=20):
        """What one of Net-SNMP's tools says."""
        words = (f"SNMPCONFPATH={self.lab.dir}", tool, *version, "-t", seconds, "-r", "0", "-M",
                 MIBS, "-m", "EVNF-MIB", *options, "127.0.0.1", *words)
        return self.lab.vnf.run("env", *words, check=False).stdout

    def up(self, seconds=1, **more):
        """To be asked again: what a snmpd does not get that is not there yet is lost."""
        return self.ask("snmpget", "evnfDaemonUp.0", seconds=seconds, **more).strip()

    def wait_until_up(self):
        self.wait_for(lambda: self.up() == "evnfDaemonUp.0 = true")

    def walk(self):
        """Values by object and index, in the MIB's terms."""
        out = {}
        text = self.ask("snmpbulkwalk", "evnfMIB", options=("-OQsXtU",))
        self.assertNotIn("Wrong Type", text)
        types = readable()
        for name, index, value in re.findall(r"^(\w+)(\S.*?) = ?(.*)$", text, re.MULTILINE):
            # "[efw][1]", or ".0" of what is no table.
            index = index[1:-1].replace("][", ".") if index[0] == "[" else index[1:]
            kind = types.get(name, "")
            if kind == "TruthValue":
                value = {"true": True, "false": False}[value]
            elif kind != "DisplayString":
                value = int(value)
            out[name, index] = value
        return out

    def differences(self):
        """What is walked through and not between what the API tells before and after."""
        before = rows_of(self.lab.api)
        asked = before["evnfDaemonUptime", "0"]
        self.wait_for(lambda: self.walk()["evnfDaemonUptime", "0"] > asked)
        walked = self.walk()
        after = rows_of(self.lab.api)
        always = before.keys() & after.keys()
        out = {key: "is not there" for key in always - walked.keys()}
        out |= {key: "is nowhere else" for key in walked.keys() - before.keys() - after.keys()}
        for key in always & walked.keys():
            low, value, high = before[key], walked[key], after[key]
            if isinstance(value, int) and not isinstance(value, bool):
                good = min(low, high) <= value <= max(low, high)
            else:
                good = value in (low, high)
            if not good:
                out[key] = (low, value, high)
        return out

    def test_the_mib_is_served_with_the_numbers_of_the_api(self):
        self.wait_until_up()
        for _ in range(4):
            self.curl("http://192.0.2.10/")
            self.curl("http://10.0.11.2/")
        self.lab.client.run("bash", "-c", "echo a >/dev/udp/10.0.11.2/9")
        self.wait_for(lambda: {name for name, _ in self.walk()} == set(readable()))
        # Numbers that come and go may have been more or less for a moment.
        for _ in range(20):
            differ = self.differences()
            if not differ:
                break
        self.assertEqual(differ, {})
        walked = self.walk()
        self.assertGreater(len(walked), 250)
        self.assertEqual(walked["evnfEfwRulePackets", "efw.2"], 1)
        self.assertEqual(walked["evnfElbBackendLoad", "elb.0"], 250)
        self.assertFalse(walked["evnfElbBackendUp", "elb.1"])

        table = self.ask("snmptable", "evnfElbBackendTable", options=("-CB",)).splitlines()
        self.assertEqual(len(table), 3 + 3, table)
        self.assertEqual(self.up(seconds=20, version=V3), "evnfDaemonUp.0 = true")
        self.assertEqual(self.ask("snmpset", "evnfDaemonUp.0", "=", "2"), "")
        self.assertIn("No Such Instance", self.ask("snmpget", "evnfDaemonUp.1"))

    def test_who_is_gone_comes_back(self):
        self.wait_until_up()
        self.lab.kill_daemon()
        self.wait_for(lambda: self.up() == "evnfDaemonUp.0 = false")
        self.assertEqual({name for name, _ in self.walk()}, {"evnfDaemonUp", "evnfDaemonProblem"})
        self.assertIn("start it again", self.ask("snmpget", "evnfDaemonProblem.0"))
        self.assertIn("No Such Instance", self.ask("snmpget", "evnfDaemonUptime.0"))
        self.start_daemon()
        self.wait_until_up()

        self.snmpd.terminate()
        self.snmpd.wait()
        self.snmpd = self.start_snmpd()
        self.wait_until_up()

        # Another one beside it, in a context of its own; before, snmpd does not answer there.
        agent = self.start_agent("--context", "other")
        self.wait_for(lambda: self.up(version=(*V3, "-n", "other")) ==
                      "evnfDaemonUp.0 = true")
        agent.terminate()
        self.assertEqual(agent.wait(60), 0)
        self.assertEqual(self.up(seconds=20), "evnfDaemonUp.0 = true")


if __name__ == "__main__":
    main()
