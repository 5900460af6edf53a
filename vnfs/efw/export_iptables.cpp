// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include "abi/pkt.h"
#include "vnfs/efw/export_rules.hpp"

namespace evnf::efw
{

namespace
{

using match::Field;
using match::Match;

constexpr std::uint8_t tcp = 6;

std::string negation(bool negated)
{
    return negated ? "! " : "";
}

template <class Value>
std::string range_text(const match::Range<Value> &r, const char *between = ":")
{
    return std::to_string(r.first) + (r.first == r.last ? "" : between + std::to_string(r.last));
}

// Words of one rule; the first thing that iptables has no word for is kept.
class Writer
{
public:
    Writer(const Rule &rule, int family) : rule_(rule), m_(rule.match), family_(family) {}

    Result<std::string> write()
    {
        extras();
        addresses(m_.src, "-s", "--src-range");
        addresses(m_.dst, "-d", "--dst-range");
        interface();
        if (m_.fragment.asked())
            fragment();
        protocol();
        ports(m_.sport, "--sport", "--sports");
        ports(m_.dport, "--dport", "--dports");
        if (m_.icmp.asked())
            icmp();
        if (m_.tcp_flags.asked())
            flags();
        one_value(m_.dscp, "a list of DSCPs", "dscp --dscp ");
        length();
        limit();
        if (!rule_.comment.empty())
            out_ += " -m comment --comment " + quoted(rule_.comment);
        action();
        if (!why_.empty())
            return bad_input(why_);
        return out_;
    }

private:
    void cannot(const std::string &why)
    {
        if (why_.empty())
            why_ = "iptables has no word for " + why;
    }

    static std::string quoted(const std::string &text)
    {
        std::string out = "\"";
        for (const char c : text)
            out += c == '\\' || c == '"' ? std::string("\\") + c : std::string(1, c);
        return out + '"';
    }

    void extras()
    {
        if (m_.vlan.asked())
            cannot("a VLAN tag, which is gone before it sees the packet");
        if (!m_.sets.empty())
            cannot("efw's named sets");
        if (!rule_.name.empty())
            cannot("a rule's name: use a comment");
    }

    void addresses(const Field<Address> &field, const char *option, const char *range)
    {
        if (!field.asked())
            return;
        if (field.ranges.size() > 1)
            return cannot("a list of addresses: write a rule for each");
        const auto &r = field.ranges[0];
        const Prefix prefix = match::covering(r);
        if (match::range_of(prefix) == r)
            out_ += " " + negation(field.negated) + option + " " + prefix.text();
        else
            out_ += " -m iprange " + negation(field.negated) + range + " " + r.first.text() + "-" +
                    r.last.text();
    }

    void interface()
    {
        if (!m_.in.asked())
            return;
        if (m_.in.names.size() > 1)
            return cannot("a list of interfaces: write a rule for each");
        std::string name = m_.in.names[0];
        if (name.ends_with('*'))
            name.back() = '+';
        out_ += " " + negation(m_.in.negated) + "-i " + name;
    }

    void fragment()
    {
        const bool later =
            m_.fragment.ranges == match::Ranges<std::uint8_t>{{PKT_FRAG_LATER, PKT_FRAG_LATER}};
        if (family_ == 4 && later)
            out_ += " " + negation(m_.fragment.negated) + "-f";
        else
            cannot(family_ == 4 ? "these fragments: it has later ones, or all others"
                                : "fragments of IPv6 by their place");
    }

    void protocol()
    {
        const auto &f = m_.protocol;
        if (!f.asked())
            return;
        if (f.ranges.size() > 1 || f.ranges[0].first != f.ranges[0].last)
            return cannot("a list of protocols: write a rule for each");
        if (f.ranges[0].first == 0)
            return cannot("protocol 0, which stands for all there");
        protocol_ = std::to_string(f.ranges[0].first);
        out_ += " " + negation(f.negated) + "-p " + protocol_;
    }

    void ports(const Field<std::uint16_t> &field, const char *one, const char *several)
    {
        if (!field.asked())
            return;
        const std::string module = protocol_ == "6" ? "tcp" : protocol_ == "17" ? "udp" : "sctp";
        if (field.ranges == match::Ranges<std::uint16_t>{{0, 65535}})
            return cannot("a rule that asks for any port: leave it out");
        if (field.ranges.size() == 1) {
            out_ += " -m " + module + " " + negation(field.negated) + one + " " +
                    range_text(field.ranges[0]);
            return;
        }
        constexpr std::size_t most = 15; // XT_MULTI_PORTS; a range takes two
        std::size_t places = 0;
        std::string list;
        for (const auto &r : field.ranges) {
            places += r.first == r.last ? 1 : 2;
            list += (list.empty() ? "" : ",") + range_text(r);
        }
        if (places > most)
            return cannot("so many ports: at most 15 in a rule, a range being two");
        out_ += " -m multiport " + negation(field.negated) + several + " " + list;
    }

    void icmp()
    {
        const auto &r = m_.icmp.ranges[0];
        const unsigned type = r.first >> 8, code = r.first & 255U;
        const bool all = code == 0 && r.last == (type << 8 | 255U);
        if (m_.icmp.ranges.size() > 1 || (!all && r.first != r.last) ||
            (family_ == 4 && type == 255))
            return cannot("a list of ICMP types: write a rule for each");
        out_ += family_ == 4 ? " -m icmp " : " -m icmp6 ";
        out_ += negation(m_.icmp.negated) + (family_ == 4 ? "--icmp-type " : "--icmpv6-type ") +
                std::to_string(type) + (all ? "" : "/" + std::to_string(code));
    }

    void flags()
    {
        static constexpr std::array names{"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
        const auto &f = m_.tcp_flags;
        if ((f.mask | f.value) >= 1 << names.size())
            return cannot("the TCP flags ecn and cwr");
        auto text = [&](std::uint8_t bits) {
            std::string list;
            for (std::size_t i = 0; i < names.size(); ++i)
                if (bits >> i & 1)
                    list += (list.empty() ? "" : ",") + std::string(names[i]);
            return list.empty() ? std::string("NONE") : list;
        };
        out_ +=
            " -m tcp " + negation(f.negated) + "--tcp-flags " + text(f.mask) + " " + text(f.value);
    }

    template <class Value>
    void one_value(const Field<Value> &field, const char *what, const std::string &words)
    {
        if (!field.asked())
            return;
        if (field.ranges.size() > 1 || field.ranges[0].first != field.ranges[0].last)
            return cannot(std::string(what) + ": write a rule for each");
        const auto space = words.find(' ');
        out_ += " -m " + words.substr(0, space + 1) + negation(field.negated) +
                words.substr(space + 1) + std::to_string(field.ranges[0].first);
    }

    void length()
    {
        if (!m_.length.asked())
            return;
        if (m_.length.ranges.size() > 1)
            return cannot("a list of lengths: write a rule for each");
        out_ += " -m length " + negation(m_.length.negated) + "--length " +
                range_text(m_.length.ranges[0]);
    }

    void limit()
    {
        if (!rule_.limit)
            return;
        const Limit &l = *rule_.limit;
        if (l.over || l.per_source)
            return cannot("a limit with over, or per saddr");
        constexpr std::uint32_t most = 10000; // XT_LIMIT_SCALE: of a second
        if (l.packets / l.seconds > most)
            return cannot("more than 10000 packets a second in a limit");
        const char *unit = l.seconds == 1      ? "/sec"
                           : l.seconds == 60   ? "/min"
                           : l.seconds == 3600 ? "/hour"
                                               : "/day";
        out_ += " -m limit --limit " + std::to_string(l.packets) + unit;
        if (l.burst != Limit{}.burst)
            out_ += " --limit-burst " + std::to_string(l.burst);
    }

    void action()
    {
        if (rule_.log_sample > 1)
            cannot("log sample");
        if (rule_.log_sample && rule_.action != EFW_COUNT)
            cannot("a rule that logs and decides: write one with log count before it");
        switch (rule_.action) {
        case EFW_ACCEPT:
            out_ += " -j ACCEPT";
            break;
        case EFW_DROP:
            out_ += " -j DROP";
            break;
        case EFW_SLOW:
            out_ += " -j RETURN";
            break;
        case EFW_COUNT:
            out_ += rule_.log_sample ? " -j LOG" : "";
            break;
        case EFW_REJECT:
            reject();
        }
    }

    void reject()
    {
        if (!m_.protocol.negated && protocol_ == "6")
            out_ += " -j REJECT --reject-with tcp-reset";
        else if (!m_.protocol.allows(tcp))
            out_ += family_ == 4 ? " -j REJECT --reject-with icmp-admin-prohibited"
                                 : " -j REJECT --reject-with icmp6-adm-prohibited";
        else
            cannot("one reject for TCP and all else: write a rule with tcp, and one with "
                   "protocol != tcp");
    }

    const Rule &rule_;
    const Match &m_;
    int family_;
    std::string protocol_;
    std::string out_, why_;
};

} // namespace

Result<std::string> export_iptables(const std::vector<Rule> &rules, int family)
{
    std::string out = "*filter\n:EFW - [0:0]\n";
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (rules[i].match.family && rules[i].match.family != family)
            continue;
        auto words = Writer(rules[i], family).write();
        if (!words) {
            Error e = words.error();
            e.where = "/rules/" + std::to_string(i);
            return e;
        }
        out += "-A EFW" + *words + "\n";
    }
    return out + "COMMIT\n";
}

} // namespace evnf::efw
