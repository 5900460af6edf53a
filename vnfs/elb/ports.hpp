// SPDX-License-Identifier: GPL-2.0-or-later
// The ports of a service: one, some, ranges, or all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/net.hpp"

namespace evnf::elb
{

using json = nlohmann::json;

struct PortRange {
    std::uint16_t first = 0, last = 0;

    [[nodiscard]] bool is_one() const { return first == last; }
    [[nodiscard]] bool overlaps(const PortRange &other) const
    {
        return first <= other.last && other.first <= last;
    }
    [[nodiscard]] std::string text() const;
    friend auto operator<=>(const PortRange &, const PortRange &) = default;
};

class Ports
{
public:
    Ports() = default;
    explicit Ports(std::uint16_t one) : ranges_{{one, one}} {}

    // "80", "8000-8999", "80,443,8000-8999", "all" or "*".
    static Result<Ports> parse(std::string_view text);
    // What a table has: a number, such a text, or an array of numbers and ranges.
    static Result<Ports> read(const json &value, const std::string &where);

    // In order; none has a port of another. All ports are one range that has zero too.
    [[nodiscard]] const std::vector<PortRange> &ranges() const { return ranges_; }
    [[nodiscard]] bool all() const { return ranges_ == std::vector{every}; }
    [[nodiscard]] std::optional<std::uint16_t> one() const;
    [[nodiscard]] bool contains(std::uint16_t port) const;
    [[nodiscard]] bool overlap(const Ports &other) const;
    // The first of them that has a port of `other`, at the same rank: a single port goes before
    // a range, and that before all.
    [[nodiscard]] std::optional<PortRange> clash(const Ports &other) const;

    [[nodiscard]] std::string text() const;
    // A number if it is one port, else the text.
    [[nodiscard]] json to_json() const;
    friend bool operator==(const Ports &, const Ports &) = default;

private:
    static constexpr PortRange every{0, 65535};

    static Result<Ports> of(std::vector<PortRange> ranges);

    std::vector<PortRange> ranges_;
};

// A range as prefixes: the ports whose upper `length` bits are those of `port`.
struct PortPrefix {
    std::uint16_t port = 0;
    unsigned length = 0;
};
std::vector<PortPrefix> prefixes_of(const PortRange &range);

// The address and ports of "192.0.2.10:80" or "[2001:db8::10]:8000-8999".
Result<std::pair<Address, Ports>> parse_service(std::string_view text);
std::string service_text(const Address &address, const Ports &ports);
// "10.0.2.11:80", or "10.0.2.11" for one that keeps the port.
Result<Endpoint> parse_backend(std::string_view text);

} // namespace evnf::elb
