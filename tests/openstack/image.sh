#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# image.sh ROOT: builds an image with the element evnf, in the Debian that root.sh has made.
# DIB_EVNF_PACKAGE is the package in it; without, one that only has the names.
set -euo pipefail
root=$1

if [ -n "${DIB_EVNF_PACKAGE:-}" ]; then
    cp "$DIB_EVNF_PACKAGE" "$root/srv/check/evnf.deb"
else
    echo "no DIB_EVNF_PACKAGE: a stand-in is put into the image"
    stand_in=$root/srv/check/stand-in
    mkdir -p "$stand_in/DEBIAN" "$stand_in/usr/sbin"
    printf '%s\n' 'Package: evnf' 'Version: 0' 'Architecture: all' 'Maintainer: nobody <nobody@example.org>' \
        'Description: stand-in for a package in a check' >"$stand_in/DEBIAN/control"
    printf '#!/bin/sh\n' >"$stand_in/usr/sbin/evnfd"
    chmod +x "$stand_in/usr/sbin/evnfd"
    dpkg-deb --root-owner-group -b "$stand_in" "$root/srv/check/evnf.deb" >/dev/null
fi

elements=(debian cloud-init-datasources)
if [ -e /dev/mapper/control ]; then
    elements+=(vm)
else
    echo "this kernel has no device mapper: the image gets no partitions (element vm)"
fi
if ! losetup -f >/dev/null 2>&1; then
    echo "this machine has no loop devices: no image is built" >&2
    exit 1
fi

# diskimage-builder takes what sudo says of a host without an address for the name of a device.
printf '127.0.0.1 localhost %s\n' "$(hostname)" >"$root/etc/hosts"

# As openstack/README.md has it.
sources='default:deb http://deb.debian.org/debian bookworm main
security:deb http://deb.debian.org/debian-security bookworm-security main'
# shellcheck disable=SC2016  # the inner shell's own words
unshare --mount --propagation private sh -c '
    mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && mount --rbind /dev "$0/dev" &&
    exec chroot "$0" "$@"' "$root" env ELEMENTS_PATH=/srv/check/openstack/elements DIB_RELEASE=bookworm \
    DIB_APT_SOURCES_CONF="$sources" DIB_CLOUD_INIT_DATASOURCES=ConfigDrive,OpenStack \
    DIB_EVNF_PACKAGE=/srv/check/evnf.deb TMP_DIR=/srv/check \
    disk-image-create --no-tmpfs -a amd64 -o /srv/check/evnf "${elements[@]}" evnf \
    >"$root/srv/image.log" 2>&1 || {
    tail -n 30 "$root/srv/image.log" >&2
    exit 1
}

# What is in it, as read from the image itself.
chroot "$root" qemu-img convert -O raw /srv/check/evnf.qcow2 /srv/check/evnf.raw
if [ ! -e /dev/mapper/control ]; then
    for path in /usr/local/sbin/evnf-vm /usr/sbin/evnfd /usr/sbin/ethtool /usr/bin/cloud-init; do
        chroot "$root" debugfs -R "stat $path" /srv/check/evnf.raw 2>/dev/null | grep -q 'Type: regular' || {
            echo "the image has no $path" >&2
            exit 1
        }
    done
fi
rm "$root/srv/check/evnf.raw"
echo "built: evnf.qcow2, $(du -h "$root/srv/check/evnf.qcow2" | cut -f 1)"
