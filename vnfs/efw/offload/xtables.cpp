// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/xtables.hpp"

#include <algorithm>
#include <map>

#include "abi/pkt.h"
#include "vnfs/efw/offload/lexer.hpp"
#include "vnfs/efw/offload/xtables_reader.hpp"

namespace evnf::efw::offload
{

using match::Match;
using Words = std::vector<std::string>;

namespace
{

// Modules whose match leaves nothing behind.
bool is_lasting(std::string_view module)
{
    static const std::set<std::string_view> pure{
        "string",   "u32",        "owner",    "time",      "physdev", "socket",   "ttl",
        "hl",       "mac",        "ecn",      "esp",       "ah",      "helper",   "policy",
        "connmark", "connbytes",  "bpf",      "cpu",       "cgroup",  "devgroup", "dccp",
        "frag",     "ipv6header", "rt",       "dst",       "hbh",     "mh",       "rpfilter",
        "realm",    "tcpmss",     "addrtype", "conntrack", "udplite", "connlabel"};
    return !pure.contains(module);
}

// "-m limit --limit 10/sec --limit-burst 20"
std::optional<Limit> limit_of(const std::string &text)
{
    static const std::map<std::string_view, std::uint32_t> units{
        {"sec", 1}, {"min", 60}, {"hour", 3600}, {"day", 86400}};
    const auto words = split(text, ' ');
    Limit out;
    if ((words.size() != 4 && words.size() != 6) || words[2] != "--limit" ||
        (words.size() == 6 && words[4] != "--limit-burst"))
        return std::nullopt;
    const auto rate = split(words[3], '/');
    const auto unit = units.find(rate.back());
    const auto packets = number_of(rate.front(), 0xffffffff);
    const auto burst = words.size() == 6 ? number_of(words[5], 0xffffffff) : out.burst;
    if (rate.size() != 2 || unit == units.end() || !packets || !burst || !*packets || !*burst)
        return std::nullopt;
    out.packets = static_cast<std::uint32_t>(*packets);
    out.seconds = unit->second;
    out.burst = static_cast<std::uint32_t>(*burst);
    return out;
}

} // namespace

bool XtablesReader::known_by_module(const std::string &o)
{
    const std::string &m = module_;
    if (m == "tcp" || m == "udp" || m == "sctp") {
        const auto protocol = xtables_protocol(m);
        if (o == "--sport" || o == "--source-port")
            return ports(true, false, false, protocol);
        if (o == "--dport" || o == "--destination-port")
            return ports(false, true, false, protocol);
        return m == "tcp" && o == "--tcp-flags" && flags();
    }
    if (m == "multiport") {
        if (o == "--sports" || o == "--source-ports")
            return ports(true, false, true, protocol_);
        if (o == "--dports" || o == "--destination-ports")
            return ports(false, true, true, protocol_);
        return o == "--ports" && ports(true, true, true, protocol_);
    }
    if (m == "iprange")
        return (o == "--src-range" || o == "--dst-range") && address_range(o == "--src-range");
    if (m == "icmp" || m == "icmp6")
        return o == (family_ == 4 ? "--icmp-type" : "--icmpv6-type") && icmp();
    if (m == "state" || m == "conntrack")
        return o == (m == "state" ? "--state" : "--ctstate") && ct_states();
    if (m == "addrtype")
        return (o == "--src-type" || o == "--dst-type") && address_types(o == "--src-type");
    if (m == "length" && o == "--length") {
        const auto r = range_of_text<std::uint16_t>(take());
        Match length = match();
        if (r) {
            length.length = {{*r}, negated_};
            is(length);
        }
        return r.has_value();
    }
    if (m == "dscp" && o == "--dscp") {
        const auto value = number_of(take(), 63);
        Match dscp = match();
        if (value) {
            dscp.dscp = {{{static_cast<std::uint8_t>(*value), static_cast<std::uint8_t>(*value)}},
                         negated_};
            is(dscp);
        }
        return value.has_value();
    }
    if (m == "comment" && o == "--comment")
        return !(comment_ = take()).empty();
    return (m == "tos" && o == "--tos" && tos()) || (m == "mark" && o == "--mark" && mark()) ||
           (m == "pkttype" && o == "--pkt-type" && packet_type());
}

bool XtablesReader::known(const std::string &o)
{
    if (o == "-s" || o == "-d")
        return address(o == "-s");
    if (o == "-p") {
        const auto number = xtables_protocol(take());
        if (!number || *number == 0)
            return false;
        Match m = match();
        m.protocol = {{{*number, *number}}, negated_};
        if (!negated_)
            protocol_ = number;
        is(m);
        return true;
    }
    if (o == "-f") {
        Match m = match();
        m.fragment = {{{PKT_FRAG_LATER, PKT_FRAG_LATER}}, negated_};
        is(m);
        return true;
    }
    return known_by_module(o);
}

// Leaves the words of what is not understood behind, up to the next that begins a part.
void XtablesReader::unknown_option(const std::string &option)
{
    std::string what =
        module_.empty() || option.starts_with("-m") ? option : "-m " + module_ + " " + option;
    while (!done() && words_[at_] != "-m" && words_[at_] != "-j" && words_[at_] != "-g")
        what += " " + take();
    unknown(what, module_.empty() || is_lasting(module_),
            option == "-m limit" ? limit_of(what) : std::nullopt);
}

void XtablesReader::option(const std::string &o)
{
    static const std::set<std::string_view> modules{
        "tcp",    "udp",  "sctp",      "multiport", "iprange", "icmp", "icmp6", "state",
        "length", "dscp", "conntrack", "addrtype",  "comment", "tos",  "mark",  "pkttype"};
    if (o == "-i" || o == "-o") {
        interface(o == "-i");
    } else if (o == "-m") {
        module_ = take();
        if (!modules.contains(module_))
            unknown_option("-m " + module_);
    } else if (o == "-j" || o == "-g") {
        target(o == "-g");
    } else {
        const std::size_t steps = steps_.size(), at = at_;
        if (!known(o)) {
            steps_.resize(steps);
            at_ = at;
            unknown_option(o);
        }
    }
}

void XtablesReader::target(bool go_to)
{
    const std::string name = take();
    std::string options;
    for (; !done(); options += " " + take()) {
    }
    steps_.emplace_back(Count{});
    if (chains_.contains(name)) {
        steps_.emplace_back(Decide{go_to ? Verdict::go_to : Verdict::jump, name});
    } else if (name == "ACCEPT") {
        steps_.emplace_back(Decide{Verdict::accept});
    } else if (name == "DROP") {
        steps_.emplace_back(Decide{Verdict::drop});
    } else if (name == "RETURN") {
        steps_.emplace_back(Decide{Verdict::return_to_caller});
    } else if (name == "NOTRACK" || (name == "CT" && options == " --notrack")) {
        steps_.emplace_back(NoTrack{});
    } else {
        extension(name, options);
    }
}

void XtablesReader::extension(const std::string &name, const std::string &options)
{
    using Kind = Effect::Kind;
    static const std::map<std::string, Kind> rejects{
        {" --reject-with tcp-reset", Kind::reset},
        {" --reject-with icmp-admin-prohibited", Kind::prohibit},
        {" --reject-with icmp6-adm-prohibited", Kind::prohibit}};
    const auto reject = rejects.find(options);
    const Kind kind = name == "LOG" && options.empty()              ? Kind::log
                      : name == "REJECT" && reject != rejects.end() ? reject->second
                                                                    : Kind::other;
    steps_.emplace_back(Effect{name + options, kind});
}

XtablesRule XtablesReader::read()
{
    // Words of a module that is not known may look like a target: then nothing is known.
    const auto targets = std::count_if(words_.begin(), words_.end(),
                                       [](const std::string &w) { return w == "-j" || w == "-g"; });
    if (targets > 1) {
        unknown("more than one target", true);
        steps_.emplace_back(Effect{"more than one target"});
        return {steps_, {0, 0}, comment_};
    }
    while (!done()) {
        const std::size_t begin = at_;
        std::string word = take();
        negated_ = word == "!";
        option(negated_ ? take() : word);
        from_.resize(steps_.size(), begin);
    }
    if (targets == 0)
        steps_.emplace_back(Count{});
    from_.resize(steps_.size(), 0);
    return {steps_, from_, comment_};
}

XtablesRule read_xtables(const Words &words, int family, const std::set<std::string> &chains)
{
    return XtablesReader(words, family, chains).read();
}

} // namespace evnf::efw::offload
