// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/document.hpp"

#include <net/if.h>

#include <algorithm>
#include <map>
#include <set>

#include "abi/chain.h"
#include "base/text.hpp"
#include "daemon/compose.hpp"
#include "daemon/path.hpp"

namespace evnf
{

namespace
{

const std::set<std::string> toolkit_keys{"vnf", "one_armed", "exit", "tap", "exit_down", "objects"};
const std::map<std::string, exit_kind> exits{
    {"stack", EXIT_STACK}, {"tap", EXIT_TAP}, {"xsk", EXIT_XSK}};

std::string joined(const std::set<std::string> &names)
{
    std::string out;
    for (const auto &n : names)
        out += (out.empty() ? "" : ", ") + n;
    return out;
}

std::set<std::string> vnf_names()
{
    std::set<std::string> out;
    for (const auto *type : vnf_types())
        if (!type->inner)
            out.insert(type->name);
    return out;
}

// The instances that a document's sections make, also those that only have defaults.
std::set<std::string> instance_names(const json &document)
{
    auto out = vnf_names();
    for (const auto &[key, value] : document.items())
        if (key != "chain")
            out.insert(key);
    return out;
}

TypeOf types_in(const json &document)
{
    return [&document](const std::string &name) {
        static const json none = json::object();
        const auto section = document.find(name);
        return name == "chain" ? nullptr
                               : type_of_section(name, section == document.end() ? none : *section);
    };
}

Result<std::string> string_of(const json &table, const char *key, const std::string &where)
{
    if (!table[key].is_string())
        return bad_input(std::string(key) + " is a string", where + "/" + key);
    return table[key].get<std::string>();
}

// The chain's text: as it is, or of a service-chain request.
Result<std::string> path_of(const json &table, const std::string &where)
{
    const bool request = table.contains("nodes") || table.contains("links");
    if (request == table.contains("path"))
        return bad_input("a chain has a path, such as path = \"in(eth0) -> efw -> out\", or nodes "
                         "and links",
                         where);
    if (!request)
        return string_of(table, "path", where);
    auto text = text_of_request(table);
    if (text)
        return text;
    Error e = text.error();
    e.where = where + e.where;
    return e;
}

Result<Chain> read_chain(const json &table, const std::string &where, const json &document)
{
    static const std::set<std::string> keys{"name", "path", "nodes", "links", "xdp"};
    if (!table.is_object())
        return bad_input("a chain is a table", where);
    for (const auto &[key, value] : table.items())
        if (!keys.contains(key))
            return bad_input(in_quotes(key) + " is not a key of a chain: " + joined(keys),
                             where + "/" + key);
    if (!table.contains("name"))
        return bad_input("a chain needs a name", where);
    auto name = string_of(table, "name", where);
    if (!name)
        return name.error();
    if (!path::is_chain_name(*name))
        return bad_input(in_quotes(*name) + ": " + path::chain_name_rule, where + "/name");
    auto text = path_of(table, where);
    if (!text)
        return text.error();
    auto chain = build_chain(*name, *text, types_in(document), joined(instance_names(document)));
    if (!chain) {
        Error e = chain.error();
        e.where = where + (table.contains("path") ? "/path" : "/links");
        if (!table.contains("path"))
            e.offset = e.length = 0; // they are of a text that nobody wrote
        return e;
    }
    const json xdp = table.value("xdp", json("native"));
    if (xdp != "native" && xdp != "generic")
        return bad_input("xdp is native or generic", where + "/xdp");
    chain->generic = xdp == "generic";
    return chain;
}

std::size_t index_of(const json &chains, const std::string &name)
{
    std::size_t i = 0;
    while (i < chains.size() && chains[i]["name"] != name)
        ++i;
    return i;
}

json chain_json(const Chain &c)
{
    return {{"name", c.name}, {"path", c.path}, {"xdp", c.generic ? "generic" : "native"}};
}

Result<std::vector<Chain>> read_chains(const json &tables, const json &document)
{
    if (!tables.is_array())
        return bad_input("chains are an array of tables: [[chain]]", "/chain");
    std::vector<Chain> out;
    std::set<std::string> names;
    std::map<std::string, std::string> taken; // interfaces, by which chain
    std::size_t slots = 0;
    for (const auto &table : tables) {
        const std::string where = "/chain/" + std::to_string(out.size());
        auto chain = read_chain(table, where, document);
        if (!chain)
            return chain.error();
        if (!names.insert(chain->name).second)
            return bad_input("two chains are named " + in_quotes(chain->name), where + "/name");
        for (const auto &entry : chain->entries)
            if (const auto [it, fresh] = taken.emplace(entry.interface, chain->name); !fresh)
                return at_interface(
                    table, entry.interface,
                    it->second == chain->name
                        ? in_quotes(entry.interface) +
                              " starts two paths: split its packets with { CONDITION -> …; "
                              "otherwise -> … }"
                        : in_quotes(entry.interface) + " has a chain already, " +
                              in_quotes(it->second) + ": an interface is in one chain",
                    where);
        slots += chain->entries.size() + chain->places.size();
        if (slots >= CHAIN_MAX_SLOTS)
            return bad_input("the chains need more than the " +
                                 std::to_string(CHAIN_MAX_SLOTS - 1) + " slots there are",
                             where);
        out.push_back(*std::move(chain));
    }
    return out;
}

std::set<std::string> chain_lines(const json &document)
{
    std::set<std::string> lines;
    if (document.is_object())
        for (const auto &c : document["chain"])
            lines.insert("chain " + c["name"].get<std::string>() + ": " +
                         c["path"].get<std::string>() +
                         (c["xdp"] == "generic" ? " (generic XDP)" : ""));
    return lines;
}

// A key of a section that is a word, or null if it has none.
std::string word_of(const json &section, const char *key, const char *otherwise)
{
    const json word = section.is_object() ? section.value(key, json(otherwise)) : json(otherwise);
    return word.is_string() ? word.get<std::string>() : "";
}

std::string exit_of(const VnfType &type, const json &section)
{
    const std::string word = word_of(section, type.exit_key.c_str(), "stack");
    return type.exit_key == "exit" || exits.contains(word) ? word : "stack";
}

Result<> check_toolkit_keys(const VnfType &type, const json &section, const std::string &where)
{
    if (section.is_object() && !section.value("one_armed", json(false)).is_boolean())
        return bad_input("one_armed is true or false", where + "/one_armed");
    if (type.exit_key != "exit" && section.is_object() && section.contains("exit"))
        return bad_input("where the slow packets of " + type.name + " go, its " + type.exit_key +
                             " says",
                         where + "/exit");
    const std::string exit = exit_of(type, section);
    if (!exits.contains(exit))
        return bad_input("the exit is stack (the kernel), tap (an interface) or xsk (user space)",
                         where + "/exit");
    const std::string down = word_of(section, "exit_down", "drop");
    if (down != "next" && down != "drop")
        return bad_input("exit_down is next (go on without the slow path) or drop",
                         where + "/exit_down");
    if (section.is_object() && section.contains("objects") &&
        !word_of(section, "objects", "").starts_with('/'))
        return bad_input("objects is the full path of a folder with the stage's BPF objects",
                         where + "/objects");
    const bool has_tap = section.is_object() && section.contains("tap");
    const std::string tap = word_of(section, "tap", "");
    if (has_tap != (exit == "tap") || (has_tap && (tap.empty() || tap.size() >= IFNAMSIZ)))
        return bad_input(type.exit_key + " = \"tap\" goes with tap = \"INTERFACE\"",
                         where + (has_tap         ? "/tap"
                                  : exit == "tap" ? "/" + type.exit_key
                                                  : ""));
    return Unit{};
}

// Unless said otherwise, what may drop packets fails closed.
bool down_drops(const VnfType &type, const json &section)
{
    const bool closes = type.descriptor.drops && !type.descriptor.fails_open;
    return word_of(section, "exit_down", closes ? "drop" : "next") == "drop";
}

Instance instance(const std::string &name, const json &section, json own)
{
    const VnfType *type = type_of_section(name, section);
    return {name,
            type,
            std::move(own),
            section.value("one_armed", false),
            exits.at(exit_of(*type, section)),
            word_of(section, "tap", ""),
            down_drops(*type, section),
            word_of(section, "objects", "")};
}

Result<json> check_section(const std::string &name, const json &section, const json &running)
{
    const std::string where = "/" + name;
    const VnfType *type = type_of_section(name, section);
    if (!type) {
        const bool says = section.is_object() && section.contains("vnf");
        return bad_input(
            says ? "there is no VNF " + section["vnf"].dump() + ": there is " + joined(vnf_names())
                 : in_quotes(name) + " is not a section: there is chain, " + joined(vnf_names()) +
                       "; a section with the key vnf is another instance of one",
            says ? where + "/vnf" : where);
    }
    if (!path::is_name(name))
        return bad_input(in_quotes(name) + ": " + path::name_rule, where);
    if (auto r = check_toolkit_keys(*type, section, where); !r)
        return r.error();
    // What was of another VNF until now is nothing to go on from.
    const json before = running.is_object() ? running.value(name, json()) : json();
    const bool same = before.is_object() && type_of_section(name, before) == type;
    auto checked = type->check(own_keys(section), same ? own_keys(before) : json());
    if (!checked) {
        Error e = checked.error();
        if (!e.code)
            e.where = where + e.where;
        return e;
    }
    return with_own_keys(section, *checked);
}

} // namespace

const VnfType *type_of_section(const std::string &name, const json &section)
{
    const std::string vnf = section.is_object() && section.contains("vnf")
                                ? (section["vnf"].is_string() ? section["vnf"] : json(""))
                                : json(name);
    const VnfType *type = find_vnf(vnf);
    return type && !type->inner ? type : nullptr;
}

json own_keys(const json &section)
{
    if (!section.is_object())
        return section;
    json out = section;
    for (const auto &key : toolkit_keys)
        out.erase(key);
    return out.empty() ? json() : out;
}

json with_own_keys(const json &section, const json &own)
{
    json out = own;
    if (section.is_object())
        for (const auto &key : toolkit_keys)
            if (section.contains(key))
                out[key] = section[key];
    return out;
}

Result<json> check_document(const json &document, const json &running)
{
    if (!document.is_object())
        return bad_input("a configuration is an object");
    json out{{"chain", json::array()}};
    for (const auto &name : instance_names(document)) {
        auto section = check_section(name, document.value(name, json()), running);
        if (!section)
            return section.error();
        out[name] = *section;
    }
    auto chains = read_chains(document.value("chain", json::array()), document);
    if (!chains)
        return chains.error();
    for (const auto &chain : *chains)
        out["chain"].push_back(chain_json(chain));
    if (auto r = check_composition(*chains, instances_of(out)); !r)
        return r.error();
    return out;
}

Result<json> with_chain(const json &document, const std::string &name, const json &chain)
{
    if (!chain.is_object())
        return bad_input("a chain is an object with a path, or nodes and links");
    if (chain.value("name", json(name)) != name)
        return bad_input("the chain is called " + in_quotes(name) + " already: leave its name out",
                         "/name");
    json out = document;
    json &entry = out["chain"][index_of(document["chain"], name)]; // one more, if there is none
    entry = chain;
    entry["name"] = name;
    return out;
}

Result<json> without_chain(const json &document, const std::string &name)
{
    json out = document;
    const std::size_t i = index_of(document["chain"], name);
    if (i < document["chain"].size()) {
        out["chain"].erase(i);
        return out;
    }
    std::string there;
    for (const auto &c : document["chain"])
        there += (there.empty() ? "" : ", ") + c["name"].get<std::string>();
    return Error{.code = ENOENT,
                 .what = "no chain is named " + in_quotes(name) +
                         (there.empty() ? ": there is none" : ": there is " + there)};
}

Error at_interface(const json &chain, const std::string &interface, std::string what,
                   const std::string &where)
{
    if (!chain.contains("path"))
        return bad_input(std::move(what), where + "/nodes");
    const std::string text = chain["path"];
    for (auto i = text.find(interface); i != text.npos; i = text.find(interface, i + 1)) {
        // Interfaces stand in brackets, and between commas there.
        const auto before = text.find_last_not_of(" \t\n", i - 1);
        const auto after = text.find_first_not_of(" \t\n", i + interface.size());
        if (i > 0 && before != text.npos && after != text.npos &&
            (text[before] == '(' || text[before] == ',') &&
            (text[after] == ')' || text[after] == ','))
            return bad_input(std::move(what), where + "/path", i, interface.size());
    }
    return bad_input(std::move(what), where + "/path");
}

std::vector<Chain> chains_of(const json &document)
{
    auto chains = read_chains(document["chain"], document); // checked before: always good
    return chains ? *std::move(chains) : std::vector<Chain>();
}

std::vector<Instance> instances_of(const json &document)
{
    std::vector<Instance> out;
    for (const auto &[name, section] : document.items())
        if (name != "chain")
            out.push_back(instance(name, section, own_keys(section)));
    return out;
}

std::vector<Instance> instances_around(const json &document, const std::string &changed,
                                       const json &part)
{
    std::vector<Instance> out;
    for (const auto &[name, section] : document.items()) {
        if (name == "chain")
            continue;
        const bool writes = bool(type_of_section(name, section)->rewrites);
        out.push_back(instance(name, section,
                               name == changed ? part
                               : writes        ? own_keys(section)
                                               : json()));
    }
    return out;
}

std::vector<std::string> diff_documents(const json &from, const json &to)
{
    std::vector<std::string> out;
    const auto before = chain_lines(from);
    const auto after = chain_lines(to);
    for (const auto &line : before)
        if (!after.contains(line))
            out.push_back("- " + line);
    for (const auto &line : after)
        if (!before.contains(line))
            out.push_back("+ " + line);
    if (from.is_object())
        for (const auto &[name, section] : from.items())
            if (name != "chain" && !to.contains(name))
                out.push_back("- instance " + name);
    for (const auto &i : instances_of(to)) {
        const json old = from.is_object() ? from.value(i.name, json()) : json();
        const bool same = old.is_object() && type_of_section(i.name, old) == i.type;
        const bool named = i.name != i.type->name;
        const json after_section = to[i.name];
        for (const auto &key : toolkit_keys) {
            const json was = old.is_object() ? old.value(key, json()) : json();
            const json is = after_section.value(key, json());
            if (was != is && key != "vnf")
                out.push_back("~ " + i.name + " " + key + " " + (was.is_null() ? "" : was.dump()) +
                              " -> " + (is.is_null() ? "" : is.dump()));
        }
        if (named && !same)
            out.push_back("+ instance " + i.name + " of " + i.type->name);
        for (auto &line : i.type->diff(same ? own_keys(old) : json(), i.section))
            out.push_back(named ? line.substr(0, 2) + i.name + ": " + line.substr(2)
                                : std::move(line));
    }
    return out;
}

} // namespace evnf
