// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/section.hpp"

#include <algorithm>
#include <map>

#include "vnfs/edpi/policy.hpp"
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

constexpr const char *modes[] = {"copy", "capture", "stack", "tap", "xsk"}; // enum edpi_mode

unsigned number(const json &section, const char *key)
{
    return section[key].get<unsigned>();
}

// The names that policies use are nDPI's, which it takes a moment to learn.
Result<> check_rules(const json &given, json &out)
{
    Names names;
    const bool named =
        given.contains("policy") || (given.contains("elephants") && given["elephants"].is_object());
    if (named) {
        auto all = names_of(out["protocols"]);
        if (!all)
            return all.error();
        names = *std::move(all);
    }
    auto policies = check_policies(given.value("policy", json::array()), names);
    if (!policies)
        return policies.error();
    auto elephants = check_elephants(given.value("elephants", json("always")), names);
    if (!elephants)
        return elephants.error();
    out["policy"] = *std::move(policies);
    out["elephants"] = *std::move(elephants);
    return Unit{};
}

std::map<std::string, json> by_name(const json &policies)
{
    std::map<std::string, json> out;
    for (auto p : policies) {
        const std::string name = p["name"];
        p.erase("name");
        out.emplace(name, std::move(p));
    }
    return out;
}

// Of two lists; who has moved within them is not told by the tables.
void diff_policies(const json &from, const json &to, std::vector<std::string> &out)
{
    const auto before = by_name(from), after = by_name(to);
    for (const auto &[name, table] : before)
        if (!after.contains(name))
            out.push_back("- edpi policy " + name);
    for (const auto &[name, table] : after) {
        const auto old = before.find(name);
        const std::string line = "edpi policy " + name + " ";
        if (old == before.end())
            out.push_back("+ " + line + table.dump());
        else if (old->second != table)
            out.push_back("~ " + line + old->second.dump() + " -> " + table.dump());
    }
    if (before == after && from != to)
        out.push_back("~ edpi policies have another order");
}

} // namespace

Result<json> check_section(const json &section, const json & /*running*/)
{
    const json given = section.is_null() ? json::object() : section;
    const TableReader reader(given, "");
    std::set<std::string> keys{"mode", "protocols", "export", "elephants", "policy"};
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
    auto mode = reader.word("mode", {std::begin(modes), std::end(modes)}, "copy");
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
    if (auto r = check_rules(given, out); !r)
        return r.error();
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
        if (before[key] != value && key != "policy")
            out.push_back("~ edpi " + key + " " + text(before[key]) + " -> " + text(value));
    diff_policies(before["policy"], to["policy"], out);
    return out;
}

// The packet with which nDPI has had enough is one more than the limit.
edpi_settings settings_of(const json &section)
{
    const auto mode = std::find(std::begin(modes), std::end(modes), section["mode"]);
    return {.mode = static_cast<__u32>(mode - std::begin(modes)),
            .snapshot = number(section, "snapshot"),
            .tcp_packets = number(section, "tcp_packets") + 1,
            .other_packets = number(section, "udp_packets") + 1,
            .kept_bytes = elephants_of(section["elephants"]).bytes};
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

bool same_rules(const json &a, const json &b)
{
    return a["policy"] == b["policy"] && a["elephants"] == b["elephants"];
}

bool same_inspection(const json &a, const json &b)
{
    constexpr const char *keys[] = {"protocols", "tcp_packets", "udp_packets", "inspected"};
    return std::all_of(std::begin(keys), std::end(keys),
                       [&](const char *key) { return a[key] == b[key]; });
}

} // namespace evnf::edpi
