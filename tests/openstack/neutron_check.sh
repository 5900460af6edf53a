#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Has the real neutron server, with networking-sfc, take what openstack/deploy asks for by the real
# client. Runs where Debian's packages of these are, in a network namespace of its own.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
deploy=$here/../openstack/deploy
folder=$(mktemp -d)

die() {
    printf 'neutron_check: %s\n' "$*" >&2
    exit 1
}
say() { printf -- '-- %s\n' "$*"; }

mkdir "$folder/bin" "$folder/servers"
ln -s "$here/openstack-without-nova" "$folder/bin/openstack"
export PATH=$folder/bin:$PATH SERVERS=$folder/servers
export OS_AUTH_TYPE=none OS_ENDPOINT=http://127.0.0.1:9696

ip link set lo up
python3 "$here/neutron_server.py" "$folder" >"$folder/neutron.log" 2>&1 &
server=$!
# shellcheck disable=SC2064  # the server is known now
trap "kill $server; wait $server || :; rm -rf $folder" EXIT
until (exec 3<>/dev/tcp/127.0.0.1/9696) 2>/dev/null; do
    kill -0 $server 2>/dev/null || die "neutron does not start: $(tail -n 20 "$folder/neutron.log")"
    sleep 0.5
done

# ask WHAT GOT WANTED
ask() { [ "$2" = "$3" ] || die "$1: '$2' is not '$3'"; }

# What deploy has left of its own.
left() {
    local kind
    for kind in port network 'sfc port chain' 'sfc flow classifier' 'sfc port pair group' 'sfc port pair' 'security group'; do
        # shellcheck disable=SC2086  # a kind is several words
        openstack $kind list -f value | grep -w "$1" || :
    done
    ls "$SERVERS"
}

say "the clients' network"
openstack network create clients -f value -c status
openstack subnet create clients --network clients --subnet-range 10.0.1.0/24 -f value -c cidr
openstack port create client --network clients --host compute1 --device client \
    --device-owner compute:nova -f value -c mac_address
settings=(FLAVOR=m1.small KEY=key CLIENTS_NETWORK=clients CLIENTS_SUBNET=clients VIP=10.0.1.10
    ADMIN_CIDR=198.51.100.0/24)

say "a port chain"
"$deploy" port-chain web "${settings[@]}" SOURCE_PORT=client
chain=$(openstack sfc port chain show web -f json)
for hop in efw elb; do
    group=$(openstack sfc port pair group show "web-$hop" -f value -c ID)
    grep -q "$group" <<<"$chain" || die "the chain has not the group web-$hop: $chain"
done
ask "port security of the chain's ports" "$(openstack port show web-efw -f value -c port_security_enabled)" False
for vm in efw elb; do
    cloud-init schema --config-file "$SERVERS/web-$vm.yaml"
done

say "what cannot be is refused, and taken back"
# refused WHY COMMAND...
refused() {
    local why=$1 said
    shift
    if said=$("$@" 2>&1); then
        die "was taken: $*"
    fi
    grep -q "$why" <<<"$said" || die "'$why' was expected of $*: $said"
}
refused "already allocated" "$deploy" port-chain again "${settings[@]}" SOURCE_PORT=client
ask "left of it" "$(left again)" "$(ls "$SERVERS")"
# A port without a VM, which is why the templates wait for theirs.
openstack port create alone --network clients >/dev/null
refused "does not belong to a host" openstack sfc port pair create alone --ingress alone --egress alone
refused "does not set logical source port" openstack sfc flow classifier create alone --ethertype IPv4 --protocol udp
refused "conflicts with" openstack sfc flow classifier create alone --ethertype IPv4 --protocol tcp \
    --logical-source-port client
# A hop is in the subnet of the port before it.
openstack sfc flow classifier create cross --ethertype IPv4 --protocol udp --logical-source-port client >/dev/null
openstack sfc port pair create cross --ingress web-servers --egress web-clients >/dev/null
openstack sfc port pair group create cross --port-pair cross >/dev/null
refused "create_port_chain_postcommit failed" openstack sfc port chain create cross \
    --port-pair-group cross --flow-classifier cross
grep -q "Cross-subnet chain not supported" "$folder/neutron.log" || die "the log does not say why"
openstack sfc port pair group delete cross
openstack sfc port pair delete cross
openstack sfc flow classifier delete cross

# A group of a hop that changes addresses, for which the client has no word.
curl -sf -X POST -H 'Content-Type: application/json' $OS_ENDPOINT/v2.0/sfc/port_pair_groups -d \
    '{"port_pair_group": {"name": "rewrites", "port_pairs": [], "project_id": "fake_project_id",
      "port_pair_group_parameters": {"ppg_n_tuple_mapping": {
        "ingress_n_tuple": {"destination_ip_prefix": "10.0.1.10/32"},
        "egress_n_tuple": {"destination_ip_prefix": "10.0.20.0/24"}}}}}' >/dev/null ||
    die "a mapping of addresses was refused"

say "and taken away"
"$deploy" delete web
ask "left of it" "$(left web)" ""

say "one VM"
"$deploy" one-vm shop "${settings[@]}"
ask "port security" "$(openstack port show shop-clients -f value -c port_security_enabled)" True
openstack port show shop-clients -f json -c allowed_address_pairs | grep -q 10.0.1.10 ||
    die "the port may not send as the service"
cloud-init schema --config-file "$SERVERS/shop-vnf.yaml"
# The VM's own address, and not the service's, is what the firewall keeps for the VM.
own=$(openstack port show shop-clients -f json -c fixed_ips | sed -n 's/.*"ip_address": "\(.*\)".*/\1/p')
grep -q "daddr $own slow" "$SERVERS/shop-vnf.yaml" || die "the VM does not know its own address $own"
"$deploy" delete shop
ask "left of it" "$(left shop)" ""
