// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/nft.hpp"

#include <arpa/inet.h>

#include <set>

namespace evnf::efw
{

namespace
{

// Also of an IPv6 address that looks like one of IPv4.
std::string text_of(const Address &a, int family)
{
    char out[INET6_ADDRSTRLEN];
    return family == 4 ? a.text() : ::inet_ntop(AF_INET6, &a.raw(), out, sizeof out);
}

std::string text_of(unsigned v)
{
    return std::to_string(v);
}

// "NAME { 1-2, 7-7 } "; empty if it is not asked. One value is a range too: nft 1.0.6 makes
// one comparison of "sport != 1" and "dport != 2", which holds if either does.
template <class Value, class... Family>
std::string asked(const std::string &name, const match::Field<Value> &field, Family... family)
{
    std::string list;
    for (const auto &r : field.ranges)
        list += (list.empty() ? "" : ", ") + text_of(r.first, family...) + "-" +
                text_of(r.last, family...);
    return list.empty() ? "" : name + (field.negated ? " != { " : " { ") + list + " } ";
}

std::string transport(const match::Match &m)
{
    std::string out =
        asked("meta l4proto", m.protocol) + asked("th sport", m.sport) + asked("th dport", m.dport);
    for (const auto &r : m.icmp.ranges) // type and code as one number
        out += std::string("@th,0,16 ") + (m.icmp.negated ? "!= " : "") + text_of(r.first) + "-" +
               text_of(r.last) + " ";
    if (m.tcp_flags.asked())
        out += "tcp flags & " + text_of(m.tcp_flags.mask) +
               (m.tcp_flags.negated ? " != " : " == ") + text_of(m.tcp_flags.value) + " ";
    return out;
}

std::string sets(const match::Match &m, const std::string &ip)
{
    using match::SetKey;
    std::string out;
    for (const auto &use : m.sets) {
        switch (use.key) {
        case SetKey::saddr:
            out += ip + " saddr";
            break;
        case SetKey::daddr:
            out += ip + " daddr";
            break;
        case SetKey::sport:
            out += "th sport";
            break;
        case SetKey::dport:
            out += "th dport";
            break;
        case SetKey::saddr_sport:
            out += ip + " saddr . th sport";
            break;
        case SetKey::daddr_dport:
            out += ip + " daddr . th dport";
            break;
        }
        out += (use.negated ? " != @" : " @") + use.set + " ";
    }
    return out;
}

// What fragments of one kind have, in alternatives.
std::vector<std::string> fragments(int family, unsigned kind)
{
    if (family == 4)
        return {kind == PKT_FRAG_NONE    ? "ip frag-off & 0x3fff == 0 "
                : kind == PKT_FRAG_FIRST ? "ip frag-off & 0x3fff == 0x2000 "
                                         : "ip frag-off & 0x1fff != 0 "};
    if (kind == PKT_FRAG_NONE)
        return {"exthdr frag missing ", "frag frag-off 0 frag more-fragments 0 "};
    return {kind == PKT_FRAG_FIRST ? "frag frag-off 0 frag more-fragments 1 "
                                   : "frag frag-off != 0 "};
}

// Sets are of one family, so that in the other nothing is a member.
bool has_family(const match::SetUse &use, int family)
{
    const bool other = use.set.ends_with(family == 4 ? "6" : "4");
    return !other;
}

void append_family(std::vector<std::string> &out, const match::Match &m, int family)
{
    const std::string ip = family == 4 ? "ip" : "ip6";
    match::Match sayable = m;
    for (const auto &use : m.sets)
        if (!has_family(use, family)) {
            if (!use.negated)
                return;
            std::erase(sayable.sets, use);
        }
    const std::string rest = "meta protocol " + ip + " " + asked(ip + " saddr", m.src, family) +
                             asked(ip + " daddr", m.dst, family) + transport(m) +
                             sets(sayable, ip) + asked(ip + " dscp", m.dscp) +
                             asked("meta length", m.length);
    if (!m.fragment.asked()) {
        out.push_back(rest);
        return;
    }
    for (unsigned kind = PKT_FRAG_NONE; kind <= PKT_FRAG_LATER; ++kind)
        if (m.fragment.allows(static_cast<std::uint8_t>(kind)))
            for (const auto &fragment : fragments(family, kind))
                out.push_back(rest + fragment);
}

// An interface's name is one of several in as many matches, and none of them in one.
std::vector<std::string> interfaces(const match::Interfaces &in)
{
    if (!in.asked())
        return {""};
    std::vector<std::string> out;
    for (const auto &name : in.names)
        out.push_back((in.negated ? "iifname != \"" : "iifname \"") + name + "\" ");
    if (!in.negated)
        return out;
    std::string all;
    for (const auto &one : out)
        all += one;
    return {all};
}

std::string set_text(const model::SetName &name, const model::Set &set)
{
    std::string out = std::string(" set ") + name.name + " { type ";
    if (name.family)
        out += name.family == 4 ? "ipv4_addr" : "ipv6_addr";
    if (name.ports)
        out += name.family ? " . inet_service" : "inet_service";
    out += name.ports ? "; " : "; flags interval; auto-merge; ";
    std::set<std::string> elements;
    for (const auto &e : set) {
        std::string text;
        if (e.address)
            text =
                text_of(e.address->first, name.family) +
                (e.address->first == e.address->last ? ""
                                                     : "-" + text_of(e.address->last, name.family));
        if (e.port)
            text += (e.address ? " . " : "") + text_of(e.port->first);
        elements.insert(text);
    }
    std::string list;
    for (const auto &text : elements)
        list += (list.empty() ? "" : ", ") + text;
    return out + (list.empty() ? "" : "elements = { " + list + " } ") + "}\n";
}

} // namespace

std::vector<std::string> nft_matches(const match::Match &m)
{
    const bool plain = !m.family && !m.dscp.asked() && !m.fragment.asked() && m.sets.empty();
    std::vector<std::string> by_family;
    if (plain)
        by_family.push_back(transport(m) + asked("meta length", m.length));
    for (const int family : {4, 6})
        if (!plain && (!m.family || m.family == family))
            append_family(by_family, m, family);
    std::vector<std::string> out;
    for (const auto &in : interfaces(m.in))
        for (const auto &rest : by_family)
            out.push_back(in + asked("vlan id", m.vlan) + rest);
    return out;
}

std::string nft_table(const std::vector<SectionRule> &rules, const model::World &world)
{
    std::string out =
        "flush ruleset\ntable netdev t {\n counter everything { }\n counter otherwise { }\n";
    for (std::size_t i = 0; i < rules.size(); ++i)
        out += " counter r" + std::to_string(i) + " { }\n";
    for (const auto &name : model::set_names)
        if (const auto it = world.sets.find(name.name); it != world.sets.end())
            out += set_text(name, it->second);
    std::string devices;
    for (const auto &[ifindex, name] : world.interfaces)
        devices += (devices.empty() ? "" : ", ") + name;
    out += " chain c {\n  type filter hook ingress devices = { " + devices +
           " } priority 0; policy accept;\n  counter name everything\n";
    for (std::size_t i = 0; i < rules.size(); ++i)
        for (const auto &match : nft_matches(rules[i].rule.match))
            out += "  " + match + "counter name r" + std::to_string(i) +
                   (rules[i].rule.action == EFW_COUNT ? "\n" : " drop\n");
    return out + "  counter name otherwise drop\n }\n}\n";
}

} // namespace evnf::efw
