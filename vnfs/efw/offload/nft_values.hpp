// SPDX-License-Identifier: GPL-2.0-or-later
// What nft's JSON compares a packet with: keys (a header's field) and values.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "match/match.hpp"
#include "vnfs/efw/offload/ruleset.hpp"

namespace evnf::efw::offload
{

using json = nlohmann::json;

// Fields of a packet that match::Match has.
enum class NftKey {
    ip_saddr,
    ip_daddr,
    ip6_saddr,
    ip6_daddr,
    l4proto,
    ip_protocol,
    ip6_nexthdr,
    nfproto,
    protocol, // the ethertype
    iifname,
    ip_length,
    ip6_length, // of the payload
    meta_length,
    ip_dscp,
    ip6_dscp,
    tcp_sport,
    tcp_dport,
    udp_sport,
    udp_dport,
    sctp_sport,
    sctp_dport,
    tcp_flags,
    icmp_type,
    icmpv6_type,
};

// The key of an expression such as {"payload": {"protocol": "tcp", "field": "dport"}}.
std::optional<NftKey> nft_key(const json &expression);

// What a packet is whose field is one of `values` (or, negated, none of them): each a
// number, a name, {"range": …} or {"prefix": …}. None: a value is not understood.
std::optional<match::Match> nft_match(NftKey key, const std::vector<json> &values, bool negated);

// A protocol by nft's name for it or its number.
std::optional<std::uint8_t> nft_protocol(const json &value);

// tcp flags in nft's ways to write them: "syn", ["syn", "ack"], 2.
std::optional<std::uint8_t> nft_tcp_flags(const json &value);

// All that both matches mean, where one match can say so.
std::optional<match::Match> nft_both(match::Match a, const match::Match &b);

} // namespace evnf::efw::offload
