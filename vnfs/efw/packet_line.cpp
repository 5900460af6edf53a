// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/packet_line.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace evnf::efw
{

namespace
{

using nlohmann::json;

constexpr std::array flag_names{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};

// "2026-01-31T14:03:07.123456Z"
std::string time_text(std::int64_t ns)
{
    const time_t seconds = ns / 1'000'000'000;
    tm utc{};
    ::gmtime_r(&seconds, &utc);
    std::array<char, 64> out{};
    const std::size_t n = std::strftime(out.data(), out.size(), "%FT%T", &utc);
    std::snprintf(out.data() + n, out.size() - n, ".%06dZ",
                  static_cast<int>(ns % 1'000'000'000 / 1000));
    return out.data();
}

// A value of logfmt, in quotes if it needs them.
std::string value_text(const json &value)
{
    if (!value.is_string())
        return value.dump();
    const auto &text = value.get_ref<const std::string &>();
    const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
        return c > ' ' && c < 0x7f && c != '=' && c != '"' && c != '\\';
    });
    return plain ? text : value.dump();
}

} // namespace

std::string flags_text(std::uint8_t flags)
{
    std::string out;
    for (unsigned i = 0; i < flag_names.size(); ++i)
        if (flags >> i & 1)
            out += (out.empty() ? "" : ",") + std::string(flag_names[i]);
    return out.empty() ? "none" : out;
}

std::string log_line(const json &record)
{
    std::string out = "efw packet time=" + time_text(record["time_ns"]);
    for (const char *key :
         {"rule", "name", "action", "in", "vlan", "protocol", "source", "source_port",
          "destination", "destination_port", "flags", "type", "code", "fragment", "length"})
        if (record.contains(key))
            out += " " + std::string(key) + "=" + value_text(record[key]);
    return out;
}

} // namespace evnf::efw
