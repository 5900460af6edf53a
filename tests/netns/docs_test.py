#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs_test.py [PAGE…] [--write]: every command of the documentation does what its page shows.

Each page of docs_scenes.PAGES is run from its first command to its last, and what they print is
compared (docs_page.py says what may differ). Commands that cannot be run here are in
docs_scenes.NOT_RUN, each with the reason; unit/documents.py holds these to what exists. --write
puts into the pages what the commands have printed: look at the difference before you commit it.
"""
import difflib
import os
import sys
import time
import unittest
from pathlib import Path

from case import main
from docs_lab import LOOKS, apart, own_folders
from docs_page import ELLIPSIS, Page, fits
from docs_scenes import PAGES, not_run

SOURCE = Path(__file__).resolve().parents[2]
ASKED = [word for word in sys.argv[1:] if word != "--write"]
WRITE = "--write" in sys.argv
# Seconds until what only looks is as the page has it.
PATIENCE = 2 if WRITE else 30


class DocsCase(unittest.TestCase):
    """One page, made a test below."""

    maxDiff = None
    name = None

    def setUp(self):
        own_folders()
        self.page = Page(SOURCE / self.name, self.name)
        self.scenes = PAGES[self.name]()
        self.lab = self.scenes.lab
        self.addCleanup(self.lab.stop)
        self.lab.start()
        self.new = list(self.page.source)
        self.shift = 0

    def test_page(self):
        wrong = []
        for block in self.page.blocks:
            for kind, what in block.marks:
                if kind == "lab":
                    name, *words = what.split()
                    getattr(self.scenes, name.replace("-", "_"))(*words)
                else:
                    path = self.lab.here / what
                    path.write_text(block.text())
            for command in block.commands():
                if not not_run(self.name, command.text):
                    wrong += self.one(block, command)
        if WRITE:
            self.page.path.write_text("\n".join(self.new) + "\n", encoding="utf-8")
        if wrong:
            self.fail("\n".join(wrong))

    def one(self, block, command):
        """Runs it; what is wrong with what it says."""
        begun = time.monotonic()
        end = begun + PATIENCE
        while True:
            said, code = self.lab.command(command)
            said = [line.rstrip() for line in said.splitlines()]
            good = fits(command.expected, said) if command.strict else code == 0
            if good or not LOOKS.match(command.text) or time.monotonic() > end:
                break
            time.sleep(0.2)
        if os.environ.get("EVNF_DOCS_TIMES"):
            print(f"{time.monotonic() - begun:6.2f} {command.text[:90]}", file=sys.stderr)
        if good:
            return []
        if WRITE and command.strict and not any(map(ELLIPSIS.match, command.expected)):
            self.rewrite(block, command, said)
        shown = "\n".join(difflib.unified_diff(command.expected, said, "the page", "what came",
                                               lineterm="", n=50))
        return [f"{self.name}:{command.line}: {command.text}\n  exit code {code}\n{shown}"
                if command.strict else
                f"{self.name}:{command.line}: {command.text}\n  exit code {code}\n" + "\n".join(said)]

    def rewrite(self, block, command, said):
        # The block's fence is at index line - 1, the command's line follows.
        first = command.line + command.text.count("\n") + self.shift
        self.new[first:first + len(command.expected)] = [
            (block.indent + line).rstrip() for line in said]
        self.shift += len(said) - len(command.expected)


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite()
    for name in ASKED or PAGES:
        suite.addTests(loader.loadTestsFromTestCase(type(name, (DocsCase,), {"name": name})))
    return suite


if __name__ == "__main__":
    if os.geteuid() == 0:
        apart()
    del sys.argv[1:]
    main()
