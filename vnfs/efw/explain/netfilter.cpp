// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/netfilter.hpp"

namespace evnf::efw
{

namespace
{

using nlohmann::json;

constexpr std::size_t most_interfaces = 64; // of the model

// What the model knows of packets; the rest is said here.
std::string beyond(const Packet &p)
{
    if (p.fragment != PKT_FRAG_NONE)
        return "the model knows whole datagrams alone, and this is a fragment";
    if (p.header != Header::whole)
        return "the model knows no packets with a malformed header";
    if (p.vlan)
        return "a packet with a VLAN tag goes to the VLAN's interface, if there is one";
    return {};
}

offload::Packet modelled(const Packet &p)
{
    return {.family = p.family(),
            .src = p.src,
            .dst = p.dst,
            .protocol = p.protocol,
            .sport = p.sport,
            .dport = p.dport,
            .icmp = p.icmp,
            .tcp_flags = p.tcp_flags,
            .in = p.in,
            .dscp = p.dscp,
            .length = p.length};
}

} // namespace

Netfilter::Netfilter()
{
    std::vector<std::string> names;
    for (const auto &[name, ifindex] : interfaces())
        if (names.size() < most_interfaces)
            names.push_back(name);
    auto rules = offload::read_live();
    auto host = offload::read_host(names);
    if (rules && host)
        judge_.emplace(*std::move(rules), *std::move(host));
    else
        error_ = "its rules cannot be read: " + (!rules ? rules.error() : host.error()).message();
}

json Netfilter::judge(const Packet &packet, const std::string &out) const
{
    if (const auto why = judge_ ? beyond(packet) : error_; !why.empty())
        return {{"verdict", "unknown"}, {"because", why}, {"path", json::array()}};
    const bool expectations = judge_->host().expectations || judge_->rules().ct_helpers;
    const auto asked = modelled(packet);
    const auto way = out.empty() ? offload::way_of(asked) : offload::Way{.out = out};
    json judged = offload::judgement_json(
        judge_->judge(asked, offload::possible_ct_states(asked, expectations), way),
        judge_->origins());
    if (!way.out.empty())
        judged["route"] = {{"out", way.out}, {"assumed", !out.empty()}};
    return judged;
}

} // namespace evnf::efw
