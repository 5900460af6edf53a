// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/feedback/settings.hpp"

#include <algorithm>
#include <map>

#include "base/text.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

using Source = Index::Source;

struct Preset {
    Source source;
    std::vector<std::string> oids;
    double idle, full;
};

const std::map<std::string, Preset> presets{
    // UCD-SNMP-MIB: ssCpuIdle.0, laLoadInt.1, memAvailReal.0 and memTotalReal.0
    {"cpu", {Source::snmp, {"1.3.6.1.4.1.2021.11.11.0"}, 100, 0}},
    {"load", {Source::snmp, {"1.3.6.1.4.1.2021.10.1.5.1"}, 0, 100}},
    {"memory", {Source::snmp_taken, {"1.3.6.1.4.1.2021.4.6.0", "1.3.6.1.4.1.2021.4.5.0"}, 0, 1}},
    // HOST-RESOURCES-MIB: hrProcessorLoad
    {"processors", {Source::snmp_mean, {"1.3.6.1.2.1.25.3.3.1.2"}, 0, 100}},
};

const std::set<std::string> keys{"interval",  "timeout",   "jitter", "gain", "target", "bounds",
                                 "smoothing", "threshold", "hold",   "snmp", "indices"};

// A pair of different numbers.
Result<std::pair<double, double>> pair_of(const TableReader &reader, const std::string &key,
                                          std::pair<double, double> otherwise,
                                          const std::string &example)
{
    if (!reader.has(key))
        return otherwise;
    const json &j = reader[key];
    if (!j.is_array() || j.size() != 2 || !j[0].is_number() || !j[1].is_number() || j[0] == j[1])
        return bad_input(key + " is two different numbers, such as " + example, reader.at(key));
    return std::pair(j[0].get<double>(), j[1].get<double>());
}

bool is_oid(const std::string &text)
{
    unsigned parts = 0;
    for (std::size_t at = 0; at <= text.size(); ++parts) {
        const auto dot = std::min(text.find('.', at), text.size());
        if (!parse_number(text.substr(at, dot - at), 0, 0xffffffff, "part"))
            return false;
        at = dot + 1;
    }
    return parts >= 2 && parts <= 128;
}

Result<> read_preset(Index &index, const TableReader &reader)
{
    std::vector<std::string> words;
    for (const auto &[name, preset] : presets)
        words.push_back(name);
    auto name = reader.word("preset", words, "");
    if (!name)
        return name.error();
    const Preset &p = presets.at(*name);
    index.source = p.source;
    index.name = *name;
    index.oids = p.oids;
    index.idle = p.idle;
    index.full = p.full;
    return Unit{};
}

Result<> read_oid(Index &index, const TableReader &reader)
{
    auto text = reader.text("oid");
    if (!text)
        return text.error();
    index.name = text->starts_with(".") ? text->substr(1) : *text;
    if (!is_oid(index.name))
        return bad_input(in_quotes(*text) + " is not an OID in numbers, such as "
                                            "1.3.6.1.4.1.2021.11.11.0",
                         reader.at("oid"), 0, text->size());
    if (!reader.has("range"))
        return bad_input("an oid needs a range: the values that mean idle and full load, such as "
                         "[0, 100]",
                         reader.where());
    auto table = reader.flag("table", false);
    if (!table)
        return table.error();
    index.source = *table ? Source::snmp_mean : Source::snmp;
    index.oids = {index.name};
    return Unit{};
}

std::string agent_name(const Index &index, const char *kind)
{
    return kind + (index.port ? " :" + std::to_string(index.port) : " ") + index.path +
           (index.field.empty() ? "" : " " + index.field);
}

Result<> read_http(Index &index, const TableReader &reader)
{
    index.source = Source::http;
    if (auto r = take(index.path, reader.text("http")); !r)
        return r;
    if (!index.path.starts_with("/") || index.path.find_first_of(" \r\n") != std::string::npos)
        return bad_input("http is a path, which begins with / and has no spaces", reader.at("http"),
                         0, index.path.size());
    auto port = reader.port();
    if (!port)
        return port.error();
    index.port = port->value_or(0);
    if (auto r = take(index.field, reader.text("field", "")); !r)
        return r;
    if (!index.field.empty() && !index.field.starts_with("/"))
        return bad_input("a field is a JSON pointer, such as /cpu/load", reader.at("field"), 0,
                         index.field.size());
    index.name = agent_name(index, "http");
    return Unit{};
}

// "75%" is the share of its weight that the server can bear, as HAProxy reads it.
Result<> read_tcp(Index &index, const TableReader &reader)
{
    index.source = Source::tcp;
    auto port = reader.number("tcp", 1, 65535);
    if (!port)
        return port.error();
    index.port = static_cast<std::uint16_t>(*port);
    index.idle = 100;
    index.full = 0;
    index.name = agent_name(index, "tcp");
    return Unit{};
}

Result<Index> read_index(const json &table, const std::string &where)
{
    const TableReader reader(table, where);
    const std::map<std::string, std::set<std::string>> kinds{
        {"preset", {}}, {"oid", {"table"}}, {"http", {"port", "field"}}, {"tcp", {}}};
    std::set<std::string> known{"weight", "range"};
    unsigned sources = 0;
    for (const auto &[kind, more] : kinds)
        if (table.is_object() && table.contains(kind)) {
            ++sources;
            known.insert(kind);
            known.insert(more.begin(), more.end());
        }
    if (table.is_object() && sources != 1)
        return bad_input("an index has one of preset, oid, http and tcp", where);
    if (auto r = reader.only(known, "an index of this kind"); !r)
        return r.error();
    Index index;
    const auto of_kind = reader.has("preset") ? read_preset
                         : reader.has("oid")  ? read_oid
                         : reader.has("http") ? read_http
                                              : read_tcp;
    if (auto r = of_kind(index, reader); !r)
        return r.error();
    auto range = pair_of(reader, "range", {index.idle, index.full}, "[0, 100]");
    if (!range)
        return range.error();
    std::tie(index.idle, index.full) = *range;
    if (auto r = take(index.weight, reader.real("weight", 0.001, 1000, "", 1)); !r)
        return r.error();
    return index;
}

Result<SnmpSettings> read_snmp(const TableReader &outer)
{
    SnmpSettings s;
    if (!outer.has("snmp"))
        return s;
    const TableReader reader(outer["snmp"], outer.at("snmp"));
    for (const auto *secret : {"community", "auth_password", "priv_password"})
        if (outer["snmp"].is_object() && reader.has(secret))
            return bad_input("secrets do not stand here, where the API shows them: give a "
                             "community_file, auth_file or priv_file that root alone may read",
                             reader.at(secret));
    if (auto r = reader.only(
            {"version", "port", "community_file", "user", "auth", "auth_file", "priv", "priv_file"},
            "snmp");
        !r)
        return r.error();
    auto version = reader.word("version", {"2c", "3"}, "2c");
    auto port = reader.number("port", 1, 65535, s.port);
    if (!version)
        return version.error();
    if (!port)
        return port.error();
    s.version = *version == "3" ? 3 : 2;
    s.port = static_cast<std::uint16_t>(*port);
    for (auto [to, key] : {std::pair{&s.community_file, "community_file"},
                           {&s.user, "user"},
                           {&s.auth_file, "auth_file"},
                           {&s.priv_file, "priv_file"}})
        if (auto r = take(*to, reader.text(key, "")); !r)
            return r.error();
    if (auto r = take(s.auth, reader.word("auth", {"SHA", "SHA-256", "SHA-512"}, s.auth)); !r)
        return r.error();
    if (auto r = take(s.priv, reader.word("priv", {"AES"}, s.priv)); !r)
        return r.error();
    return s;
}

Result<> read_control(FeedbackSettings &s, const TableReader &reader)
{
    const struct {
        double *to;
        const char *key;
        double low, high;
        const char *unit;
    } numbers[]{{&s.interval, "interval", 0.5, 3600, "seconds"},
                {&s.timeout, "timeout", 0.05, 60, "seconds"},
                {&s.jitter, "jitter", 0, 0.5, "shares of the interval"},
                {&s.gain, "gain", 0.001, 10, "static weights"},
                {&s.smoothing, "smoothing", 0, 0.99, "shares of the old load"},
                {&s.threshold, "threshold", 0, 1, "static weights"},
                {&s.hold, "hold", 0, 86400, "seconds"}};
    for (const auto &n : numbers)
        if (auto r = take(*n.to, reader.real(n.key, n.low, n.high, n.unit, *n.to)); !r)
            return r;
    if (reader.has("target") && reader["target"] == "mean") {
        s.target.reset();
    } else if (reader.has("target") && reader["target"].is_string()) {
        return bad_input(R"(target is a number from 0.05 to 1, or "mean")", reader.at("target"));
    } else {
        auto target = reader.real("target", 0.05, 1, "", *s.target);
        if (!target)
            return target.error();
        s.target = *target;
    }
    auto bounds = pair_of(reader, "bounds", {s.least, s.most}, "[1, 10]");
    if (!bounds)
        return bounds.error();
    std::tie(s.least, s.most) = *bounds;
    if (s.least < 0.01 || s.least > 1 || s.most < 1 || s.most > 100)
        return bad_input("bounds are multiples of the static weight: the first from 0.01 to 1, "
                         "the second from 1 to 100",
                         reader.at("bounds"));
    return Unit{};
}

Result<FeedbackSettings> read(const json &table, const std::string &where)
{
    const TableReader reader(table, where);
    FeedbackSettings s;
    if (auto r = read_control(s, reader); !r)
        return r.error();
    if (auto r = take(s.snmp, read_snmp(reader)); !r)
        return r.error();
    if (!reader.has("indices"))
        return s;
    const json &indices = reader["indices"];
    if (!indices.is_array() || indices.size() > 16)
        return bad_input("indices are an array of up to 16 tables, such as "
                         "[{ preset = \"cpu\" }]",
                         reader.at("indices"));
    for (std::size_t i = 0; i < indices.size(); ++i) {
        auto index = read_index(indices[i], reader.at("indices") + "/" + std::to_string(i));
        if (!index)
            return index.error();
        s.indices.push_back(*std::move(index));
    }
    return s;
}

} // namespace

double Index::load(double value) const
{
    return std::clamp((value - idle) / (full - idle), 0.0, 1.0);
}

Result<> check_feedback(const json &table, const std::string &where)
{
    if (auto r = TableReader(table, where).only(keys, "feedback"); !r)
        return r;
    if (auto r = read(table, where); !r)
        return r.error();
    return Unit{};
}

Result<FeedbackSettings> feedback_of(const std::vector<json> &tables, const std::string &where)
{
    json all = json::object();
    for (const auto &t : tables)
        if (t.is_object())
            all.merge_patch(t);
    auto s = read(all, where);
    if (!s)
        return s;
    if (s->hold < 2 * s->interval)
        return bad_input("hold is less than twice the interval, so weights would not last from "
                         "one measurement to the next",
                         where + "/hold");
    const bool asks = std::any_of(s->indices.begin(), s->indices.end(),
                                  [](const auto &i) { return i.is_snmp(); });
    const bool whole =
        !s->snmp.user.empty() && !s->snmp.auth_file.empty() && !s->snmp.priv_file.empty();
    if (asks && s->snmp.version == 3 && !whole)
        return bad_input("SNMP version 3 needs a user, an auth_file and a priv_file", where);
    return s;
}

} // namespace evnf::elb
