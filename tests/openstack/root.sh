#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes a Debian 12 in a folder, with the packages of OpenStack that the checks need: 1.2 GB that
# nobody wants on the machine itself. What a run before has made is used again.
set -euo pipefail
root=$1

packages=(
    python3-heat python3-heatclient                    # templates
    neutron-server python3-networking-sfc              # port chains …
    python3-openstackclient python3-neutronclient      # … and who asks for them
    cloud-init                                         # user-data
    python3-diskimage-builder python-is-python3 debootstrap # images
    qemu-utils kpartx e2fsprogs dosfstools gdisk curl file git sudo
    iproute2 procps
)

[ ! -e "$root/made" ] || exit 0
rm -rf "$root"
mkdir -p "$root"
debootstrap --variant=minbase bookworm "$root" http://deb.debian.org/debian
# Their services must not start.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q -y install --no-install-recommends "${packages[@]}"
chroot "$root" apt-get clean
touch "$root/made"
