#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Alerts and the dashboard ask for metrics and labels that /metrics has."""
import json
import re
from pathlib import Path

from case import LabCase, main

HERE = Path(__file__).resolve().parents[2] / "tools/monitoring"
CONFIG = """\
[[chain]]
name = "in"
path = "in(cli0) -> efw -> edpi -> elb -> out"

[[chain]]
name = "back"
path = "in(srv1) -> elb -> edpi -> out"

[efw]
rules = ["tcp dport 80 accept"]

[edpi]
idle = 1

[[elb.service]]
address = "192.0.2.10"
port = 80
protocol = "tcp"
health = { type = "http", path = "/", interval = 0.5, timeout = 0.4 }
feedback = { interval = 0.5, indices = [ { http = "/load" } ] }
backends = [ { address = "10.0.11.2" } ]
"""
# Prometheus' own, of the target.
OWN = {"up", "job", "instance"}


def queries():
    """Each expression, with where it is."""
    for expression in re.findall(r"^ +expr: (.*)$", (HERE / "evnf.rules.yml").read_text(), re.MULTILINE):
        yield "evnf.rules.yml", expression
    dashboard = json.loads((HERE / "evnf.dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            # Its legend names labels as one would sum by them.
            legend = ", ".join(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield panel["title"], target["expr"] + (f" by ({legend})" if legend else "")
    for variable in dashboard["templating"]["list"]:
        yield variable["name"], variable["query"]


def labels_in(expression):
    """Labels that an expression selects or sums by."""
    for inner in re.findall(r"\{([^}]*)\}", expression):
        yield from re.findall(r"([a-z_]+) *(?:=~|=|!=|!~)", inner)
    for by in re.findall(r"\bby \(([^)]*)\)", expression):
        yield from by.split(", ")


class MonitoringTest(LabCase):
    def metrics(self):
        """Labels of each metric that /metrics has."""
        text = self.lab.run(["curl", "-s", "--unix-socket", self.lab.dir / f"run/{self.lab.name}.sock",
                             "http://evnf/metrics"]).stdout
        out = {}
        for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? [0-9.e+-]+$", text, re.MULTILINE):
            out.setdefault(name, set()).update(re.findall(r'([a-z_]+)="', labels))
        return out

    def test_every_metric_and_label_is_there(self):
        server = self.lab.servers[0]
        conf = self.lab.dir / f"{server.name}.conf"
        conf.write_text(conf.read_text().replace("location / ", "location /load { return 200 0.5; } location / "))
        server.run("nginx", "-c", conf, "-s", "reload")
        self.lab.write_config(CONFIG)
        self.lab.start_daemon()
        self.curl("http://10.0.11.2/")
        self.wait_for(lambda: {"evnf_elb_backend_load", "evnf_edpi_application_bytes_total"}
                      <= set(self.metrics()))
        there = self.metrics()
        seen = 0
        for where, expression in queries():
            names = set(re.findall(r"\bevnf_[a-z_]+", expression))
            self.assertLessEqual(names, set(there), where)
            known = OWN.union(*(there[name] for name in names))
            self.assertLessEqual(set(labels_in(expression)), known, f"{where}: {expression}")
            seen += len(names)
        self.assertGreater(seen, 20)


if __name__ == "__main__":
    main()
