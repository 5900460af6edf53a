#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in openstack/ holds together: user-data brings configurations that evnfd takes, and each
word that is to be replaced in them is replaced by all who do. The real judges, Heat, neutron and
diskimage-builder, are asked by ./run openstack-check."""
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

OPENSTACK = Path(__file__).resolve().parents[2] / "openstack"
EVNFD = sys.argv.pop(1)
MACS = ["fa:16:3e:00:00:01", "fa:16:3e:00:00:02"]
WORDS = {"VIP": "10.0.1.10", "SERVICE_PORT": "80", "ADMIN_CIDR": "198.51.100.0/24",
         "OWN_ADDRESS": "10.0.1.7", "CLIENTS_MAC": MACS[0], "SERVERS_MAC": MACS[1],
         "PORT_MAC": MACS[0], "BACKENDS": '{ address = "10.0.20.11" }, { address = "10.0.20.12" }'}
CONFIGS = sorted((OPENSTACK / "config").glob("*.toml"))


def words_of(config):
    """The words in capitals outside comments."""
    text = re.sub(r"#.*", "", config.read_text())
    return set(re.findall(r"\b[A-Z][A-Z_]+\b", text))


def user_data(*args):
    return subprocess.run([OPENSTACK / "user-data", *args], capture_output=True, text=True)


def for_vm(config):
    done = user_data("--package", "https://example.org/evnf.deb", "--sha256", "0" * 64,
                     "--config", str(config), *(w for m in MACS for w in ("--port", m)),
                     "--vip", WORDS["VIP"], "--vip-port", MACS[0],
                     *(f"{k}={WORDS[k]}" for k in words_of(config)))
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(text, path):
    """The content that cloud-init will write to a path."""
    block = re.search(rf"  - path: {path}\n    permissions: '\d+'\n    content: \|\n((?:      .*\n|\n)+)",
                      text)
    return re.sub(r"^      ", "", block[1], flags=re.M)


class FilesTest(unittest.TestCase):
    def test_evnfd_takes_the_configurations(self):
        for config in CONFIGS:
            with self.subTest(config.name), tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                text = written(for_vm(config), "/etc/evnf/evnf.toml.in")
                self.assertEqual(words_of(Path(config)) & set(re.findall(r"\b[A-Z_]+\b", text)), set())
                for number, mac in enumerate(MACS):
                    text = text.replace(f"@{mac}@", f"port{number}")
                self.assertNotIn("@", re.sub(r"#.*", "", text))
                file.write(text)
                file.flush()
                done = subprocess.run([EVNFD, "--check", "--config", file.name],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_script_comes_as_it_is(self):
        self.assertEqual(written(for_vm(CONFIGS[0]), "/usr/local/sbin/evnf-vm"),
                         (OPENSTACK / "evnf-vm").read_text())

    def test_all_words_are_replaced_by_templates_and_script(self):
        deploy = (OPENSTACK / "deploy").read_text()
        for config in CONFIGS:
            for template in (OPENSTACK / "templates").glob("*.yaml"):
                text = template.read_text()
                at = text.find(f"get_file: ../config/{config.name}")
                if at >= 0:
                    params = set(re.findall(r"^            ([A-Z_]+):", text[at:].split("\n\n")[0], re.M))
                    self.assertEqual(params, words_of(config), f"{template.name}: {config.name}")
            call = re.search(rf"config/{config.name}\"(?:.*\\\n)*.*", deploy)[0]
            given = set(re.findall(r'"([A-Z_]+)=', call)) | {"VIP", "SERVICE_PORT", "ADMIN_CIDR"}
            self.assertEqual(given, words_of(config), f"deploy: {config.name}")

    def test_what_is_wrong_is_named(self):
        config = str(CONFIGS[0])
        for args, named in ((["--config", config], "--package"),
                            (["--package", "evnf"], "--config"),
                            (["--package", "evnf", "--config", "/none.toml"], "/none.toml"),
                            (["--package", "evnf", "--config", config], "--port"),
                            (["--package", "evnf", "--config", config, "--port", "eth0"], "'eth0'"),
                            (["--package", "evnf", "--config", config, "--port", MACS[0], "VIP="], "VIP"),
                            (["--package", "evnf", "--config", config, "--port", MACS[0], "--vip",
                              "10.0.1.10"], "--vip-port"),
                            (["--pakage", "evnf"], "--pakage")):
            done = user_data(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertIn(named, done.stderr)

    @unittest.skipUnless(shutil.which("cloud-init"), "cloud-init is not installed here; "
                         "./run openstack-check has it judge the user-data")
    def test_cloud_init_takes_the_user_data(self):
        for config in CONFIGS:
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(for_vm(config))
                file.flush()
                subprocess.run(["cloud-init", "schema", "--config-file", file.name], check=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
