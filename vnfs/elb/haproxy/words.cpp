// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/words.hpp"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/text.hpp"

namespace evnf::elb::haproxy
{

namespace
{

bool is_digits(const std::string &text)
{
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

Result<> read_ports(const std::string &text, Target &to)
{
    if (text.empty())
        return Unit{};
    const bool signed_one = text[0] == '+' || text[0] == '-';
    const auto dash = signed_one ? text.npos : text.find('-');
    const auto low = parse_number(signed_one ? text.substr(1) : text.substr(0, dash),
                                  signed_one ? 0 : 1, 65535, "port");
    if (!low)
        return low.error();
    const auto high =
        dash == text.npos ? low : parse_number(text.substr(dash + 1), 1, 65535, "port");
    if (!high)
        return high.error();
    if (*high < *low)
        return bad_input("the range of ports " + in_quotes(text) + " is empty");
    to.ports = signed_one ? Target::Ports::offset : Target::Ports::given;
    const int sign = text[0] == '-' ? -1 : 1;
    to.first = sign * static_cast<int>(*low);
    to.last = sign * static_cast<int>(*high);
    return Unit{};
}

Result<> read_address(std::string text, Target &to)
{
    if (text.size() > 1 && text.front() == '[' && text.back() == ']')
        text = text.substr(1, text.size() - 2);
    to.ipv6 |= text == "::";
    if (text.empty() || text == "*" || text == "0.0.0.0" || text == "::")
        return Unit{};
    auto address = Address::parse(text);
    if (!address)
        return bad_input(in_quotes(text) + " is no address; elb asks no name server");
    to.address = *address;
    to.ipv6 = !address->is_v4();
    return Unit{};
}

} // namespace

Result<double> parse_time(const std::string &text)
{
    static const std::map<std::string, double> units{
        {"us", 1e-6}, {"ms", 1e-3}, {"", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    const auto end = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto unit = units.find(text.substr(end));
    const auto number = parse_number(text.substr(0, end), 0, 2147483647, "time");
    if (!number || unit == units.end())
        return bad_input(in_quotes(text) + " is no time, such as 2s or 500ms");
    return static_cast<double>(*number) * unit->second;
}

Result<Target> parse_target(const std::string &text)
{
    Target out;
    std::string rest = text;
    for (const auto &[prefix, ipv6] : {std::pair{"ipv4@", false}, {"ipv6@", true}})
        if (rest.starts_with(prefix)) {
            rest.erase(0, 5);
            out.ipv6 = ipv6;
        }
    if (rest.find('@') != rest.npos || rest.starts_with("/"))
        return bad_input(in_quotes(text) + " is no address and port of IP");
    // What follows the last colon is the port, also without brackets: "2001:db8::1:80".
    const auto colon = rest.find_last_of(':');
    const bool bracketed = !rest.empty() && rest.back() == ']';
    const bool has_port = colon != rest.npos && !bracketed;
    const std::string port = has_port ? rest.substr(colon + 1) : "";
    if (!has_port && is_digits(rest))
        return bad_input(in_quotes(text) + " is no address; a port is written :" + rest);
    if (auto r = read_address(rest.substr(0, has_port ? colon : rest.npos), out); !r)
        return r.error();
    if (auto r = read_ports(port, out); !r)
        return r.error();
    return out;
}

} // namespace evnf::elb::haproxy
