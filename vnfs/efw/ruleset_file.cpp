// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/ruleset_file.hpp"

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <sstream>

#include "base/text.hpp"
#include "config/toml.hpp"

namespace evnf::efw
{

namespace
{

using nlohmann::json;

// As evnfd does, where no default is given.
constexpr efw_action usual_default = EFW_SLOW;

void put_in_order(NamedRuleset &named)
{
    const auto &rules = named.ruleset.rules;
    std::vector<std::size_t> order(rules.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return rules[a].priority < rules[b].priority;
    });
    NamedRuleset sorted = named;
    for (std::size_t i = 0; i < order.size(); ++i) {
        sorted.ruleset.rules[i] = rules[order[i]];
        sorted.places[i] = named.places[order[i]];
    }
    named = std::move(sorted);
}

std::optional<efw_action> default_of(std::string_view word)
{
    const auto action = parse_action(word);
    return action == EFW_COUNT ? std::nullopt : action;
}

std::string trimmed(const std::string &line)
{
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == line.npos || line[begin] == '#')
        return "";
    return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

// The error at its line, with a caret under the word.
Error at_line(const std::string &place, const std::string &line, const Error &error)
{
    std::string what = place + ": " + error.what;
    if (error.length)
        what += "\n" + config::underline(line, error.offset, error.length);
    return bad_input(std::move(what));
}

// The text of an item of "rules", null if it has none.
const json *text_of_item(const json &item)
{
    if (item.is_string())
        return &item;
    const bool has = item.is_object() && item.contains("rule") && item["rule"].is_string();
    return has ? &item["rule"] : nullptr;
}

// Where the rule at a JSON pointer of the section stands.
using PlaceOf = std::function<std::string(const json &item, const std::string &where)>;

Result<> add_items(const json &items, const PlaceOf &place_of, NamedRuleset &out)
{
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string where = "/rules/" + std::to_string(i);
        const json *text = text_of_item(items[i]);
        if (!text)
            return bad_input("a rule is a string such as \"tcp dport 80 accept\"", where);
        auto rule = parse_rule(text->get<std::string>());
        if (!rule) {
            Error e = rule.error();
            e.where = text == &items[i] ? where : where + "/rule";
            return e;
        }
        out.ruleset.rules.push_back(*rule);
        out.places.push_back(place_of(items[i], where));
    }
    return Unit{};
}

bool is_section(const json &value)
{
    return value.is_object() &&
           ((value.contains("rules") && value["rules"].is_array()) || value.contains("default"));
}

// The section of a configuration, or the whole if it is one; and its JSON pointer.
Result<std::pair<json, std::string>> section_in(const json &value, const std::string &section)
{
    if (value.is_object() && value.contains(section))
        return std::pair{value[section], "/" + section};
    if (is_section(value))
        return std::pair{value, std::string()};
    return bad_input("there is no section [" + section +
                     "], nor are rules there by themselves: name another one by --section");
}

Result<NamedRuleset> from_section(const json &section, const std::string &name,
                                  const PlaceOf &place_of)
{
    NamedRuleset out{name, {{}, usual_default}, {}, name};
    if (!section.is_object())
        return bad_input("a section of efw is a table");
    if (section.contains("default")) {
        const json &given = section["default"];
        const auto action = default_of(given.is_string() ? given.get<std::string>() : "");
        if (!action)
            return bad_input("the default is accept, drop, reject or slow", "/default");
        out.ruleset.otherwise = *action;
        out.default_place = place_of(given, "/default");
    }
    const json items = section.value("rules", json::array());
    if (!items.is_array())
        return bad_input("rules are an array of strings", "/rules");
    if (auto r = add_items(items, place_of, out); !r)
        return r.error();
    put_in_order(out);
    return out;
}

Result<NamedRuleset> read_toml(const std::string &path, const std::string &section)
{
    auto file = config::read_toml_file(path);
    if (!file)
        return file.error();
    auto found = section_in(file->value, section);
    if (!found)
        return bad_input(path + ": " + found.error().what);
    auto out = from_section(found->first, path, [&](const json &, const std::string &where) {
        return path + ":" + std::to_string(file->find(found->second + where).line);
    });
    if (out)
        return out;
    Error e = out.error();
    e.where = found->second + e.where;
    return bad_input(config::explain(*file, e));
}

Result<NamedRuleset> read_json(const std::string &text, const std::string &path,
                               const std::string &section)
{
    const json value = json::parse(text, nullptr, false);
    if (value.is_discarded())
        return bad_input(path + " is not JSON");
    auto found = section_in(value, section);
    if (!found)
        return bad_input(path + ": " + found.error().what);
    auto out = ruleset_of_section(found->first, path);
    if (!out)
        return bad_input(path + ": at " + found->second + out.error().where + ": " +
                         out.error().what);
    return out;
}

} // namespace

Result<NamedRuleset> ruleset_of_section(const json &section, const std::string &name)
{
    return from_section(section, name, [&](const json &item, const std::string &where) {
        if (item.is_object() && item.contains("id"))
            return name + " rule " + item["id"].dump();
        return name + where;
    });
}

Result<NamedRuleset> ruleset_of_text(const std::string &text, const std::string &name)
{
    NamedRuleset out{name, {{}, usual_default}, {}, name};
    std::istringstream in(text);
    std::string raw;
    for (unsigned number = 1; std::getline(in, raw); ++number) {
        const std::string line = trimmed(raw);
        const std::string place = name + ":" + std::to_string(number);
        if (line.empty())
            continue;
        if (line.starts_with("default ")) {
            const auto action = default_of(trimmed(line.substr(8)));
            if (!action)
                return bad_input(place + ": the default is accept, drop, reject or slow");
            out.ruleset.otherwise = *action;
            out.default_place = place;
            continue;
        }
        auto rule = parse_rule(line);
        if (!rule)
            return at_line(place, line, rule.error());
        out.ruleset.rules.push_back(*rule);
        out.places.push_back(place);
    }
    put_in_order(out);
    return out;
}

Result<NamedRuleset> read_ruleset(const std::string &path, const std::string &section)
{
    if (path.ends_with(".toml"))
        return read_toml(path, section);
    std::ifstream in(path);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    if (!in.is_open() || in.bad())
        return bad_input(sys_error("read " + path).message());
    if (path.ends_with(".json"))
        return read_json(text, path, section);
    return ruleset_of_text(text, path);
}

} // namespace evnf::efw
