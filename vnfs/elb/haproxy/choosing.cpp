// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/choosing.hpp"

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>

#include "base/text.hpp"
#include "vnfs/elb/haproxy/words.hpp"

namespace evnf::elb::haproxy
{

namespace
{

constexpr double longest = 31 * 24 * 3600; // as timeouts and affinity_timeout have it

// In whole seconds; zero is HAProxy's word for never.
Result<unsigned> seconds(const std::string &text)
{
    const auto time = parse_time(text);
    if (!time)
        return time.error();
    return static_cast<unsigned>(*time == 0 ? longest : std::clamp(std::ceil(*time), 1.0, longest));
}

void read_balance(const Proxy &pool, Choosing &to, Findings &findings)
{
    static const std::set<std::string> by_weight{"roundrobin", "static-rr", "random"};
    const auto *d = pool.last("balance");
    if (!d)
        return;
    const std::string how = d->line.word(1);
    if (how == "leastconn")
        to.keys["balance"] = "least_connections";
    else if (how == "source")
        to.keys["affinity"] = "source";
    else if (!by_weight.contains(how))
        findings.refuse(pool.text(), d->line, 0,
                        "balance " + how +
                            ": elb places connections by weights, connections or "
                            "the client's address");
}

// Why not; empty if it was taken.
std::string read_stick(const Proxy &pool, const Line &line, Choosing &to)
{
    static const std::regex client(R"(src(,ipmask\(([0-9]+)(,([0-9]+))?\))?)");
    const std::string key = line.word(2);
    std::smatch parts;
    if (line.word(1) != "on" || line.words.size() != 3 || !std::regex_match(key, parts, client))
        return "elb knows stick on src and stick on src,ipmask(…) alone";
    const auto prefix = [&](std::size_t part, unsigned most) -> std::optional<unsigned> {
        const auto n = parse_number(parts[part].str(), 1, most, "prefix");
        return n ? std::optional(static_cast<unsigned>(*n)) : std::nullopt;
    };
    to.keys["affinity"] = "source";
    if (parts[1].matched) {
        to.prefix4 = prefix(2, 32);
        to.prefix6 = prefix(4, 128);
        if (!to.prefix4 || (parts[3].matched && !to.prefix6))
            return "a mask is 1 to 32 bits of IPv4, and 1 to 128 of IPv6";
    }
    const auto *table = pool.last("stick-table");
    if (!table)
        return "there is no stick-table";
    to.keys["affinity_timeout"] = static_cast<unsigned>(longest);
    const auto &words = table->line.words;
    for (std::size_t i = 1; i + 1 < words.size(); ++i)
        if (table->line.word(i) == "expire") {
            const auto time = seconds(table->line.word(i + 1));
            if (!time)
                return time.error().message();
            to.keys["affinity_timeout"] = *time;
        }
    return {};
}

void read_sticks(const Proxy &pool, Choosing &to, Findings &findings)
{
    const Directive *first = nullptr;
    for (const auto &d : pool.directives) {
        if (d.line.word(0) != "stick")
            continue;
        const std::string why =
            first ? "elb keeps one such table for a service" : read_stick(pool, d.line, to);
        if (!why.empty())
            findings.refuse(pool.text(), d.line, 0, "stick: " + why);
        first = &d;
    }
}

// What the one or the other says, whichever is shorter: then both sides are silent.
void read_timeout(const std::vector<const Directive *> &said, const Proxy &proxy, const char *key,
                  Choosing &to, Findings &findings)
{
    for (const auto *d : said) {
        if (!d)
            continue;
        const auto time = seconds(d->line.word(2));
        if (!time) {
            findings.refuse(proxy.text(), d->line, 2, time.error().message());
            continue;
        }
        auto &kept = to.keys["timeouts"][key];
        kept = std::min(kept.is_null() ? *time : kept.get<unsigned>(), *time);
    }
}

} // namespace

Choosing read_choosing(const Proxy &front, const Proxy &pool, Findings &findings)
{
    Choosing out;
    read_balance(pool, out, findings);
    read_sticks(pool, out, findings);
    // When both sides have spoken, this is what counts.
    if (const auto *tunnel = pool.last("timeout", "tunnel"))
        read_timeout({tunnel}, pool, "tcp_established", out, findings);
    else
        read_timeout({front.last("timeout", "client"), pool.last("timeout", "server")}, pool,
                     "tcp_established", out, findings);
    read_timeout({front.last("timeout", "client-fin"), pool.last("timeout", "server-fin")}, pool,
                 "fin_wait", out, findings);
    return out;
}

} // namespace evnf::elb::haproxy
