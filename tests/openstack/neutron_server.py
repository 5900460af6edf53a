#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs Debian's neutron server with networking-sfc's driver for Open vSwitch, for one who asks it
on this host: without keystone, agents and a database server. Its folder is the one argument.

neutron's own migrations do not run on SQLite, so the tables are made of its models."""
import importlib
import pkgutil
import sys
from pathlib import Path

CONFIG = """\
[DEFAULT]
core_plugin = ml2
service_plugins = networking_sfc.services.flowclassifier.plugin.FlowClassifierPlugin,\
networking_sfc.services.sfc.plugin.SfcPlugin
auth_strategy = noauth
bind_host = 127.0.0.1
bind_port = 9696
api_workers = 0
rpc_workers = 0
transport_url = fake://
api_paste_config = /etc/neutron/api-paste.ini
state_path = {folder}
[oslo_concurrency]
lock_path = {folder}
[database]
connection = sqlite:///{folder}/neutron.sqlite
[ml2]
type_drivers = vxlan
tenant_network_types = vxlan
mechanism_drivers = openvswitch
extension_drivers = port_security
[ml2_type_vxlan]
vni_ranges = 1:1000
[sfc]
drivers = ovs
[flowclassifier]
drivers = ovs
"""


def main():
    folder = Path(sys.argv[1])
    config = folder / "neutron.conf"
    config.write_text(CONFIG.format(folder=folder))
    sys.argv = ["neutron-server", "--config-file", str(config)]

    from neutron.cmd.eventlet import server  # first, for eventlet
    from neutron_lib.db import model_base
    from neutron.db.migration.models import head  # noqa: F401  (all tables of neutron)
    from neutron.db.models.plugins.ml2.vxlanallocation import VxlanEndpoints
    import networking_sfc
    import sqlalchemy

    for module in pkgutil.walk_packages(networking_sfc.__path__, "networking_sfc."):
        if ".tests" not in module.name and module.name.endswith("db"):
            importlib.import_module(module.name)
    engine = sqlalchemy.create_engine(f"sqlite:///{folder}/neutron.sqlite")
    model_base.BASEV2.metadata.create_all(engine)
    # The end of the tunnels at a host, which its agent would have told.
    with engine.begin() as db:
        db.execute(VxlanEndpoints.__table__.insert().values(
            ip_address="192.0.2.1", udp_port=4789, host="compute1"))
    server.main()


if __name__ == "__main__":
    sys.exit(main())
