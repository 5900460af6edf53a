// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/section_sets.hpp"

#include "abi/match.h"
#include "base/text.hpp"

namespace evnf::efw
{

namespace
{

// The type of what a rule looks for.
std::string_view type_of(match::SetKey key)
{
    switch (key) {
    case match::SetKey::saddr:
    case match::SetKey::daddr:
        return "addr";
    case match::SetKey::sport:
    case match::SetKey::dport:
        return "port";
    case match::SetKey::saddr_sport:
    case match::SetKey::daddr_dport:
        break;
    }
    return "addr_port";
}

Result<json> check_set(const json &set, const std::string &where)
{
    if (!set.is_object())
        return bad_input("a set is a table such as { type = \"addr\" }", where);
    for (const auto &[key, value] : set.items())
        if (key != "type" && key != "size" && key != "number" && key != "file")
            return bad_input(in_quotes(key) + " is not a key of a set: type, size or file",
                             where + "/" + key);
    const json type = set.value("type", json());
    if (!type.is_string() || !parse_set_type(type.get_ref<const std::string &>()))
        return bad_input("the type of a set is addr, port or addr_port",
                         set.contains("type") ? where + "/type" : where);
    const json size = set.value("size", json(DeclaredSet::default_size));
    if (!size.is_number_integer() || size < 1 || size > DeclaredSet::max_size)
        return bad_input("the size of a set is how many elements it may have: 1 to " +
                             std::to_string(DeclaredSet::max_size),
                         where + "/size");
    json out{{"type", type}, {"size", size}};
    const json file = set.value("file", json());
    if (set.contains("file") &&
        (!file.is_string() || !file.get_ref<const std::string &>().starts_with('/')))
        return bad_input("file is the absolute path of a file of elements", where + "/file");
    if (set.contains("file"))
        out["file"] = file;
    return out;
}

json sets_of(const json &section)
{
    return section.is_object() ? section.value("sets", json::object()) : json::object();
}

// A set keeps its number, which its elements have with them, as long as it has its name and
// type; no other gets it at once, as those may still be there.
Result<> number_sets(json &sets, const json &running)
{
    std::vector<bool> taken(MATCH_SET_NUMBERS);
    for (const auto &[name, set] : running.items())
        taken[set["number"].get<unsigned>()] = true;
    unsigned free = 0;
    for (auto &[name, set] : sets.items()) {
        const auto known = running.find(name);
        if (known != running.end() && (*known)["type"] == set["type"]) {
            set["number"] = (*known)["number"];
            continue;
        }
        while (free < MATCH_SET_NUMBERS && taken[free])
            ++free;
        if (free == MATCH_SET_NUMBERS)
            return bad_input("there are more sets than " + std::to_string(MATCH_SET_NUMBERS) +
                             ", with those that are replaced");
        set["number"] = free++;
    }
    return Unit{};
}

std::string line(const std::string &name, const json &set)
{
    return "efw set " + name + ": " + set["type"].get<std::string>() + ", at most " +
           set["size"].dump() + " elements";
}

} // namespace

Result<json> check_sets(const json &sets, const json &running)
{
    if (!sets.is_object())
        return bad_input("sets are a table of tables, such as blocked = { type = \"addr\" }");
    json out = json::object();
    for (const auto &[name, set] : sets.items()) {
        if (!match::is_name(name))
            return bad_input(in_quotes(name) + " cannot name a set: a letter and up to 62 letters, "
                                               "digits, _, - or .",
                             "/" + name);
        auto checked = check_set(set, "/" + name);
        if (!checked)
            return checked;
        out[name] = *std::move(checked);
    }
    if (auto r = number_sets(out, sets_of(running)); !r)
        return r.error();
    return out;
}

std::vector<DeclaredSet> declared_sets(const json &section)
{
    std::vector<DeclaredSet> out;
    const json sets = sets_of(section);
    for (const auto &[name, set] : sets.items())
        if (const auto type = parse_set_type(set["type"].get_ref<const std::string &>()))
            out.push_back({name, *type, set["size"], set["number"]});
    return out;
}

Result<> check_uses(const match::Match &match, std::string_view text, const json &sets)
{
    for (const auto &use : match.sets) {
        const auto declared = sets.find(use.set);
        const std::string needed(type_of(use.key));
        const auto word = match::set_in(text, use.set);
        if (declared == sets.end())
            return at(word, "there is no set " + in_quotes(use.set) +
                                ": declare it, as [efw.sets." + use.set + "] with type = \"" +
                                needed + "\"");
        if ((*declared)["type"] != needed)
            return at(word, "set " + in_quotes(use.set) + " is of type " +
                                (*declared)["type"].get<std::string>() + ", but one of type " +
                                needed + " is looked in here");
    }
    return Unit{};
}

std::vector<std::string> diff_sets(const json &from, const json &to)
{
    std::vector<std::string> out;
    const json before = sets_of(from);
    const json after = sets_of(to);
    for (const auto &[name, set] : before.items())
        if (!after.contains(name))
            out.push_back("- " + line(name, set));
    for (const auto &[name, set] : after.items())
        if (!before.contains(name))
            out.push_back("+ " + line(name, set));
        else if (before[name] != set)
            out.push_back("~ " + line(name, set));
    return out;
}

} // namespace evnf::efw
