#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""install.py SOURCE BUILD: what `meson install` gives is what the packages take, and works.

Each installed file belongs to exactly one package, and no line of debian/*.install is for nothing;
the units are ones that systemd understands; the shells take the completions; and a stage can be made
with nothing but the installed headers.
"""
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, BUILD = map(Path, sys.argv[1:3])
STAGE = """\
#include "lib/stage.h"
STAGE(mirror)
{
        return p->flow.dport == bpf_htons(53) ? VNF_REASON(VERDICT_DROP, 0) : NEXT;
}
char LICENSE[] SEC("license") = "GPL";
"""


def run(*words, **more):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **more)


def patterns():
    """Each line of debian/*.install, as (package, pattern)."""
    out = []
    for file in sorted((SOURCE / "debian").glob("*.install")):
        for line in file.read_text().splitlines():
            out.append((file.stem, line.split()[0]))
    return out


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix="evnf-install-"))
        done = run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                   env={**os.environ, "DESTDIR": str(cls.root)})
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        prefix = run("meson", "introspect", "--buildoptions", BUILD).stdout
        cls.prefix = re.search(r'"name": "prefix", "value": "([^"]*)"', prefix)[1]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def at(self, path):
        return self.root / self.prefix.lstrip("/") / path

    def installed(self):
        """Paths as they are with --prefix=/usr, of which debian/*.install speaks."""
        for path in self.root.rglob("*"):
            empty = path.is_dir() and not any(path.iterdir())
            if path.is_file() or empty:
                name = "/" + str(path.relative_to(self.root))
                name = re.sub(f"^{self.prefix}/etc/", "/etc/", name)
                yield re.sub(f"^{self.prefix}/", "/usr/", name).lstrip("/")

    def test_each_file_is_of_one_package(self):
        used = set()
        for name in self.installed():
            owners = {(package, p) for package, p in patterns()
                      if fnmatch.fnmatchcase(name, p) or name.startswith(p + "/")}
            self.assertEqual(len({package for package, _ in owners}), 1, name)
            used |= owners
        self.assertEqual(set(patterns()) - used, set())

    def test_systemd_takes_the_units(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze here")
        for name in ("evnfd@.service", "evnf-agentx@.service"):
            unit = next(self.root.rglob(name))
            here = self.root / name  # its program is not where it will be
            here.write_text(unit.read_text().replace(f"{self.prefix}/sbin", f"{self.at('sbin')}"))
            try:
                done = run("systemd-analyze", "verify", "--man=no", here)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
            finally:
                here.unlink()

    def test_the_shell_takes_the_completion(self):
        script = self.at("share/bash-completion/completions/evnf.bash")
        path = f"{self.at('bin')}:{os.environ['PATH']}"
        done = run("bash", "-c", f'. {script}; COMP_WORDS=(evnf completion ""); COMP_CWORD=2; _evnf; '
                   'echo "${COMPREPLY[@]}"', env={**os.environ, "PATH": path})
        self.assertEqual(done.stdout.strip(), "bash zsh", done.stderr)

    def test_a_stage_is_made_with_the_installed_headers(self):
        pc = self.at("share/pkgconfig")
        flags = run("pkg-config", "--define-variable", f"prefix={self.at('')}", "--cflags", "evnf",
                    env={**os.environ, "PKG_CONFIG_PATH": str(pc)}).stdout.split()
        self.assertTrue(flags)
        multiarch = run("gcc", "-print-multiarch").stdout.strip()
        for tc in ([], ["-DEVNF_TC"]):
            done = run("clang", "-target", "bpf", "-mcpu=v3", "-std=gnu11", "-O2", "-g", "-Wall",
                       "-Werror", *flags, *tc, "-idirafter", f"/usr/include/{multiarch}", "-x", "c",
                       "-c", "-", "-o", "/dev/null", input=STAGE)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


unittest.main(argv=["install"], verbosity=1)
