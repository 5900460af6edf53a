# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's files: this machine's own programs with their libraries, what was built and its
sources at the same places as here, and a kernel's modules, as an initial RAM file system."""
import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1]

PYTHON = "/usr/bin/python3"  # Debian's; another may be first in PATH
PROGRAMS = [
    PYTHON, "/bin/sh", "/usr/sbin/bpftool", "/bin/ip", "/sbin/tc", "/sbin/ethtool", "/usr/sbin/nft",
    "/sbin/sysctl", "/usr/bin/nsenter", "/usr/bin/unshare", "/sbin/modprobe", "/usr/bin/curl",
    "/usr/sbin/nginx", *(f"/usr/sbin/ip{six}tables{kind}{what}" for six in ("", "6")
                         for kind in ("", "-nft", "-legacy") for what in ("", "-save", "-restore")),
    "/usr/bin/ndpiReader", "/bin/cat", "/bin/grep", "/bin/rm",
]
# What a guest needs that only looks at its interfaces.
SMALL = [PYTHON, "/bin/sh", "/bin/ip", "/sbin/ethtool", "/sbin/modprobe"]
XDP_TOOLS = ["/usr/sbin/xdpdump", "/usr/sbin/xdp-filter", "/usr/sbin/xdp-loader"]
FILES = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/protocols", "/etc/services"]
# Modules that packets meet; the kernel asks for them as they are needed.
MODULES = ["net", "drivers/net", "drivers/virtio", "lib", "crypto", "arch/x86/crypto"]
NOT_OF_PYTHON = shutil.ignore_patterns("dist-packages", "test", "tests", "idlelib", "lib2to3",
                                       "config-*", "__pycache__", "tkinter", "ensurepip")


def run(*words, **more):
    subprocess.run([str(w) for w in words], check=True, **more)


class Image:
    def __init__(self, root):
        self.root = root
        shutil.rmtree(root, ignore_errors=True)
        for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "tmp", "run",
                     "root", "etc", "var/log/nginx", "var/lib/nginx"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        self.has = set()

    def at(self, path):
        return self.root / str(path).lstrip("/")

    def add(self, path, strip=False):
        """A file, at the same place as here, with the libraries it needs."""
        if str(path) in self.has:
            return
        self.has.add(str(path))
        to = self.at(path)
        to.parent.mkdir(parents=True, exist_ok=True)
        if strip:
            run("strip", "-o", to, path)
        else:
            shutil.copy(path, to)
        with open(path, "rb") as file:
            if file.read(4) == b"\x7fELF":
                self.add_libraries(path)

    def add_libraries(self, path):
        said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(?:=> |^\s+)(/\S+) \(", said, re.MULTILINE):
            self.add(library)

    def add_tree(self, path, ignore=None):
        shutil.copytree(path, self.at(path), ignore=ignore, dirs_exist_ok=True)

    def add_system(self, programs, xdp_tools=False):
        for path in programs + (XDP_TOOLS if xdp_tools else []):
            self.add(path)
        for path in FILES:
            if Path(path).exists():
                self.add(path)
        libraries = Path("/usr/lib") / sysconfig.get_config_var("MULTIARCH")
        self.add_tree(libraries / "xtables")
        if xdp_tools:
            self.add_tree(libraries / "bpf")
        stdlib = subprocess.run(
            [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"],
            capture_output=True, text=True, check=True).stdout.strip()
        self.add_tree(stdlib, NOT_OF_PYTHON)
        for library in Path(stdlib, "lib-dynload").glob("*.so"):
            self.add_libraries(library)

    def add_sources(self):
        self.add_tree(SOURCE / "tests", shutil.ignore_patterns("*.cpp", "*.hpp", "__pycache__", "corpus"))
        self.add_tree(SOURCE / "tools/lab", shutil.ignore_patterns("__pycache__"))

    def write(self, kernel, plan, to, files=MODULES):
        """All of it for one kernel, with these of its modules; its first process follows the plan."""
        modules = self.at("/lib/modules")
        shutil.rmtree(modules, ignore_errors=True)
        for at in [at for name in files for at in sorted((kernel.modules / "kernel").glob(name))]:
            copy = modules / kernel.release / at.relative_to(kernel.modules)
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if at.is_dir() else shutil.copy)(at, copy)
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(kernel.modules / name, modules / kernel.release)
        run("depmod", "-b", self.root, kernel.release)
        self.at("/plan.json").write_text(json.dumps(plan))
        shutil.copy(HERE / "guest.py", self.at("/init"))
        self.at("/init").chmod(0o755)
        names = sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*"))
        with open(to, "wb") as out:
            run("cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet", cwd=self.root, stdout=out,
                input="\n".join(names).encode())
