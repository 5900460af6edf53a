#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# package.sh FOLDER: builds the Debian packages there, of this tree as it is, and has lintian judge
# them.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
out=$1
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
here=$out/evnf-$version

grep -q "version: '$version'" meson.build || {
    echo "run: debian/changelog says $version, meson.build another version" >&2
    exit 1
}
mkdir -p "$here"
# Beside the tree, since what is built lies above the sources. What git ignores is no source.
# shellcheck disable=SC2016  # the inner shell's own words
git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard | xargs -0 sh -c '
    for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' sh >"$out/sources"
find "$here" -mindepth 1 -maxdepth 1 ! -name 'obj-*' -exec rm -rf {} +
tar -c --null -T "$out/sources" | tar -x -C "$here"
rm "$out/sources"
# debhelper gives the build a home of its own; the compiler's cache, and its settings, are in this one.
export CCACHE_DIR=${CCACHE_DIR:-$HOME/.cache/ccache}
if [ -z "${CCACHE_CONFIGPATH:-}" ] && [ -e "$HOME/.config/ccache/ccache.conf" ]; then
    export CCACHE_CONFIGPATH=$HOME/.config/ccache/ccache.conf
fi
(cd "$here" && dpkg-buildpackage --build=binary --no-sign --no-pre-clean)
lintian --fail-on error,warning --info --allow-root "$out/evnf_${version}"_*.changes
ls "$out"/*.deb
