// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/fields.hpp"

#include <array>
#include <string>

#include "vnfs/efw/packet_words.hpp"

namespace evnf::efw
{

namespace
{

using match::Match;
using match::SetKey;
using nlohmann::json;

constexpr std::array fragment_words{"none", "first", "later"};

std::string port_text(const Packet &p, bool source)
{
    return std::to_string(source ? p.sport : p.dport);
}

std::string flags_text(std::uint8_t flags)
{
    std::string out;
    for (const auto &f : flag_names)
        if (flags & f.value)
            out += (out.empty() ? "" : ",") + std::string(f.name);
    return out.empty() ? "none" : out;
}

std::string member_text(const Packet &p, SetKey key)
{
    const bool source = key == SetKey::saddr || key == SetKey::sport || key == SetKey::saddr_sport;
    const Address &address = source ? p.src : p.dst;
    if (key == SetKey::saddr || key == SetKey::daddr)
        return address.text();
    if (key == SetKey::sport || key == SetKey::dport)
        return port_text(p, source);
    return Endpoint{address, source ? p.sport : p.dport}.text();
}

class Rows
{
public:
    Rows(const Match &match, const Packet &packet) : match_(match), packet_(packet) {}

    // One part of the match. Ports and the like need the protocol, to be written.
    template <class Part>
    void add(const char *field, Part Match::*part, bool seen, const std::string &value)
    {
        Match one;
        one.family = match_.family;
        one.*part = match_.*part;
        add(field, part_text(one), seen, value);
    }
    void add(const char *field, const std::string &asked, bool seen, const std::string &value)
    {
        json row{{"field", field}, {"asked", asked}, {"seen", seen}};
        if (seen)
            row["value"] = value;
        rows_.push_back(std::move(row));
    }

    void header()
    {
        const auto transport = packet_.transport();
        const bool seen = !hides_header(transport);
        if (match_.protocol.asked())
            add("protocol", &Match::protocol, transport != Transport::unread,
                protocol_text(packet_.protocol));
        if (match_.sport.asked())
            add("sport", &Match::sport, seen, port_text(packet_, true));
        if (match_.dport.asked())
            add("dport", &Match::dport, seen, port_text(packet_, false));
        if (match_.icmp.asked())
            add("type", &Match::icmp, seen,
                std::to_string(packet_.icmp >> 8) + "/" + std::to_string(packet_.icmp & 0xff));
        if (match_.tcp_flags.asked())
            add("flags", &Match::tcp_flags, seen, flags_text(packet_.tcp_flags));
    }

    void network()
    {
        if (match_.in.asked())
            add("in", &Match::in, true, packet_.in.empty() ? "another" : packet_.in);
        if (match_.vlan.asked())
            add("vlan", &Match::vlan, true, std::to_string(packet_.vlan.value_or(0)));
        if (match_.family && !match_.src.asked() && !match_.dst.asked())
            add("family", match_.family == 4 ? "ip" : "ip6", true,
                packet_.family() == 4 ? "ip" : "ip6");
        if (match_.src.asked())
            add("saddr", &Match::src, true, packet_.src.text());
        if (match_.dst.asked())
            add("daddr", &Match::dst, true, packet_.dst.text());
        if (match_.dscp.asked())
            add("dscp", &Match::dscp, true, std::to_string(packet_.dscp));
        if (match_.fragment.asked())
            add("fragment", &Match::fragment, true,
                fragment_words[static_cast<std::size_t>(packet_.fragment)]);
        if (match_.length.asked())
            add("length", &Match::length, true, std::to_string(packet_.length));
    }

    void sets()
    {
        for (const auto &use : match_.sets) {
            const bool port = use.key != SetKey::saddr && use.key != SetKey::daddr;
            Match one;
            one.sets = {use};
            add("set", part_text(one), !port || !hides_header(packet_.transport()),
                member_text(packet_, use.key));
        }
    }

    json take() { return std::move(rows_); }

private:
    // With the protocol where it cannot be written without.
    [[nodiscard]] std::string part_text(Match one) const
    {
        const bool of_protocol = one.sport.asked() || one.dport.asked() || one.icmp.asked() ||
                                 one.tcp_flags.asked() || !one.sets.empty();
        if (of_protocol && one.protocol.ranges.empty())
            one.protocol = match_.protocol;
        return text_of(one);
    }

    const Match &match_;
    const Packet &packet_;
    json rows_ = json::array();
};

} // namespace

json asked_fields(const Match &match, const Packet &packet)
{
    Rows rows(match, packet);
    rows.network();
    rows.header();
    rows.sets();
    return rows.take();
}

} // namespace evnf::efw
