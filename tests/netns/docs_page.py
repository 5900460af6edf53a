# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of the documentation, taken apart: their blocks, the commands in these, and what each
command prints as the page has it.

A block is fenced and says its language. In `console`, a line with a prompt is a command and what
follows is its output; a prompt may begin with the name of a host (`client$ `). In `sh` every line
is a command. An HTML comment right before a block is for the tests:

    <!-- lab: SCENE -->    is made up before the block's commands run (docs_scenes.py)
    <!-- file: PATH -->    the block is this file, and nothing of it is run
"""
import re
from dataclasses import dataclass, field

COMMANDS = ("console", "sh")
PROMPT = re.compile(r"(?:([a-z]+[0-9]*))?[#$] (.*)")
FENCE = re.compile(r"( *)```(\S*)$")
MARK = re.compile(r" *<!-- (lab|file): (.+?) -->$")
ELLIPSIS = re.compile(r"(…|\.\.\.)( |$)")


@dataclass
class Command:
    text: str
    line: int
    host: str = ""
    expected: list = field(default_factory=list)
    strict: bool = True  # its output is that of the page; else only its success counts


@dataclass
class Block:
    language: str
    line: int
    indent: str
    lines: list = field(default_factory=list)
    marks: list = field(default_factory=list)

    def text(self):
        return "\n".join(self.lines) + "\n"

    def commands(self):
        if self.language not in COMMANDS or "file" in dict(self.marks):
            return []
        out, open_command = [], False
        for number, line in enumerate(self.lines, self.line + 1):
            prompt = PROMPT.match(line) if self.language == "console" else None
            if open_command:
                out[-1].text += "\n" + line
            elif prompt:
                out.append(Command(prompt[2], number, prompt[1] or ""))
            elif self.language == "console":
                if not out:
                    raise ValueError(f"line {number}: output before any command")
                out[-1].expected.append(line)
                continue
            elif not line.strip() or line.startswith("#"):
                continue
            else:
                out.append(Command(line, number, strict=False))
            open_command = out[-1].text.endswith("\\")
        return out


class Page:
    def __init__(self, path, name):
        self.name = name
        self.path = path
        self.source = path.read_text(encoding="utf-8").splitlines()
        self.blocks = []
        self.prose = []  # (line, text) of all that is no block
        self.read()

    def read(self):
        block, marks = None, []
        for number, line in enumerate(self.source, 1):
            fence = FENCE.match(line)
            if block is None and fence:
                block = Block(fence[2], number, fence[1], marks=marks)
                marks = []
            elif block is not None and line == block.indent + "```":
                self.blocks.append(block)
                block = None
            elif block is not None:
                block.lines.append(line.removeprefix(block.indent))
            elif mark := MARK.match(line):
                marks.append((mark[1], mark[2]))
            else:
                self.prose.append((number, line))
                if marks:
                    raise ValueError(f"{self.name}:{number}: a block follows '{marks[-1]}'")
        if block is not None:
            raise ValueError(f"{self.name}:{block.line}: the block has no end")

    def commands(self):
        return [command for block in self.blocks for command in block.commands()]

    def spans(self):
        """Code within the text: (line, code)."""
        for number, line in self.prose:
            for code in re.findall(r"`([^`]+)`", line):
                yield number, code

    def indented_code(self):
        """Lines that Markdown takes for code without a fence."""
        before, in_list = "", False
        for number, line in self.prose:
            if re.match(r"( *)([-*]|\d+\.) ", line):
                in_list = True
            elif line and not line.startswith(" "):
                in_list = False
            if line.startswith("    ") and not before and not in_list:
                yield number
            before = line.strip()


# -- what a page shows, and what came

# What differs from one run to the next wherever it stands, and what stands for it.
MEASURES = [(re.compile(pattern), to) for pattern, to in (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"\b\d+-\d{9,}\b", "ID"),
    (r"(?<=[\d\]]):(3[2-9]|[456]\d)\d{3}\b", ":PORT"),  # which a client's kernel has chosen
    (r"(?<=_port=)(3[2-9]|[456]\d)\d{3}\b", "PORT"),
    (r"\b\d+(\.\d+)? ?(ms|us|ns|MiB|KiB)\b", "SOME"),
    (r"\bpid \d+, up \d+ \w+, generation \d+", "pid N, up N, generation N"),
    (r"\b(p?id) \d+", r"\1 N"),
    (r"after \d+ milliseconds", "after N milliseconds"),
    (r"^(\w+ +)\d+( .*(native|generic) +)\d+$", r"\1N\2N"),  # evnf status, an interface
    (r", \d+ bytes$", ", N bytes"),
    (r"^\d+ connections forgotten", "N connections forgotten"),
    (r"\bsilent_s: \d+", "silent_s: N"),
    (r"\b\d+m left", "Nm left"),
    (r"^read \d+ times", "read N times"),
    (r"^\d+ flows, \d+ inspected", "N flows, N inspected"),
    (r"^\d+ packets, \d+ flows", "N packets, N flows"),
    (r'("(?:first_ms|last_ms|source_port)":)\d+', r"\1N"),
    (r'("(?:packets|bytes|copied)(?:_back)?":)[1-9]\d*', r"\1N"),
    (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "MAC"),
    (r"^(  \S+ +(next|drop|slow|done) +\w+ +)[1-9]\d*", r"\1N"),  # evnf chain show, by reasons
)]
# Columns of tables whose numbers are counted or measured. Nothing is nothing, though.
COUNTS = set("""ACTIVE AGE AGGREGATE AFTER BEFORE BYTES BYTES-BACK CHECKS CLIENT-RESETS CONNECTIONS
    EFFECTIVE ESTABLISHED FAILED FLOWS FROM-BYTES FROM-PACKETS IFINDEX MBIT/S NETFILTER PACKETS
    PACKETS-BACK PACKETS/S PROGRAM RESETS SINCE SILENT SUM TO-BYTES TO-PACKETS NEXT DROP SLOW DONE TIME""".split()) | {
    "FAST PATH"}
MAY_BE_NOTHING = {"AGE", "MBIT/S", "PACKETS/S", "SILENT", "SINCE", "TIME"}
COUNT = re.compile(r"\d+(\.\d+)?(/\d+)?(%| ?[smhd])?$")
HEADING = re.compile(r"[A-Z][A-Z0-9/-]*( [A-Z]+)?(  +[A-Z][A-Z0-9/-]*( [A-Z]+)*)+$")


def cells(line):
    return re.split(r"  +", line.strip())


def plain(line, columns):
    """A line without what may differ, in words that one space parts."""
    line = re.sub(r"\s+$", "", line)
    if columns and len(cells(line)) == len(columns):
        row = []
        for cell, column in zip(cells(line), columns):
            if column in COUNTS and COUNT.match(cell):
                cell = "N" if column in MAY_BE_NOTHING or float(re.split(r"[/%smhd]", cell)[0]) else "0"
            row.append(cell)
        line = "  ".join(row)
    for pattern, to in MEASURES:
        line = pattern.sub(to, line)
    return re.sub(r"  +", " ", line)


def plain_lines(lines):
    columns, out = None, []
    for line in lines:
        if HEADING.match(line.strip()):
            columns = cells(line)
        elif not line.strip():
            columns = None
        out.append(plain(line, columns))
    return out


class Line(str):
    def __eq__(self, other):
        for one, another in ((self, other), (other, self)):
            if one.endswith(" …"):
                return another.startswith(one[:-1])
        return str(self) == str(other)

    __hash__ = str.__hash__


def fits(expected, got):
    """Whether lines are those of the page, in which an ellipsis is any lines, or, at the end of
    one, any rest of it."""
    want, have = ([*map(Line, plain_lines(lines))] for lines in (expected, got))
    parts, current = [], []
    for line in want:
        if ELLIPSIS.match(line.strip()):
            parts.append(current)
            current = []
        else:
            current.append(line)
    parts.append(current)
    if len(parts) == 1:
        return have == want
    first, *middle, last = parts
    if have[:len(first)] != first:
        return False
    at = len(first)
    for part in middle:
        at = next((i + len(part) for i in range(at, len(have) - len(part) + 1)
                   if have[i:i + len(part)] == part), None)
        if at is None:
            return False
    return len(have) - at >= len(last) and have[len(have) - len(last):] == last
