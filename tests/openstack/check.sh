#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check.sh BUILD: has Debian's OpenStack judge what is in openstack/. The programs that judge are
# in a folder of their own (root.sh), and run without any network but their own loopback, save for
# the image, which is made of packages from Debian's archive.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
build=$1
root=$build/openstack/root

die() {
    printf 'openstack-check: %s\n' "$*" >&2
    exit 1
}
say() { printf '== %s\n' "$*"; }

tests/openstack/root.sh "$root"
rm -rf "$root/srv/check"
mkdir -p "$root/srv/check/out"
cp -a openstack "$root/srv/check/openstack"
cp -a tests/openstack "$root/srv/check/tests"

inside() {
    # shellcheck disable=SC2016  # the inner shell's own words
    unshare --mount --net --propagation private \
        sh -c 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"' "$root" "$@"
}

# template NAME PARAMETER...
template() {
    local name=$1
    shift
    inside /srv/check/tests/heat_check.py "/srv/check/openstack/templates/$name.yaml" /srv/check/out \
        flavor=m1.small key_name=key clients_network=clients clients_subnet=clients \
        vip=10.0.1.10 admin_cidr=198.51.100.0/24 "$@"
}

# refused WHY COMMAND...: what cannot be refused has not been judged.
refused() {
    local why=$1 said
    shift
    if said=$("$@" 2>&1); then
        die "was not refused: $*"
    fi
    grep -q "$why" <<<"$said" || die "'$why' was expected of $*: $said"
}

say "Heat: templates"
template one-vm
template port-chain source_port=client
template autoscaling server_image=web server_flavor=m1.small
sed 's/port_security_enabled/port_security_enable/' openstack/templates/one-vm.yaml \
    >"$root/srv/check/openstack/templates/unknown-property.yaml"
refused 'Unknown Property port_security_enable' template unknown-property
sed 's/get_resource: efw_pair/get_resource: efw_pear/' openstack/templates/port-chain.yaml \
    >"$root/srv/check/openstack/templates/bad-reference.yaml"
refused 'reference "efw_pear"' template bad-reference source_port=client

say "cloud-init: the user-data of the templates"
for file in "$root"/srv/check/out/*.yaml; do
    inside cloud-init schema --config-file "/srv/check/out/${file##*/}"
    # The configuration in it, as evnfd reads it once ports have names.
    inside python3 -c "import sys, yaml
for f in yaml.safe_load(open(sys.argv[1]))['write_files']:
    if f['path'].endswith('.toml.in'): print(f['content'])" "/srv/check/out/${file##*/}" |
        sed -E 's/@fa:16:3e:00:00:(..)@/port\1/g' >"$build/openstack/evnf.toml"
    "$build/daemon/evnfd" --check --config "$build/openstack/evnf.toml"
done
printf '#cloud-config\nruncmd: 7\n' >"$root/srv/check/out/bad.yaml"
refused "7 is not of type 'array'" inside cloud-init schema --config-file /srv/check/out/bad.yaml

say "neutron: what deploy asks for"
inside /srv/check/tests/neutron_check.sh

say "diskimage-builder: the element"
inside sh -c 'mkdir /srv/check/none && cd /srv/check/openstack && git init -q . &&
    ELEMENTS_DIR=elements LIB_DIR=/srv/check/none dib-lint'
tests/openstack/image.sh "$root"
say "all good"
