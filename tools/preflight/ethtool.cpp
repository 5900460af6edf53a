// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/ethtool.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace evnf::preflight
{

namespace
{

constexpr std::array<std::string_view, 5> offload_names{"rx-gro", "rx-gro-hw", "rx-lro",
                                                        "rx-vlan-hw-parse", "tx-vlan-hw-insert"};
constexpr unsigned most_features = 1024; // far more than there are

// A kernel structure that ends in an array, with room for `count` of its items.
template <class Head, class Item>
std::vector<std::uint64_t> with_items(std::size_t count)
{
    return std::vector<std::uint64_t>((sizeof(Head) + count * sizeof(Item) + 7) / 8);
}

} // namespace

Ethtool::Ethtool() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

bool Ethtool::ask(const std::string &interface, void *request) const
{
    ifreq r{};
    if (interface.size() >= sizeof r.ifr_name)
        return false;
    std::copy(interface.begin(), interface.end(), r.ifr_name);
    r.ifr_data = static_cast<char *>(request);
    return ::ioctl(socket_.get(), SIOCETHTOOL, &r) == 0;
}

std::string Ethtool::driver(const std::string &interface) const
{
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    if (!ask(interface, &info))
        return "";
    return std::string(info.driver, ::strnlen(info.driver, sizeof info.driver));
}

std::optional<Channels> Ethtool::channels(const std::string &interface) const
{
    ethtool_channels c{};
    c.cmd = ETHTOOL_GCHANNELS;
    if (!ask(interface, &c))
        return std::nullopt;
    return Channels{c.combined_count, c.rx_count, c.tx_count, c.max_combined, c.max_rx, c.max_tx};
}

std::map<std::string, Offload> Ethtool::offloads(const std::string &interface) const
{
    auto sizes = with_items<ethtool_sset_info, __u32>(1);
    auto *sset = reinterpret_cast<ethtool_sset_info *>(sizes.data());
    sset->cmd = ETHTOOL_GSSET_INFO;
    sset->sset_mask = 1ULL << ETH_SS_FEATURES;
    if (!ask(interface, sset) || sset->sset_mask == 0)
        return {};
    const std::size_t count = std::min(sset->data[0], most_features);

    auto names = with_items<ethtool_gstrings, char[ETH_GSTRING_LEN]>(count);
    auto *strings = reinterpret_cast<ethtool_gstrings *>(names.data());
    strings->cmd = ETHTOOL_GSTRINGS;
    strings->string_set = ETH_SS_FEATURES;
    strings->len = static_cast<__u32>(count);
    const std::size_t blocks = (count + 31) / 32;
    auto bits = with_items<ethtool_gfeatures, ethtool_get_features_block>(blocks);
    auto *features = reinterpret_cast<ethtool_gfeatures *>(bits.data());
    features->cmd = ETHTOOL_GFEATURES;
    features->size = static_cast<__u32>(blocks);
    if (!ask(interface, strings) || !ask(interface, features))
        return {};

    std::map<std::string, Offload> out;
    for (std::size_t i = 0; i < std::min<std::size_t>(count, strings->len); ++i) {
        const auto *text = reinterpret_cast<const char *>(strings->data) + i * ETH_GSTRING_LEN;
        const std::string name(text, ::strnlen(text, ETH_GSTRING_LEN));
        if (i / 32 >= features->size ||
            std::find(offload_names.begin(), offload_names.end(), name) == offload_names.end())
            continue;
        const auto &block = features->features[i / 32];
        const __u32 bit = 1U << (i % 32);
        out[name] = {(block.active & bit) != 0,
                     (block.available & bit) == 0 || (block.never_changed & bit) != 0};
    }
    return out;
}

} // namespace evnf::preflight
