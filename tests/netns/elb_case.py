# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of elb have in common: chains and services as text, and servers that answer the
client past elb."""
from lab import PATIENCE

IN = """\
[[chain]]
name = "in"
path = "in(cli0) -> elb -> out"
"""
CHAINS = IN + """
[[chain]]
name = "back"
path = "in(srv1, srv2) -> elb -> out"
"""

# For chains with efw.
ACCEPTED = """
[efw]
default = "accept"
"""


def service(address, port, protocol, backends, more=""):
    """The backends: (address, port, weight), of which port and weight may be left out."""
    listed = ", ".join(
        "{ " + ", ".join(f'{key} = {value}' for key, value in
                         zip(("address", "port", "weight"), (f'"{at}"', *rest))) + " }"
        for at, *rest in backends)
    return (f'\n[[elb.service]]\naddress = "{address}"\nport = {port}\nprotocol = "{protocol}"\n'
            f'{more}\nbackends = [ {listed} ]\n')


def give_way_past(lab, server, net):
    """A way of a server's own to the client, by the interface "direct"."""
    lab.run(["ip", "link", "add", "direct", "netns", server.netns, "type", "veth",
             "peer", "name", server.name, "netns", lab.client.netns])
    for at, interface, last in ((server, "direct", 2), (lab.client, server.name, 1)):
        at.run("ip", "addr", "add", f"10.0.{net}.{last}/24", "dev", interface)
        at.run("ip", "addr", "add", f"fd00:{net}::{last}/64", "dev", interface, "nodad")
        at.run("ip", "link", "set", interface, "up")
    server.run("ip", "route", "add", "10.0.1.0/24", "via", f"10.0.{net}.1")
    server.run("ip", "-6", "route", "add", "fd00:1::/64", "via", f"fd00:{net}::1")


def listens(server, port, *kinds):
    """Waits until a server does: "t" for TCP, "u" for UDP."""
    for kind in kinds:
        server.run("sh", "-c", f"until ss -Hln{kind} sport = :{port} | grep -q .; "
                   "do sleep 0.05; done", timeout=PATIENCE)
