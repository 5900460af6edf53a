// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/section.hpp"

#include <algorithm>

#include "vnfs/table_reader.hpp"

namespace evnf::edpi
{

namespace
{

struct Number {
    const char *key;
    unsigned low, high, otherwise;
};
constexpr Number numbers[] = {
    {"flows", 1024, 16 << 20, 65536}, {"snapshot", 128, COPY_MAX_BYTES, 1600},
    {"tcp_packets", 1, 1000, 80}, // as ndpiReader
    {"udp_packets", 1, 1000, 24},     {"inspected", 64, 1 << 20, 16384},
    {"idle", 1, 86400, 60},           {"closed", 1, 86400, 5},
    {"active", 1, 86400, 300},
};

unsigned number(const json &section, const char *key)
{
    return section[key].get<unsigned>();
}

} // namespace

Result<json> check_section(const json &section, const json & /*running*/)
{
    const json given = section.is_null() ? json::object() : section;
    const TableReader reader(given, "");
    std::set<std::string> keys{"mode", "protocols", "export"};
    for (const auto &n : numbers)
        keys.insert(n.key);
    if (auto r = reader.only(keys, "edpi"); !r)
        return r.error();
    json out;
    for (const auto &n : numbers) {
        auto value = reader.number(n.key, n.low, n.high, n.otherwise);
        if (!value)
            return value.error();
        out[n.key] = *value;
    }
    auto mode = reader.word("mode", {"copy", "capture"}, "copy");
    if (!mode)
        return mode.error();
    out["mode"] = *mode;
    for (const char *key : {"protocols", "export"}) {
        auto text = reader.text(key, "");
        if (!text)
            return text.error();
        out[key] = *text;
    }
    if (auto to = Destination::parse(out["export"]); !to) {
        Error e = to.error();
        e.where = reader.at("export");
        return e;
    }
    const std::string file = out["protocols"];
    if (!file.empty() && file[0] != '/')
        return bad_input("the path of the protocols begins with /", reader.at("protocols"), 0,
                         file.size());
    return out;
}

std::vector<std::string> diff_sections(const json &from, const json &to)
{
    const auto text = [](const json &value) {
        return value.is_string() && value.get<std::string>().empty() ? "none" : value.dump();
    };
    // What is new differs from what nobody asked for.
    const json before = from.is_object() ? from : *check_section(json::object(), nullptr);
    std::vector<std::string> out;
    for (const auto &[key, value] : to.items())
        if (before[key] != value)
            out.push_back("~ edpi " + key + " " + text(before[key]) + " -> " + text(value));
    return out;
}

// The packet with which nDPI has had enough is one more than the limit.
edpi_settings settings_of(const json &section)
{
    return {.capture = section["mode"] == "capture",
            .snapshot = number(section, "snapshot"),
            .tcp_packets = number(section, "tcp_packets") + 1,
            .other_packets = number(section, "udp_packets") + 1};
}

Timeouts timeouts_of(const json &section)
{
    return {.idle = number(section, "idle"),
            .closed = number(section, "closed"),
            .active = number(section, "active")};
}

PacketLimits limits_of(const json &section)
{
    return {.tcp = number(section, "tcp_packets"), .udp = number(section, "udp_packets")};
}

Destination destination_of(const json &section)
{
    return *Destination::parse(section["export"]); // checked before: always good
}

bool same_inspection(const json &a, const json &b)
{
    constexpr const char *keys[] = {"protocols", "tcp_packets", "udp_packets", "inspected"};
    return std::all_of(std::begin(keys), std::end(keys),
                       [&](const char *key) { return a[key] == b[key]; });
}

} // namespace evnf::edpi
