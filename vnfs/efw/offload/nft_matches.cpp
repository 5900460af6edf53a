// SPDX-License-Identifier: GPL-2.0-or-later
#include <netinet/in.h>

#include "vnfs/efw/offload/nft_reader.hpp"

namespace evnf::efw::offload
{

using match::Match;

bool NftReader::ct(const std::string &key, const std::string &op, const json &right)
{
    static const std::map<std::string, std::uint8_t> states{{"new", CT_NEW},
                                                            {"established", CT_ESTABLISHED},
                                                            {"related", CT_RELATED},
                                                            {"invalid", CT_INVALID},
                                                            {"untracked", CT_UNTRACKED}};
    static const std::map<std::string, std::uint8_t> statuses{{"dnat", CT_DNAT}, {"snat", CT_SNAT}};
    const bool state = key == "state";
    const auto &names = state ? states : statuses;
    if ((!state && (key != "status" || op != "in")) || (op == "==" && right.is_array()))
        return false;
    const json set = right.is_object() && right.contains("set") ? right["set"] : right;
    std::uint8_t bits = 0;
    for (const auto &name : set.is_array() ? set : json::array({set})) {
        const auto it = name.is_string() ? names.find(name.get<std::string>()) : names.end();
        if (it == names.end())
            return false;
        bits = static_cast<std::uint8_t>(bits | it->second);
    }
    constexpr std::uint8_t five = CT_NEW | CT_ESTABLISHED | CT_RELATED | CT_INVALID | CT_UNTRACKED;
    if (op == "!=" || op == "!")
        bits = static_cast<std::uint8_t>(five & ~bits);
    else if (op != "in" && op != "==")
        return false;
    steps_.emplace_back(HasCtState{bits});
    return true;
}

bool NftReader::tcp_flags(const json &left, const std::string &op, const json &right)
{
    Match m;
    m.protocol = {{{IPPROTO_TCP, IPPROTO_TCP}}};
    std::uint8_t mask = 0xff;
    if (left.contains("&")) {
        const auto given = nft_tcp_flags(left["&"][1]);
        if (!given)
            return false;
        mask = *given;
    }
    const auto value = nft_tcp_flags(right);
    if (!value || mask == 0)
        return false;
    if (op == "==" || op == "!=")
        m.tcp_flags = {mask, *value, op == "!="};
    else if ((op == "in" || op == "!") && mask == 0xff && *value != 0)
        m.tcp_flags = {*value, 0, op == "in"}; // any of them, or none
    else
        return false;
    steps_.emplace_back(IsOneOf{{m}});
    return true;
}

// "th dport": of each protocol that the rule has asked for before, if all have ports.
bool NftReader::transport_ports(const std::string &field, const std::string &op, const json &right)
{
    if (!protocol_ || protocol_->negated || (op != "==" && op != "!="))
        return false;
    const auto list = values(right, "set");
    std::vector<Match> out;
    for (const auto &range : protocol_->ranges) {
        for (unsigned p = range.first; p <= range.last; ++p) {
            const bool tcp = p == IPPROTO_TCP, udp = p == IPPROTO_UDP, sctp = p == IPPROTO_SCTP;
            if ((!tcp && !udp && !sctp) || (field != "sport" && field != "dport") || !list)
                return false;
            const bool source = field == "sport";
            const NftKey key = tcp      ? source ? NftKey::tcp_sport : NftKey::tcp_dport
                               : udp    ? source ? NftKey::udp_sport : NftKey::udp_dport
                               : source ? NftKey::sctp_sport
                                        : NftKey::sctp_dport;
            auto m = nft_match(key, *list, op == "!=");
            if (!m)
                return false;
            out.push_back(std::move(*m));
        }
    }
    steps_.emplace_back(IsOneOf{std::move(out)});
    return true;
}

bool NftReader::meta(const std::string &key, const std::string &op, const json &right)
{
    if (op != "==" && op != "!=")
        return false;
    if (key == "mark" && right.is_number_unsigned() && right.get<std::uint64_t>() <= 0xffffffff) {
        steps_.emplace_back(HasMark{right.get<std::uint32_t>(), 0xffffffff, op == "!="});
        return true;
    }
    // Only frames to the interface's own address are decided here: see plan.hpp.
    if (key == "pkttype" && right.is_string()) {
        const bool own = right == "host" || right == "unicast";
        if (!own && right != "broadcast" && right != "multicast")
            return false;
        const bool so = own != (op == "!=");
        steps_.emplace_back(IsOneOf{so ? std::vector{Match{}} : std::vector<Match>{},
                                    "to whom the frame was sent"});
        return true;
    }
    return false;
}

} // namespace evnf::efw::offload
