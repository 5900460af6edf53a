// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/driver.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace evnf::preflight
{

namespace
{

constexpr unsigned page_4k = 3506;       // one_page_mtu(4096)
constexpr unsigned intel_3k = 3072 - 26; // buffers of 3 kB, with MACs, two tags and checksum
constexpr unsigned with_tag_and_fcs = page_4k - 8;

constexpr std::array drivers{
    Driver{"8139cp", {}},
    Driver{"8139too", {}},
    Driver{"atlantic", {5, 19}},
    Driver{"bnx2x", {}},
    Driver{"bnxt_en", {4, 11}, page_4k - 4, false, false, true},
    Driver{"bonding", {5, 15}},
    Driver{"e100", {}},
    Driver{"e1000", {}},
    Driver{"e1000e", {}},
    Driver{"ena", {5, 6}, with_tag_and_fcs, false, true},
    Driver{"gve", {6, 4}, 0, true, true},
    Driver{"hv_netvsc", {5, 6}, 0, true},
    Driver{"i40e", {4, 13}, intel_3k},
    Driver{"iavf", {}},
    Driver{"ice", {5, 5}, intel_3k},
    Driver{"igb", {5, 10}, intel_3k},
    Driver{"igc", {5, 13}, 1500},
    Driver{"ixgbe", {4, 12}, intel_3k + 4, true},
    Driver{"ixgbevf", {4, 17}, intel_3k},
    Driver{"mana", {5, 17}},
    Driver{"mlx4_en", {4, 8}},
    Driver{"mlx5_core", {4, 9}, with_tag_and_fcs, true},
    Driver{"nfp", {4, 10}},
    Driver{"pcnet32", {}},
    Driver{"qede", {4, 10}},
    Driver{"r8169", {}},
    Driver{"sfc", {5, 5}},
    Driver{"tg3", {}},
    Driver{"tun", {4, 14}},
    Driver{"veth", {4, 19}, page_4k, false, false, false, true},
    Driver{"virtio_net", {4, 10}, page_4k, false, false, false, true},
    Driver{"vmxnet3", {6, 6}, 3494},
};

constexpr std::array<std::string_view, 13> generic_kinds{
    "bridge", "dummy",   "geneve", "gre",  "gretap", "ifb",  "ip6gretap",
    "ipvlan", "macvlan", "team",   "vlan", "vrf",    "vxlan"};

} // namespace

std::optional<Version> parse_version(std::string_view release)
{
    Version v;
    const char *end = release.data() + release.size();
    auto major = std::from_chars(release.data(), end, v.major);
    if (major.ec != std::errc{} || major.ptr == end || *major.ptr != '.')
        return std::nullopt;
    auto minor = std::from_chars(major.ptr + 1, end, v.minor);
    if (minor.ec != std::errc{})
        return std::nullopt;
    return v;
}

std::string text_of(Version version)
{
    return std::to_string(version.major) + "." + std::to_string(version.minor);
}

const Driver *find_driver(std::string_view name)
{
    const auto *it = std::find_if(drivers.begin(), drivers.end(),
                                  [&](const Driver &d) { return d.name == name; });
    return it == drivers.end() ? nullptr : &*it;
}

bool is_generic_kind(std::string_view kind)
{
    return std::find(generic_kinds.begin(), generic_kinds.end(), kind) != generic_kinds.end();
}

unsigned one_page_mtu(std::uint64_t page_size)
{
    constexpr unsigned headroom = 256, shared_info = 320, ethernet = 14;
    return static_cast<unsigned>(page_size) - headroom - shared_info - ethernet;
}

} // namespace evnf::preflight
