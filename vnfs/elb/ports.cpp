// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/ports.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace evnf::elb
{

namespace
{

// As many as one service may list.
constexpr std::size_t max_listed = 64;

Result<std::uint16_t> read_port(std::string_view text)
{
    auto n = parse_number(text, 1, 65535, "port");
    if (!n)
        return n.error();
    return static_cast<std::uint16_t>(*n);
}

Result<PortRange> read_range(std::string_view text)
{
    const auto dash = text.find('-');
    auto first = read_port(text.substr(0, dash));
    if (!first)
        return first.error();
    if (dash == text.npos)
        return PortRange{*first, *first};
    auto last = read_port(text.substr(dash + 1));
    if (!last)
        return last.error();
    if (*last < *first)
        return bad_input(in_quotes(text) + " ends before it begins");
    return PortRange{*first, *last};
}

} // namespace

std::string PortRange::text() const
{
    return is_one() ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last);
}

Result<Ports> Ports::of(std::vector<PortRange> ranges)
{
    std::sort(ranges.begin(), ranges.end());
    for (std::size_t i = 1; i < ranges.size(); ++i)
        if (ranges[i - 1].overlaps(ranges[i]))
            return bad_input("the ports " + ranges[i - 1].text() + " and " + ranges[i].text() +
                             " overlap");
    if (ranges.empty() || ranges.size() > max_listed)
        return bad_input("a service has 1 to " + std::to_string(max_listed) +
                         " ports and ranges, or all");
    Ports out;
    out.ranges_ = std::move(ranges);
    return out;
}

Result<Ports> Ports::parse(std::string_view text)
{
    if (text == "all" || text == "*") {
        Ports out;
        out.ranges_ = {every};
        return out;
    }
    std::vector<PortRange> ranges;
    for (std::size_t at = 0; at <= text.size();) {
        const auto end = std::min(text.find(',', at), text.size());
        auto range = read_range(text.substr(at, end - at));
        if (!range)
            return range.error();
        ranges.push_back(*range);
        at = end + 1;
    }
    return of(std::move(ranges));
}

Result<Ports> Ports::read(const json &value, const std::string &where)
{
    const json list = value.is_array() ? value : json::array({value});
    std::vector<PortRange> ranges;
    for (const auto &item : list) {
        if (!item.is_number_integer() && !item.is_string())
            return bad_input(
                R"(port is a number, a range such as "8000-8999", an array of these, or "all")",
                where);
        const std::string text = item.is_string() ? item.get<std::string>() : item.dump();
        auto ports = parse(text);
        if (!ports)
            return bad_input(ports.error().what, where, 0, text.size());
        if (ports->all() && list.size() == 1)
            return ports;
        if (ports->all())
            return bad_input("all ports are more than a part of a list", where);
        ranges.insert(ranges.end(), ports->ranges_.begin(), ports->ranges_.end());
    }
    auto out = of(std::move(ranges));
    if (!out)
        return bad_input(out.error().what, where);
    return out;
}

std::optional<std::uint16_t> Ports::one() const
{
    if (ranges_.size() != 1 || !ranges_[0].is_one())
        return {};
    return ranges_[0].first;
}

bool Ports::contains(std::uint16_t port) const
{
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [&](const PortRange &r) { return r.first <= port && port <= r.last; });
}

bool Ports::overlap(const Ports &other) const
{
    return std::any_of(ranges_.begin(), ranges_.end(), [&](const PortRange &mine) {
        return std::any_of(other.ranges_.begin(), other.ranges_.end(),
                           [&](const PortRange &theirs) { return mine.overlaps(theirs); });
    });
}

std::optional<PortRange> Ports::clash(const Ports &other) const
{
    const auto rank = [](const PortRange &r) { return r.is_one() ? 0 : r == every ? 2 : 1; };
    for (const auto &mine : ranges_)
        for (const auto &theirs : other.ranges_)
            if (rank(mine) == rank(theirs) && mine.overlaps(theirs))
                return mine;
    return {};
}

std::string Ports::text() const
{
    if (all())
        return "all";
    std::string out;
    for (const auto &r : ranges_)
        out += (out.empty() ? "" : ",") + r.text();
    return out;
}

json Ports::to_json() const
{
    if (const auto port = one())
        return *port;
    return text();
}

std::vector<PortPrefix> prefixes_of(const PortRange &range)
{
    std::vector<PortPrefix> out;
    for (std::uint32_t at = range.first; at <= range.last;) {
        unsigned bits = 0; // that are free: as many as `at` and the end allow
        while (bits < 16 && at % (2U << bits) == 0 && at + (2U << bits) - 1 <= range.last)
            ++bits;
        out.push_back({static_cast<std::uint16_t>(at), 16 - bits});
        at += 1U << bits;
    }
    return out;
}

Result<std::pair<Address, Ports>> parse_service(std::string_view text)
{
    const auto colon = text.rfind(':');
    auto host = Endpoint::parse(std::string(text.substr(0, colon)) + ":1");
    if (!host || colon == text.npos)
        return bad_input(in_quotes(text) +
                         " is not an address and ports such as 192.0.2.10:80, [2001:db8::10]:80, "
                         "192.0.2.10:8000-8999 or 192.0.2.10:all");
    auto ports = Ports::parse(text.substr(colon + 1));
    if (!ports)
        return ports.error();
    return std::pair(host->address, *std::move(ports));
}

std::string service_text(const Address &address, const Ports &ports)
{
    const std::string host = address.text();
    return (address.is_v4() ? host : "[" + host + "]") + ":" + ports.text();
}

Result<Endpoint> parse_backend(std::string_view text)
{
    if (auto address = Address::parse(text))
        return Endpoint{*address, 0};
    return Endpoint::parse(text);
}

} // namespace evnf::elb
