#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kernels.py FOLDER VERSION...: Debian's kernels, unpacked in FOLDER, once: "6.1" is that for
virtual machines, "6.1-machine" that for machines, which has the drivers of their NICs.

They come from Debian's archive by lists of their own: neither the machine's sources nor what is
installed on it changes.
"""
import re
import subprocess
import sys
from pathlib import Path

# Debian 12 has the kernel of Debian 13 too, in the same archive.
VERSIONS = ("6.1", "6.12")
PACKAGES = {"6.1": "linux-image-cloud-amd64", "6.1-machine": "linux-image-amd64",
            "6.12": "linux-image-6.12-cloud-amd64", "6.12-machine": "linux-image-6.12-amd64"}
SOURCE = ("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
          "http://deb.debian.org/debian-security bookworm-security main\n")


class KernelError(Exception):
    """A kernel cannot be had; the message says why."""


class Kernel:
    """One that has been unpacked."""

    def __init__(self, version, folder):
        self.version = version
        [self.image] = folder.glob("boot/vmlinuz-*")
        self.release = self.image.name.removeprefix("vmlinuz-")
        self.modules = folder / "lib/modules" / self.release
        self.package = (folder / "package").read_text()  # its version in Debian


def find(folder, version):
    """The kernel, or None if it has not been fetched."""
    at = folder / "kernels" / version
    return Kernel(version, at) if at.exists() else None


def run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise KernelError(f"no kernel from Debian's archive: {words[0]}: {done.stderr.strip()}")
    return done.stdout


def fetch(folder, version):
    if kernel := find(folder, version):
        return kernel
    if version not in PACKAGES:
        raise KernelError(f"there is no kernel {version}: {' and '.join(VERSIONS)} are known")
    apt = (folder / "apt").resolve()
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(SOURCE)
    options = ["-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]
    for name, at in (("Etc::SourceList", apt / "sources.list"), ("Etc::SourceParts", "/dev/null"),
                     ("State::Lists", apt / "lists"), ("Cache", apt / "cache")):
        options += ["-o", f"Dir::{name}={at}"]
    print(f"== fetching Debian's kernel {version}", file=sys.stderr, flush=True)
    run("apt-get", *options, "--error-on=any", "update")
    about = run("apt-cache", *options, "show", "--no-all-versions", PACKAGES[version])
    depends = re.search(r"^Depends: (linux-image-\S+) \(= (\S+)\)", about, re.MULTILINE)
    if not depends:
        raise KernelError(f"{PACKAGES[version]} does not say which kernel it is: {about}")
    package, has = depends.groups()
    run("apt-get", *options, "download", package, cwd=apt)
    [deb] = apt.glob(f"{package}_*.deb")
    new = folder / "kernels" / f"{version}.new"
    run("rm", "-rf", new)
    new.mkdir(parents=True)
    run("dpkg-deb", "-x", deb, new)
    deb.unlink()
    (new / "package").write_text(has)
    new.rename(folder / "kernels" / version)  # whole, or not there
    return find(folder, version)


if __name__ == "__main__":
    try:
        for wanted in sys.argv[2:]:
            fetch(Path(sys.argv[1]), wanted)
    except KernelError as why:
        sys.exit(f"kernels: {why}")
