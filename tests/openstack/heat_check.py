#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Has Debian's Heat parse and validate templates, and render the user-data of their VMs.

heat_check.py TEMPLATE OUT NAME=VALUE...    exit code 1, and why, if Heat refuses the template

The template is read by Heat's client, with the files that it names; what parses and validates
is Heat's engine, in this process. Of a cloud there is none, so this is answered here: whether
the services exist that resources need, and what is named, such as an image (yes); whether the image
fits the flavor (yes), how many metadata a server may have (128), and which MAC and IP addresses
neutron gave to ports (made up)."""
import logging
import sys
from pathlib import Path

from heat.common import context, exception, messaging, template_format
from heat.engine import constraints, environment, resource, resources
from heat.engine import stack as stacks
from heat.engine import template
from heat.engine.clients.os import neutron, nova
from heat.engine.hot import functions
from heat.engine.resources.openstack.nova.server import Server
from heatclient.common import template_utils
from oslo_config import cfg

ADDRESSES = {}


def exists_in_the_cloud(self, value, ctx, template=None):
    return bool(value)


def answer_for_the_cloud():
    resource.Resource.is_service_available = classmethod(lambda cls, ctx: (True, None))
    constraints.BaseCustomConstraint.validate = exists_in_the_cloud
    plugin = neutron.NeutronClientPlugin
    plugin.find_resourceid_by_name_or_id = lambda self, kind, name, cmd_resource=None: name
    plugin.resolve_ext_resource = lambda self, kind, name: name
    # What only nova and glance know of a server: sizes of image and flavor, its limits.
    nova.NovaClientPlugin.absolute_limits = lambda self: {"maxServerMeta": 128}
    Server._validate_image_flavor = lambda self, image, flavor: None
    Server._validate_block_device_mapping = lambda self: None
    real = functions.GetAtt.result

    def result(self):
        number = ADDRESSES.setdefault(self._res_name(), len(ADDRESSES) + 1)
        made_up = {"mac_address": f"fa:16:3e:00:00:{number:02x}",
                   "fixed_ips": f"10.0.1.{100 + number}"}
        return made_up.get(functions.function.resolve(self._attribute)) or real(self)

    functions.GetAtt.result = result


def user_data(stack):
    """Of the VMs in a stack and the stacks in it, by name."""
    for r in stack.values():
        if r.type() == "OS::Heat::CloudConfig":
            text = template_format.yaml.dump(r.properties["cloud_config"],
                                             Dumper=template_format.yaml_dumper)
            yield stack.name, "#cloud-config\n" + text
        elif r.type().endswith(".yaml"):
            nested = r._parse_nested_stack(f"{stack.name}-{r.name}", r.child_template(),
                                           r.child_params())
            yield from user_data(nested)


def main():
    path, out, *words = sys.argv[1:]
    logging.disable(logging.WARNING)
    cfg.CONF([], project="heat", default_config_files=[])
    messaging.setup("fake://")
    resources.initialise()
    answer_for_the_cloud()
    files, text = template_utils.get_template_contents(path)
    # As they are once the client has sent them.
    files = {name: content.decode() if isinstance(content, bytes) else content
             for name, content in files.items()}
    env = environment.Environment({"parameters": dict(w.split("=", 1) for w in words)})
    stack = stacks.Stack(context.RequestContext(project_id="check", is_admin=True), Path(path).stem,
                         template.Template(text, files=files, env=env))
    try:
        stack.validate()
    except (exception.HeatException, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {len(stack)} resources, good")
    for name, text in user_data(stack):
        Path(out, f"{name}.yaml").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
