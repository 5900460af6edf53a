// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/policy.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "base/text.hpp"
#include "match/names.hpp"
#include "vnfs/edpi/inspector.hpp"
#include "vnfs/edpi/naming.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::edpi
{

namespace
{

constexpr std::uint64_t least_rate = 8000, most_rate = 100'000'000'000;
constexpr unsigned least_burst = 2000, most_burst = 1U << 30; // a frame at least
constexpr unsigned usual_burst = 10000;
constexpr std::size_t most_host = 255;
constexpr double ns_per_byte = 8e9; // at one bit in a second

const std::map<std::string, edpi_action> actions{{"forward", EDPI_FORWARD},
                                                 {"drop", EDPI_DROP},
                                                 {"limit", EDPI_LIMIT},
                                                 {"mark", EDPI_MARK},
                                                 {"send", EDPI_SEND}};

// The keys that an action has besides.
const std::map<std::string, std::set<std::string>> keys_of_action{{"forward", {}},
                                                                  {"drop", {}},
                                                                  {"limit", {"rate", "burst"}},
                                                                  {"mark", {"dscp"}},
                                                                  {"send", {"to"}}};

bool among(const std::vector<std::string> &names, const std::string &name)
{
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool any_part(const std::vector<std::string> &names, const std::string &application)
{
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string &n) { return has_part(application, n); });
}

std::vector<std::string> small(const json &texts)
{
    std::vector<std::string> out;
    for (const auto &text : texts)
        out.push_back(lower(text));
    return out;
}

// "10 mbit/s": bits in a second.
std::optional<std::uint64_t> rate_of(const std::string &text)
{
    constexpr std::array<std::pair<const char *, std::uint64_t>, 4> units{
        {{"bit/s", 1}, {"kbit/s", 1000}, {"mbit/s", 1'000'000}, {"gbit/s", 1'000'000'000}}};
    const auto digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == text.npos || digits > 12)
        return std::nullopt;
    const auto word = lower(text.substr(text.find_first_not_of(' ', digits)));
    for (const auto &[unit, factor] : units)
        if (word == unit)
            return std::stoull(text.substr(0, digits)) * factor;
    return std::nullopt;
}

Result<std::string> read_rate(const TableReader &reader)
{
    auto text = reader.text("rate");
    if (!text)
        return text;
    const auto rate = rate_of(*text);
    if (!rate || *rate < least_rate || *rate > most_rate)
        return bad_input("a rate is such as \"10 mbit/s\": 8 kbit/s to 100 gbit/s",
                         reader.at("rate"), 0, text->size());
    return text;
}

// A list of names that are all among `known`.
Result<> read_names(const TableReader &reader, const char *key, const std::set<std::string> &known,
                    json &out)
{
    auto texts = reader.texts(key, {});
    if (!texts)
        return texts.error();
    for (std::size_t i = 0; i < texts->size(); ++i)
        if (!known.contains(lower((*texts)[i])))
            return bad_input("nDPI has no " + std::string(key) + " " + in_quotes((*texts)[i]) +
                                 ": evnf edpi protocols lists them",
                             reader.at(key) + "/" + std::to_string(i), 0, (*texts)[i].size());
    if (!texts->empty())
        out[key] = *texts;
    return Unit{};
}

Result<> read_hosts(const TableReader &reader, json &out)
{
    auto texts = reader.texts("host", {});
    if (!texts)
        return texts.error();
    for (std::size_t i = 0; i < texts->size(); ++i) {
        const std::string &host = (*texts)[i];
        const bool good = !host.empty() && host.size() <= most_host &&
                          std::all_of(host.begin(), host.end(),
                                      [](unsigned char c) { return c > ' ' && c < 0x7f; });
        if (!good)
            return bad_input("a host is a name, or a pattern such as \"*.example.org\"",
                             reader.at("host") + "/" + std::to_string(i), 0, host.size());
    }
    if (!texts->empty())
        out["host"] = *texts;
    return Unit{};
}

Result<> read_limit(const TableReader &reader, json &out)
{
    auto rate = read_rate(reader);
    if (!rate)
        return rate.error();
    const auto tenth = static_cast<unsigned>(
        std::clamp<std::uint64_t>(*rate_of(*rate) / 80, usual_burst, most_burst));
    auto burst = reader.number("burst", least_burst, most_burst, tenth);
    if (!burst)
        return burst.error();
    out["rate"] = *rate;
    out["burst"] = *burst;
    return Unit{};
}

Result<> read_mark(const TableReader &reader, json &out)
{
    constexpr unsigned most = 63;
    if (reader.has("dscp") && reader["dscp"].is_number()) {
        auto number = reader.number("dscp", 0, most);
        if (!number)
            return number.error();
        out["dscp"] = *number;
        return Unit{};
    }
    auto text = reader.text("dscp");
    if (!text)
        return text.error();
    const auto value = match::value_named(match::dscp_names(), *text);
    if (!value)
        return bad_input("a DSCP is cs0 to cs7, af11 to af43, ef, or a number to 63",
                         reader.at("dscp"), 0, text->size());
    out["dscp"] = *value;
    return Unit{};
}

Result<> read_way(const TableReader &reader, json &out)
{
    auto to = reader.text("to");
    if (!to)
        return to.error();
    if (to->size() != 4 || !to->starts_with("way") || (*to)[3] < '1' || (*to)[3] > '0' + EDPI_WAYS)
        return bad_input("a policy sends packets to way1 to way8, which are outputs of edpi in "
                         "the chain's path: edpi { way1 -> …; otherwise -> … }",
                         reader.at("to"), 0, to->size());
    out["to"] = *to;
    return Unit{};
}

Result<> read_action(const TableReader &reader, json &out)
{
    const std::string action = out["action"];
    for (const auto &[other, keys] : keys_of_action)
        for (const auto &key : keys)
            if (reader.has(key) && !keys_of_action.at(action).contains(key))
                return bad_input(key + " is of the action " + other + ", not of " + action,
                                 reader.at(key));
    switch (actions.at(action)) {
    case EDPI_LIMIT:
        return read_limit(reader, out);
    case EDPI_MARK:
        return read_mark(reader, out);
    case EDPI_SEND:
        return read_way(reader, out);
    default:
        return Unit{};
    }
}

bool is_policy_name(const std::string &name)
{
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
    });
}

} // namespace

bool Policy::takes(const Identity &who) const
{
    return (applications.empty() || any_part(applications, who.application)) &&
           (categories.empty() || among(categories, lower(who.category))) &&
           (hosts.empty() || (!who.host.empty() &&
                              std::any_of(hosts.begin(), hosts.end(), [&](const std::string &h) {
                                  return ::fnmatch(h.c_str(), who.host.c_str(), FNM_CASEFOLD) == 0;
                              })));
}

bool Elephants::takes(const Identity &who, std::uint64_t seen) const
{
    return always || any_part(applications, who.application) ||
           among(categories, lower(who.category)) || (bytes && seen >= bytes);
}

Result<Names> names_of(const std::string &protocols_file)
{
    static std::optional<Names> own; // of nDPI without a file
    if (protocols_file.empty() && own)
        return *own;
    auto inspector = Inspector::make(protocols_file, {}, 1);
    if (!inspector)
        return inspector.error();
    Names out;
    for (const auto &p : (*inspector)->protocols()) {
        out.applications.insert(lower(p.name));
        out.categories.insert(lower(p.category));
    }
    if (protocols_file.empty())
        own = out;
    return out;
}

Result<json> check_policy(const json &table, const std::string &where, const Names &names)
{
    const TableReader reader(table, where);
    if (auto r = reader.only(
            {"name", "application", "category", "host", "action", "rate", "burst", "dscp", "to"},
            "a policy");
        !r)
        return r.error();
    auto name = reader.text("name");
    if (!name)
        return name.error();
    if (!is_policy_name(*name))
        return bad_input("a policy's name has up to 64 letters, digits, - and _", reader.at("name"),
                         0, name->size());
    if (!reader.has("action"))
        return bad_input("a policy has an action: forward, drop, limit, mark or send", where);
    auto action = reader.word("action", {"forward", "drop", "limit", "mark", "send"}, "");
    if (!action)
        return action.error();
    json out{{"name", *name}, {"action", *action}};
    if (auto r = read_names(reader, "application", names.applications, out); !r)
        return r.error();
    if (auto r = read_names(reader, "category", names.categories, out); !r)
        return r.error();
    if (auto r = read_hosts(reader, out); !r)
        return r.error();
    if (auto r = read_action(reader, out); !r)
        return r.error();
    return out;
}

Result<json> check_policies(const json &tables, const Names &names)
{
    if (!tables.is_array())
        return bad_input("policies are an array of tables: [[edpi.policy]]", "/policy");
    if (tables.size() > EDPI_MAX_POLICIES)
        return bad_input(std::to_string(tables.size()) +
                             " policies are given, edpi holds at most " +
                             std::to_string(EDPI_MAX_POLICIES),
                         "/policy");
    json out = json::array();
    std::set<std::string> taken;
    for (const auto &table : tables) {
        const std::string where = "/policy/" + std::to_string(out.size());
        auto policy = check_policy(table, where, names);
        if (!policy)
            return policy.error();
        const std::string name = (*policy)["name"];
        if (!taken.insert(name).second)
            return bad_input("two policies are named " + in_quotes(name), where + "/name");
        out.push_back(*std::move(policy));
    }
    return out;
}

Result<json> check_elephants(const json &value, const Names &names)
{
    if (value == "always" || value == "never")
        return value;
    if (!value.is_object())
        return bad_input("elephants are \"always\", \"never\", or a table with application, "
                         "category, bytes or rate",
                         "/elephants");
    const TableReader reader(value, "/elephants");
    if (auto r = reader.only({"application", "category", "bytes", "rate"}, "elephants"); !r)
        return r.error();
    json out = json::object();
    if (auto r = read_names(reader, "application", names.applications, out); !r)
        return r.error();
    if (auto r = read_names(reader, "category", names.categories, out); !r)
        return r.error();
    if (reader.has("bytes")) {
        auto bytes = reader.number("bytes", 1, ~0U);
        if (!bytes)
            return bytes.error();
        out["bytes"] = *bytes;
    }
    if (reader.has("rate")) {
        auto rate = read_rate(reader);
        if (!rate)
            return rate.error();
        out["rate"] = *rate;
    }
    if (out.empty())
        return bad_input("elephants are told by application, category, bytes or rate; all are "
                         "\"always\", none \"never\"",
                         "/elephants");
    return out;
}

Policy policy_of(const json &table)
{
    Policy p{.name = table["name"],
             .applications = small(table.value("application", json::array())),
             .categories = small(table.value("category", json::array())),
             .hosts = table.value("host", std::vector<std::string>()),
             .entry = {}};
    edpi_policy &e = p.entry;
    e.mark = std::max<std::uint64_t>(1, std::hash<std::string>()(table.dump()));
    e.action = actions.at(table["action"]);
    if (e.action == EDPI_LIMIT) {
        const double per_byte = ns_per_byte / static_cast<double>(*rate_of(table["rate"]));
        e.cost = static_cast<__u64>(per_byte * (1U << EDPI_COST_SHIFT));
        e.depth = static_cast<__u64>(per_byte * table["burst"].get<double>());
    }
    if (e.action == EDPI_MARK)
        e.value = table["dscp"];
    if (e.action == EDPI_SEND)
        e.value = static_cast<__u32>(table["to"].get<std::string>()[3] - '1');
    return p;
}

Elephants elephants_of(const json &value)
{
    if (!value.is_object())
        return {.always = value == "always", .applications = {}, .categories = {}};
    return {.always = false,
            .applications = small(value.value("application", json::array())),
            .categories = small(value.value("category", json::array())),
            .bytes = value.value("bytes", std::uint64_t{0}),
            .rate = value.contains("rate") ? *rate_of(value["rate"]) : 0};
}

} // namespace evnf::edpi
