// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/health/settings.hpp"

#include <regex.h>

#include <algorithm>

#include "base/text.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

using Type = HealthSettings::Type;

const std::vector<std::string> types{"none", "tcp", "http", "https", "script"};

const std::set<std::string> keys{"type", "port",       "interval", "timeout", "jitter",  "rise",
                                 "fall", "slow_start", "method",   "path",    "host",    "status",
                                 "body", "body_regex", "verify",   "ca_file", "command", "on_down"};

// "200" or "200-399" or 200.
Result<std::pair<unsigned, unsigned>> status_range(const json &j, const std::string &where)
{
    const Error wrong =
        bad_input(R"(a status is a number from 100 to 599, or a range such as "200-399")", where);
    const std::string text = j.is_number_integer() ? j.dump()
                             : j.is_string()       ? j.get<std::string>()
                                                   : "";
    const auto dash = text.find('-', 1);
    auto low = parse_number(text.substr(0, dash), 100, 599, "status");
    auto high = dash == text.npos ? low : parse_number(text.substr(dash + 1), 100, 599, "status");
    if (!low || !high || *high < *low)
        return wrong;
    return std::pair(static_cast<unsigned>(*low), static_cast<unsigned>(*high));
}

Result<> read_status(HealthSettings &s, const TableReader &reader)
{
    if (!reader.has("status"))
        return Unit{};
    const json &given = reader["status"];
    const json list = given.is_array() ? given : json::array({given});
    if (list.empty())
        return bad_input("no status would be good: name at least one", reader.at("status"));
    s.status.clear();
    for (std::size_t i = 0; i < list.size(); ++i) {
        auto range = status_range(list[i], reader.at("status") +
                                               (given.is_array() ? "/" + std::to_string(i) : ""));
        if (!range)
            return range.error();
        s.status.push_back(*range);
    }
    return Unit{};
}

Result<> check_regex(const TableReader &reader, const std::string &text)
{
    regex_t compiled;
    const int error = ::regcomp(&compiled, text.c_str(), REG_EXTENDED | REG_NOSUB);
    if (error == 0) {
        ::regfree(&compiled);
        return Unit{};
    }
    char why[128];
    ::regerror(error, &compiled, why, sizeof why);
    return bad_input(in_quotes(text) + " is not a regular expression: " + why,
                     reader.at("body_regex"), 0, text.size());
}

Result<> read_http(HealthSettings &s, const TableReader &reader)
{
    if (auto r = take(s.method, reader.word("method", {"GET", "HEAD", "OPTIONS"}, s.method)); !r)
        return r;
    for (auto [to, key] : {std::pair{&s.path, "path"},
                           {&s.host, "host"},
                           {&s.body, "body"},
                           {&s.body_regex, "body_regex"},
                           {&s.ca_file, "ca_file"}})
        if (auto r = take(*to, reader.text(key, *to)); !r)
            return r;
    if (!s.path.starts_with("/"))
        return bad_input("a path begins with /", reader.at("path"), 0, s.path.size());
    if (std::any_of(s.path.begin(), s.path.end(),
                    [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
        return bad_input("a path has no spaces or control characters: write %20 for a space",
                         reader.at("path"), 0, s.path.size());
    if (s.host.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "-._:") != s.host.npos)
        return bad_input("a host is a name, such as www.example.org", reader.at("host"), 0,
                         s.host.size());
    if (s.method == "HEAD" && !(s.body.empty() && s.body_regex.empty()))
        return bad_input("an answer to HEAD has no body: use GET to look into it",
                         reader.has("method") ? reader.at("method") : reader.where());
    if (auto r = take(s.verify, reader.flag("verify", s.verify)); !r)
        return r;
    if (auto r = check_regex(reader, s.body_regex); !r)
        return r;
    return read_status(s, reader);
}

Result<> read_times(HealthSettings &s, const TableReader &reader)
{
    if (auto r = take(s.interval, reader.real("interval", 0.1, 3600, "seconds", s.interval)); !r)
        return r;
    if (auto r = take(s.timeout, reader.real("timeout", 0.05, 600, "seconds", s.timeout)); !r)
        return r;
    if (auto r = take(s.jitter, reader.real("jitter", 0, 0.5, "shares of the interval", s.jitter));
        !r)
        return r;
    if (auto r = take(s.rise, reader.number("rise", 1, 100, s.rise)); !r)
        return r;
    if (auto r = take(s.fall, reader.number("fall", 1, 100, s.fall)); !r)
        return r;
    auto on_down = reader.word("on_down", {"leave", "reset"}, "leave");
    if (!on_down)
        return on_down.error();
    s.resets = *on_down == "reset";
    return take(s.slow_start, reader.real("slow_start", 0, 3600, "seconds", s.slow_start));
}

Result<HealthSettings> read(const json &table, const std::string &where)
{
    const TableReader reader(table, where);
    HealthSettings s;
    auto type = reader.word("type", types, "none");
    if (!type)
        return type.error();
    s.type = static_cast<Type>(std::find(types.begin(), types.end(), *type) - types.begin());
    if (auto r = take(s.port, reader.port()); !r)
        return r.error();
    if (auto r = read_times(s, reader); !r)
        return r.error();
    if (auto r = read_http(s, reader); !r)
        return r.error();
    if (auto r = take(s.command, reader.texts("command", {})); !r)
        return r.error();
    if (reader.has("command") && (s.command.empty() || !s.command[0].starts_with("/")))
        return bad_input("a command is a program's whole path, and then its arguments",
                         reader.at("command"));
    return s;
}

json merged(const std::vector<json> &tables)
{
    json all = json::object();
    for (const auto &t : tables)
        if (t.is_object())
            all.merge_patch(t);
    return all;
}

} // namespace

std::string_view type_text(Type type)
{
    return types.at(static_cast<std::size_t>(type));
}

Result<> check_health(const json &table, const std::string &where, HealthLevel level)
{
    const TableReader reader(table, where);
    auto known = keys;
    if (level == HealthLevel::service)
        known.insert("panic");
    if (auto r = reader.only(known, "health"); !r)
        return r;
    if (auto r = reader.real("panic", 0, 100, "percent", 0); !r)
        return r.error();
    if (auto r = read(table, where); !r)
        return r.error();
    return Unit{};
}

Result<HealthSettings> health_of(const std::vector<json> &tables, const std::string &where)
{
    auto s = read(merged(tables), where);
    if (!s)
        return s;
    if (s->type == Type::script && s->command.empty())
        return bad_input("a check by script needs a command", where);
    return s;
}

double panic_of(const std::vector<json> &tables)
{
    return merged(tables).value("panic", 0.0);
}

} // namespace evnf::elb
