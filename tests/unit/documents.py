#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""documents.py EVNF EVNFD SOURCE PAGE…: what the documentation names is there, and what is there
is in its guide.

Each command of a page is run by netns/docs_test.py, or is in docs_scenes.NOT_RUN with a reason.
Of all of them, and of code within the text, commands and options of evnf, evnfd and ./run exist, as
do the files that are named, and the places that links lead to. A guide has every verb, option and
key of its VNF.
"""
import re
import subprocess
import sys
import unittest
from pathlib import Path

EVNF, EVNFD = sys.argv[1:3]
SOURCE = Path(sys.argv[3]).resolve()
MANUAL = next(Path(p) for p in sys.argv[4:] if p.endswith("evnf.toml.5")).read_text(encoding="utf-8")
sys.path[:0] = [str(SOURCE / "tests/netns"), str(SOURCE / "tools/lab")]
from docs_page import COMMANDS, PROMPT, Page  # noqa: E402
from docs_scenes import NOT_RUN, PAGES, not_run  # noqa: E402

FILES = sorted(path for folder in ("", "docs", "openstack")
               for path in (SOURCE / folder).glob("*.md"))
NAMES = [str(path.relative_to(SOURCE)) for path in FILES]
LANGUAGES = {*COMMANDS, "toml", "text", "json", "nginx", "c"}
# The guides of a VNF, and the tables of evnf.toml(5) whose keys they have.
GUIDES = {
    "efw": (["efw", "efw-analysis", "efw-offload"], ["[efw]", "[efw.sets.NAME]"]),
    "edpi": (["edpi"], ["[edpi]", "[[edpi.policy]]"]),
    "elb": (["elb", "elb-health"],
            ["[elb]", "[[elb.service]]", "[[elb.service.backends]]", "[elb.health]",
             "[elb.service.health]", "[elb.feedback]", "[elb.timeouts]",
             "[elb.timeouts] of all services only"]),
    "": (["chains", "preflight"], ["[[chain]]", "[INSTANCE]"]),
}
# Verbs without a VNF that the chains' guide need not have.
ELSEWHERE = {"completion", "manual"}


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def commands(*path):
    """Every command that --help leads to, with the text of its --help."""
    text = run(EVNF, *path, "--help")
    yield path, text
    _, _, below = text.partition("Subcommands:\n")
    for name in re.findall(r"^  (\S+)", below.split("\n\n")[0], re.MULTILINE):
        yield from commands(*path, name)


def options(text):
    """All options that a --help lists, long and short."""
    return set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", text.partition("Options:")[2]
                          .partition("\n\n")[0]))


HELP = dict(commands())
GLOBAL = options(HELP[()]) | {"--json"}
EVNFD_OPTIONS = options(run(EVNFD, "--help"))
RUN_COMMANDS = run(str(SOURCE / "run"), "help")


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them, and those that it names itself."""
    out = set()
    for _, line in page.prose:
        if heading := re.match(r"#+ (.*)", line):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            out.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
        out |= set(re.findall(r'<a id="([^"]*)"', line))
    return out


def wrong_evnf(words):
    """What is wrong with `evnf …`: a verb or an option that is not there."""
    path, seen, skip = [], [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-n", "--name", "-i", "--instance", "--run-dir"):
            skip = True
        elif word.startswith("-"):
            seen.append(word.split("=")[0])
        elif not seen or not path or tuple(path) in HELP and "Subcommands:" in HELP[tuple(path)]:
            if "Subcommands:" not in HELP[tuple(path)]:
                continue
            names = re.split(r"\\?\|", word)  # a\|b in a table
            unknown = [n for n in names if (*path, n) not in HELP and re.fullmatch("[a-z]+", n)]
            if unknown:
                return f"evnf {' '.join(path)} has no '{unknown[0]}'"
            if (*path, names[0]) not in HELP:
                break  # an ellipsis
            path.append(names[0])
    known = GLOBAL | options(HELP[tuple(path)])
    for option in seen:
        if option not in known:
            return f"evnf {' '.join(path)} has no option {option}"
    return None


def wrong(text):
    """What is wrong with a command line, as far as it is ours."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "X", text.replace("\\\n", " "))
    plain = re.sub(r"[\[\]()…]", " ", plain)
    for part in re.split(r"\s*(?:&&|\|\||;|(?<!\\)\||[<>])\s*", plain):
        words = part.split()
        while words and (words[0] in ("sudo", "nice", "#", "$", "setpriv") or "=" in words[0] or
                         words[0].startswith("--re") or words[0] == "--clear-groups"):
            words.pop(0)
        if not words:
            continue
        program = words[0]
        if program == "evnf" and (fault := wrong_evnf([w for w in words[1:] if w != "X"])):
            return fault
        if program == "evnfd":
            for word in words[1:]:
                if word.startswith("-") and word not in EVNFD_OPTIONS:
                    return f"evnfd has no option {word}"
        if program == "./run" and len(words) > 1 and words[1] != "help":
            line = " ".join(words[1:3] if words[1] == "bench" and len(words) > 2 and
                            not words[2].startswith("-") else words[1:2])
            if not re.search(rf"^  {re.escape(line)}\b", RUN_COMMANDS, re.MULTILINE):
                return f"./run has no '{line}'"
    return None


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pages = {name: Page(path, name) for name, path in zip(NAMES, FILES)}

    def every(self, check):
        """All that `check` finds on the pages, as one failure."""
        found = [f"{name}:{line}: {text}" for name, page in self.pages.items()
                 for line, text in check(name, page)]
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_blocks_say_what_they_are(self):
        def check(_, page):
            for block in page.blocks:
                if block.language not in LANGUAGES:
                    yield block.line, f"'{block.language}' is none of {sorted(LANGUAGES)}"
            for line in page.indented_code():
                yield line, "code is fenced, with its language"
        self.every(check)

    def test_every_command_is_run_or_has_a_reason(self):
        def check(name, page):
            for command in page.commands():
                if name not in PAGES and not not_run(name, command.text):
                    yield command.line, f"nobody runs '{command.text}'"
            for block in page.blocks:
                if block.language == "text" and name != "README.md":
                    for number, line in enumerate(block.lines, block.line + 1):
                        if PROMPT.match(line) and re.search("evnf|run", line):
                            yield number, "a command in a block of text"
        self.every(check)

    def test_every_page_is_a_test(self):
        build = (SOURCE / "tests/meson.build").read_text()
        listed = re.findall(r"'([^']+)'", re.search(r"foreach page : \[(.*?)\]", build, re.S)[1])
        self.assertEqual(listed, sorted(PAGES))

    def test_every_reason_is_needed(self):
        for of, what, why in NOT_RUN:
            self.assertTrue(any(of.fullmatch(name) and what.fullmatch(command.text)
                                for name, page in self.pages.items()
                                for command in page.commands()), (of.pattern, what.pattern, why))

    def test_what_is_named_exists(self):
        def check(_, page):
            for command in page.commands():
                if fault := wrong(command.text):
                    yield command.line, fault
            for line, code in page.spans():
                if re.match(r"(sudo )?(evnfd?|\./run) ", code) and (fault := wrong(code)):
                    yield line, f"`{code}`: {fault}"
                if re.match(r"(tests|tools|vnfs|daemon|bpf|common|docs|openstack)/[\w./-]+$", code) \
                        and not re.search("NAME|/name/", code) and not (SOURCE / code).exists():
                    yield line, f"there is no {code}"
        self.every(check)

    def test_parameters_of_templates_exist(self):
        def check(_, page):
            for command in page.commands():
                if template := re.search(r"-t (templates/\S+)", command.text):
                    text = (SOURCE / "openstack" / template[1]).read_text()
                    for name in re.findall(r"--parameter (\w+)=", command.text):
                        if not re.search(rf"^  {name}:", text, re.MULTILINE):
                            yield command.line, f"{template[1]} has no parameter {name}"
        self.every(check)

    def test_links_lead_somewhere(self):
        def check(name, page):
            for line, text in page.prose:
                for target in re.findall(r"\]\(([^)\s]+)\)", text):
                    if "://" in target:
                        continue
                    path, _, anchor = target.partition("#")
                    there = (Path(name).parent / path) if path else Path(name)
                    file = (SOURCE / there).resolve()
                    if not file.exists():
                        yield line, f"there is no {target}"
                    elif anchor and file.suffix == ".md":
                        other = self.pages[str(file.relative_to(SOURCE))]
                        if anchor not in anchors(other):
                            yield line, f"{path or name} has no #{anchor}"
        self.every(check)

    def test_a_guide_has_every_verb_and_option(self):
        for vnf, (names, _) in GUIDES.items():
            text = "\n".join("\n".join(self.pages[f"docs/{n}.md"].source) for n in names)
            for path, shown in HELP.items():
                of = path and path[0] if path and path[0] in GUIDES else ""
                if not path or of != vnf or "Subcommands:" in shown or path[0] in ELSEWHERE:
                    continue
                coded = " ".join(code for n in names for _, code in self.pages[f"docs/{n}.md"].spans())
                self.assertIn(path[-1], re.findall(r"[a-z]+", coded), f"{' '.join(path)} in {names}")
                for names_of_one in re.findall(r"^  (-\S+)", shown, re.MULTILINE):
                    spelt = names_of_one.split(",")
                    self.assertTrue("--help" in spelt or any(f"{one} " in text or f"{one}]" in text
                                                             or f"{one}`" in text for one in spelt),
                                    f"{' '.join(path)} {names_of_one} in {names}")

    def test_a_guide_has_every_key(self):
        for names, tables in GUIDES.values():
            text = "\n".join("\n".join(self.pages[f"docs/{n}.md"].source) for n in names)
            for part in re.split(r"^\.SS ", MANUAL, flags=re.MULTILINE)[1:]:
                heading, body = part.split("\n", 1)
                if heading not in tables:
                    continue
                for keys in re.findall(r"^\.TP\n\\fB(.*)\\fR$", body.split("\n.SH ")[0], re.MULTILINE):
                    for key in keys.split(", "):
                        self.assertRegex(text, rf"`[^`\n]*\b{key}\b[^`\n]*`",
                                         f"{heading} in {names}")


unittest.main(argv=["documents"], verbosity=1)
