# SPDX-License-Identifier: GPL-2.0-or-later
"""A server with files to download, for edpi's tests."""
import hashlib
import subprocess

from edpi_case import EdpiCase

WEB = """
pid {dir}/web.pid; error_log {dir}/web.err; daemon on; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 8000; listen [::]:8000; root {dir}/files; }}
  server {{ listen 443 ssl; ssl_certificate {dir}/cert; ssl_certificate_key {dir}/key;
            root {dir}/files; }}
}}
"""
BIG = 20_000_000
# Takes a part of it, and the rest when it is told. Meanwhile the server can send no more than two
# buffers hold.
PAUSE = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.connect(("10.0.11.2", 8000))
s.sendall(b"GET /big HTTP/1.1\\r\\nHost: 10.0.11.2:8000\\r\\nConnection: close\\r\\n\\r\\n")
answer = s.makefile("rb")
while answer.readline() != b"\\r\\n":
    pass
with open(sys.argv[1], "wb") as out:
    out.write(answer.read(200_000))
    sys.stdin.readline()
    while data := answer.read1(1 << 20):
        out.write(data)
"""


class EdpiWebCase(EdpiCase):
    def setUp(self):
        super().setUp()
        self.start_web()

    def start(self, section="", chains=""):
        self.records_file = self.lab.dir / "records"
        self.lab.write_config(f'{chains}export = "file:{self.records_file}"\n{section}')
        self.lab.start_daemon()

    def start_web(self):
        """A server with files, by HTTP at port 8000 and by TLS."""
        files = self.lab.dir / "files"
        files.mkdir()
        content = b"".join(hashlib.sha256(bytes([i % 256, i // 256 % 256])).digest()
                           for i in range(BIG // 32))
        (files / "big").write_bytes(content)
        (files / "small").write_text("small\n")
        self.digest = hashlib.sha256(content).hexdigest()
        self.lab.dir.chmod(0o755)
        self.lab.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                      self.lab.dir / "key", "-out", self.lab.dir / "cert", "-subj", "/CN=x"])
        conf = self.lab.dir / "web.conf"
        conf.write_text(WEB.format(dir=self.lab.dir))
        self.lab.servers[0].run("nginx", "-c", conf)

    def download_known(self):
        """The digest of what the client gets, who waits with most of it until it is known what
        it is, however long that takes."""
        out = self.lab.dir / "got"
        client = subprocess.Popen(self.lab.client.command(["python3", "-c", PAUSE, out]),
                                  stdin=subprocess.PIPE)
        self.lab.processes.append(client)
        self.assertTrue(self.until(lambda: self.lab.evnf_json(
            "edpi", "flows", "--port", "8000", "--state", "classified")))
        client.communicate(b"go on\n")
        return hashlib.sha256(out.read_bytes()).hexdigest()

    def download(self, host="10.0.11.2", *more):
        """The digest of what the client gets."""
        out = self.lab.dir / "got"
        self.lab.client.run("curl", "-s", "-m", "100", "-o", out, *more,
                            f"http://{host}:8000/big")
        return hashlib.sha256(out.read_bytes()).hexdigest()

    def tls(self, name, port, seconds=30):
        return self.curl(f"https://{name}/small", "-k", "--resolve", f"{name}:443:10.0.11.2",
                         "--local-port", str(port), seconds=seconds)

    def policies(self):
        return {p["name"]: p for p in self.lab.evnf_json("edpi", "policy", "list")}
