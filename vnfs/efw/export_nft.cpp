// SPDX-License-Identifier: GPL-2.0-or-later
#include <nlohmann/json.hpp>

#include "vnfs/efw/export_rules.hpp"

namespace evnf::efw
{

namespace
{

using match::Field;
using match::Match;
using nlohmann::json;

constexpr std::uint8_t tcp = 6, udp = 17;

json payload(const char *protocol, const char *field)
{
    return {{"payload", {{"protocol", protocol}, {"field", field}}}};
}

json meta(const char *key)
{
    return {{"meta", {{"key", key}}}};
}

template <class Value>
json number(const Value &v)
{
    return v;
}
json number(const Address &a)
{
    return a.text();
}

template <class Value>
json value_of(const match::Range<Value> &r)
{
    if (r.first == r.last)
        return number(r.first);
    return {{"range", {number(r.first), number(r.last)}}};
}

json value_of(const match::Range<Address> &r)
{
    const Prefix prefix = match::covering(r);
    if (r.first == r.last || !(match::range_of(prefix) == r))
        return value_of<Address>(r);
    const std::string text = prefix.text();
    const auto slash = text.find('/');
    return {
        {"prefix", {{"addr", text.substr(0, slash)}, {"len", std::stoi(text.substr(slash + 1))}}}};
}

class Writer
{
public:
    explicit Writer(const Rule &rule) : rule_(rule), m_(rule.match) {}

    Result<json> write()
    {
        extras();
        family();
        const bool v6 = m_.family == 6;
        field(m_.src, payload(v6 ? "ip6" : "ip", "saddr"));
        field(m_.dst, payload(v6 ? "ip6" : "ip", "daddr"));
        interfaces();
        field(m_.protocol, meta("l4proto"));
        ports(m_.sport, "sport");
        ports(m_.dport, "dport");
        if (m_.icmp.asked())
            icmp();
        if (m_.tcp_flags.asked())
            match({{"&", {payload("tcp", "flags"), m_.tcp_flags.mask}}}, m_.tcp_flags.value,
                  m_.tcp_flags.negated);
        field(m_.dscp, payload(v6 ? "ip6" : "ip", "dscp"));
        field(m_.length, meta("length"));
        if (rule_.limit)
            limit(*rule_.limit);
        out_.push_back({{"counter", {{"packets", 0}, {"bytes", 0}}}});
        if (rule_.log_sample)
            out_.push_back({{"log", nullptr}});
        action();
        if (!why_.empty())
            return bad_input(why_);
        return out_;
    }

private:
    void cannot(const std::string &why)
    {
        if (why_.empty())
            why_ = "nft has no word for " + why;
    }

    void match(json left, json right, bool negated)
    {
        out_.push_back({{"match",
                         {{"op", negated ? "!=" : "=="},
                          {"left", std::move(left)},
                          {"right", std::move(right)}}}});
    }

    template <class Value>
    void field(const Field<Value> &f, const json &left)
    {
        if (!f.asked())
            return;
        if (f.ranges.size() == 1)
            return match(left, value_of(f.ranges[0]), f.negated);
        json set = json::array();
        for (const auto &r : f.ranges)
            set.push_back(value_of(r));
        match(left, {{"set", std::move(set)}}, f.negated);
    }

    void extras()
    {
        if (m_.vlan.asked())
            cannot("a VLAN tag in a table inet, where it is gone");
        if (m_.fragment.asked())
            cannot("fragments, which it puts together before");
        if (!m_.sets.empty())
            cannot("efw's named sets");
        if (!rule_.name.empty())
            cannot("a rule's name: use a comment");
        if (m_.dscp.asked() && !m_.family)
            cannot("a DSCP of both families: write a rule with ip, and one with ip6");
        if (rule_.log_sample > 1)
            cannot("log sample");
    }

    void family()
    {
        if (m_.family && !m_.src.asked() && !m_.dst.asked())
            match(meta("nfproto"), m_.family == 4 ? "ipv4" : "ipv6", false);
    }

    void interfaces()
    {
        if (!m_.in.asked())
            return;
        const bool wide = std::any_of(m_.in.names.begin(), m_.in.names.end(),
                                      [](const std::string &n) { return n.ends_with('*'); });
        if (m_.in.names.size() == 1)
            return match(meta("iifname"), m_.in.names[0], m_.in.negated);
        if (wide)
            return cannot("a list of interfaces with a *: write a rule for each");
        match(meta("iifname"), {{"set", m_.in.names}}, m_.in.negated);
    }

    void ports(const Field<std::uint16_t> &f, const char *name)
    {
        const auto &p = m_.protocol;
        const bool one = p.ranges.size() == 1 && p.ranges[0].first == p.ranges[0].last;
        if (f.asked() && m_.sport.asked() && m_.dport.asked() && (!one || p.negated))
            return cannot("both ports of several protocols: write a rule for each protocol");
        const char *protocol = !one || p.negated          ? "th"
                               : p.ranges[0].first == tcp ? "tcp"
                               : p.ranges[0].first == udp ? "udp"
                                                          : "sctp";
        field(f, payload(protocol, name));
    }

    void icmp()
    {
        Field<std::uint8_t> types{{}, m_.icmp.negated};
        for (const auto &r : m_.icmp.ranges) {
            if ((r.first & 255) != 0 || (r.last & 255) != 255)
                return cannot("an ICMP type with its code in one match: leave the code out");
            types.ranges.push_back(
                {static_cast<std::uint8_t>(r.first >> 8), static_cast<std::uint8_t>(r.last >> 8)});
        }
        field(types, payload(m_.family == 6 ? "icmpv6" : "icmp", "type"));
    }

    void limit(const Limit &l)
    {
        if (l.per_source)
            return cannot("a limit per saddr in one rule");
        const char *unit = l.seconds == 1      ? "second"
                           : l.seconds == 60   ? "minute"
                           : l.seconds == 3600 ? "hour"
                                               : "day";
        json out{{"rate", l.packets}, {"burst", l.burst}, {"per", unit}};
        if (l.over)
            out["inv"] = true;
        out_.push_back({{"limit", std::move(out)}});
    }

    void action()
    {
        switch (rule_.action) {
        case EFW_ACCEPT:
            out_.push_back({{"accept", nullptr}});
            break;
        case EFW_DROP:
            out_.push_back({{"drop", nullptr}});
            break;
        case EFW_SLOW:
            out_.push_back({{"return", nullptr}});
            break;
        case EFW_COUNT:
            break;
        case EFW_REJECT:
            reject();
        }
    }

    void reject()
    {
        if (m_.protocol == Field<std::uint8_t>{{{tcp, tcp}}})
            out_.push_back({{"reject", {{"type", "tcp reset"}}}});
        else if (m_.protocol.allows(tcp))
            cannot("one reject for TCP and all else: write a rule with tcp, and one with "
                   "protocol != tcp");
        else
            out_.push_back({{"reject",
                             {{"type", m_.family == 4   ? "icmp"
                                       : m_.family == 6 ? "icmpv6"
                                                        : "icmpx"},
                              {"expr", "admin-prohibited"}}}});
    }

    const Rule &rule_;
    const Match &m_;
    json out_ = json::array();
    std::string why_;
};

} // namespace

Result<std::string> export_nft(const std::vector<Rule> &rules)
{
    const json place{{"family", "inet"}, {"table", "efw"}};
    json items{{{"metainfo", {{"json_schema_version", 1}}}},
               {{"table", {{"family", "inet"}, {"name", "efw"}}}}};
    json chain = place;
    chain["name"] = "efw";
    items.push_back({{"chain", std::move(chain)}});
    for (std::size_t i = 0; i < rules.size(); ++i) {
        auto expressions = Writer(rules[i]).write();
        if (!expressions) {
            Error e = expressions.error();
            e.where = "/rules/" + std::to_string(i);
            return e;
        }
        json rule = place;
        rule["chain"] = "efw";
        rule["expr"] = *std::move(expressions);
        if (!rules[i].comment.empty())
            rule["comment"] = rules[i].comment;
        items.push_back({{"rule", std::move(rule)}});
    }
    std::string out = "{\"nftables\": [\n";
    for (std::size_t i = 0; i < items.size(); ++i)
        out += items[i].dump() + (i + 1 < items.size() ? ",\n" : "\n");
    return out + "]}\n";
}

} // namespace evnf::efw
