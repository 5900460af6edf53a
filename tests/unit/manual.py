#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""manual.py EVNF EVNFD AGENTX SOURCE PAGE…: the manual says what the programs know.

Each command and option of --help is in a page, each page is built and nothing but it, roff has
nothing to complain of, and the keys of evnf.toml(5) are those that evnfd reads.
"""
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

EVNF, EVNFD, AGENTX, SOURCE = sys.argv[1:5]
PAGES = {Path(p).name: Path(p).read_text(encoding="utf-8") for p in sys.argv[5:]}
SCHEMAS = {"HealthTable": {"[elb.health]", "[elb.service.health]"},
           "FeedbackTable": {"[elb.feedback]"},
           "TimeoutTable": {"[elb.timeouts]", "[elb.timeouts] of all services only"},
           "EdpiPolicy": {"[[edpi.policy]]"}}
# Counts, which are told and not configured.
TOLD = {"packets", "bytes", "dropped_packets", "dropped_bytes"}


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


def plain(page):
    """As one reads it, without roff's marks, and every space one."""
    text = re.sub(r"\\f[BIR]", "", page).replace("\\-", "-").replace("\\e", "\\")
    return re.sub(r"\s+", " ", text.replace("\\&", ""))


def commands(*path):
    """Every command that --help leads to, with the text of its --help."""
    text = run(EVNF, *path, "--help").stdout
    yield path, text
    _, _, below = text.partition("Subcommands:\n")
    for name in re.findall(r"^  (\S+)", below.split("\n\n")[0], re.MULTILINE):
        yield from commands(*path, name)


def toml_keys():
    """The keys of each table in evnf.toml(5)."""
    out = {}
    for part in re.split(r"^\.SS ", PAGES["evnf.toml.5"], flags=re.MULTILINE)[1:]:
        heading, body = part.split("\n", 1)
        keys = re.findall(r"^\.TP\n\\fB(.*)\\fR$", body.split("\n.SH ")[0], re.MULTILINE)
        out[heading] = {key for line in keys for key in line.split(", ")}
    return out


class Manual(unittest.TestCase):
    def test_the_pages_are_those_of_the_commands(self):
        made = {f"{name}.1" for name in run(EVNF, "manual").stdout.split()}
        self.assertEqual(made | {"evnfd.8", "evnf-agentx.8", "evnf.toml.5"}, set(PAGES))

    def test_every_command_and_option_is_there(self):
        seen = 0
        for path, text in commands():
            at = f"evnf-{path[0]}.1" if path and f"evnf-{path[0]}.1" in PAGES else "evnf.1"
            page = plain(PAGES[at])
            if "Subcommands:" not in text:
                self.assertIn(" ".join(("evnf", *path)), page)
            for option in re.findall(r"^  .*?(--[a-z-]+)", text, re.MULTILINE):
                if option != "--help":
                    self.assertIn(option, page, f"{' '.join(path)} in {at}")
                    seen += 1
        self.assertGreater(seen, 50)
        for program in (EVNFD, AGENTX):
            page = plain(PAGES[Path(program).name + ".8"]) + " --help"
            for option in re.findall(r"^  .*?(--[a-z-]+)", run(program, "--help").stdout, re.MULTILINE):
                self.assertIn(option, page)

    def test_footers_are_there_as_they_are(self):
        page = plain(PAGES["evnf-efw.1"])
        footer = run(EVNF, "efw", "rule", "add", "--help").stdout.split("\n\n")[-1]
        self.assertIn(re.sub(r"\s+", " ", footer.strip()), page)

    def test_roff_takes_them(self):
        for name, text in PAGES.items():
            done = subprocess.run(["groff", "-K", "utf8", "-T", "utf8", "-man", "-ww", "-z"],
                                  input=text, capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    # A table with a key alone: what evnfd says of it shows whether it knows the key.
    FORMS = {
        "[[chain]]": "[[chain]]\n{}",
        "[INSTANCE]": "[elb]\n{}",
        "[efw]": "[efw]\n{}",
        "[efw.sets.NAME]": "[efw.sets.a]\n{}",
        "[edpi]": "[edpi]\n{}",
        "[[edpi.policy]]": "[[edpi.policy]]\n{}",
        "[elb]": "[elb]\n{}",
        "[[elb.service]]": "[[elb.service]]\n{}",
        "[[elb.service.backends]]":
            '[[elb.service]]\naddress = "192.0.2.1"\nport = 80\nprotocol = "tcp"\n'
            "[[elb.service.backends]]\n{}",
        "[elb.health]": "[elb.health]\n{}",
        "[elb.service.health]":
            '[[elb.service]]\naddress = "192.0.2.1"\nport = 80\nprotocol = "tcp"\n'
            "[elb.service.health]\n{}",
        "[elb.feedback]": "[elb.feedback]\n{}",
        "[elb.timeouts]": "[elb.timeouts]\n{}",
        "[elb.timeouts] of all services only": "[elb.timeouts]\n{}",
    }

    def check(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            return run(EVNFD, "--check", "--config", file.name).stderr

    def test_evnfd_knows_the_keys(self):
        keys = toml_keys()
        self.assertEqual(set(self.FORMS), set(keys))
        for table, form in self.FORMS.items():
            self.assertIn("is not a key", self.check(form.format("zzz = []")), table)
            for key in keys[table]:
                self.assertNotIn("is not a key", self.check(form.format(f"{key} = []")),
                                 f"{table} {key}")

    def test_the_keys_that_the_api_tells_are_there(self):
        schemas = json.loads(Path(SOURCE, "daemon/openapi.json").read_text())["components"]["schemas"]
        keys = toml_keys()
        for schema, tables in SCHEMAS.items():
            there = set().union(*(keys[t] for t in tables))
            self.assertEqual(set(schemas[schema]["properties"]) - TOLD, there, schema)
        self.assertEqual(set(schemas["Edpi"]["properties"]) - {"load"}, keys["[edpi]"])

    def test_the_keys_of_the_example_are_there(self):
        text = Path(SOURCE, "docs/evnf.example.toml").read_text()
        every = set().union(*toml_keys().values())
        for key in re.findall(r"^([a-z_]+) =|[{,] ([a-z_]+) =", text, re.MULTILINE):
            key = key[0] or key[1]
            self.assertTrue(key in every or key in PAGES["evnf.toml.5"], key)


unittest.main(argv=["manual"], verbosity=1)
