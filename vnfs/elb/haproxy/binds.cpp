// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/binds.hpp"

#include <algorithm>
#include <map>
#include <sstream>

#include "base/text.hpp"

namespace evnf::elb::haproxy
{

namespace
{

constexpr int most_ports = 64; // of one line

// Parameters that only HAProxy's own socket has, and how many words follow them.
const std::map<std::string, unsigned> of_sockets{
    {"backlog", 1}, {"defer-accept", 0}, {"gid", 1},    {"group", 1},  {"id", 1},
    {"maxconn", 1}, {"mode", 1},         {"mss", 1},    {"name", 1},   {"nice", 1},
    {"process", 1}, {"shards", 1},       {"tcp-ut", 1}, {"tfo", 0},    {"thread", 1},
    {"uid", 1},     {"user", 1},         {"v4v6", 0},   {"v6only", 0}, {"transparent", 0}};

const std::map<std::string, const char *> refusals{
    {"ssl", "elb does not decrypt"},
    {"accept-proxy", "elb does not read into connections"},
    {"accept-netscaler-cip", "elb does not read into connections"},
    {"interface", "a service of elb is reached by every interface"},
    {"namespace", "elb is in this network namespace"}};

bool is_loopback(const Address &a)
{
    return a.is_v4() ? a.text().starts_with("127.") : a.text() == "::1";
}

std::string parameters_wrong(const Line &line, std::size_t &i)
{
    for (i = 2; i < line.words.size(); ++i) {
        const std::string &word = line.words[i].text;
        if (const auto p = of_sockets.find(word); p != of_sockets.end())
            i += p->second;
        else if (const auto why = refusals.find(word); why != refusals.end())
            return word + ": " + why->second;
        else
            return word + ": elb has nothing for it";
    }
    return {};
}

// Why one target cannot be a service's; empty: its endpoints are in `out`.
std::string take_target(const std::string &text, const std::vector<Address> &all,
                        std::vector<Endpoint> &out)
{
    auto target = parse_target(text);
    if (!target)
        return target.error().what;
    if (target->ports != Target::Ports::given)
        return in_quotes(text) + " has no port";
    if (target->last - target->first >= most_ports)
        return in_quotes(text) + ": these are more than " + std::to_string(most_ports) +
               " ports, a service of elb each";
    std::vector<Address> addresses;
    if (target->address)
        addresses.push_back(*target->address);
    else
        std::copy_if(all.begin(), all.end(), std::back_inserter(addresses),
                     [&](const Address &a) { return a.is_v4() != target->ipv6; });
    if (addresses.empty())
        return in_quotes(text) + " is all addresses of this host: say by --address which of "
                                 "them elb is to serve";
    for (const auto &a : addresses) {
        if (is_loopback(a))
            return in_quotes(text) + ": what this host sends to itself does not meet elb";
        for (int port = target->first; port <= target->last; ++port)
            out.push_back({a, static_cast<std::uint16_t>(port)});
    }
    return {};
}

} // namespace

std::vector<Endpoint> read_bind(const Proxy &frontend, const Line &line,
                                const std::vector<Address> &all, Findings &findings)
{
    std::vector<Endpoint> out;
    if (line.words.size() < 2) {
        findings.refuse(frontend.text(), line, 0, "a bind has an address and a port");
        return {};
    }
    std::istringstream targets(line.word(1));
    for (std::string one; std::getline(targets, one, ',');)
        if (const auto why = take_target(one, all, out); !why.empty()) {
            findings.refuse(frontend.text(), line, 1, why);
            return {};
        }
    std::size_t word = 0;
    if (const auto why = parameters_wrong(line, word); !why.empty()) {
        findings.refuse(frontend.text(), line, word, why);
        return {};
    }
    return out;
}

} // namespace evnf::elb::haproxy
