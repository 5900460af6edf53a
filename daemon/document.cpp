// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/document.hpp"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "abi/chain.h"
#include "base/text.hpp"

namespace evnf
{

namespace
{

constexpr std::array forwards{std::pair{"route", Forward::route}, std::pair{"wire", Forward::wire},
                              std::pair{"hairpin", Forward::hairpin}};

std::string known_stages()
{
    std::string out;
    for (const auto *type : vnf_types())
        out += (out.empty() ? "" : ", ") + type->name;
    return out;
}

bool is_name(const std::string &s)
{
    return !s.empty() && s.size() <= 32 && std::all_of(s.begin(), s.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '-' || c == '_';
    });
}

// Reads one [[chain]] table; each member refuses what it does not know.
class ChainReader
{
public:
    ChainReader(const json &table, std::string where) : table_(table), where_(std::move(where)) {}

    Result<Chain> read()
    {
        if (!table_.is_object())
            return bad_input("a chain is a table", where_);
        if (auto r = check_keys(); !r)
            return r.error();
        Chain c;
        if (auto r = read_string("name", c.name, true); !r)
            return r.error();
        if (!is_name(c.name))
            return bad_input(in_quotes(c.name) +
                                 ": a name is up to 32 letters, digits, '-' and '_'",
                             where_ + "/name");
        if (auto r = read_strings("interfaces", c.interfaces); !r)
            return r.error();
        if (c.interfaces.empty())
            return bad_input("chain " + in_quotes(c.name) + " has no interfaces", where_);
        if (auto r = read_strings("stages", c.stages); !r)
            return r.error();
        if (auto r = check_stages(c); !r)
            return r.error();
        if (auto r = read_forward(c); !r)
            return r.error();
        std::string xdp = "native";
        if (auto r = read_string("xdp", xdp, false); !r)
            return r.error();
        if (xdp != "native" && xdp != "generic")
            return bad_input(in_quotes(xdp) + " is not an XDP mode: native or generic",
                             where_ + "/xdp");
        c.generic = xdp == "generic";
        return c;
    }

private:
    Result<> check_keys() const
    {
        static const std::set<std::string> keys{"name",    "interfaces", "stages",
                                                "forward", "wire_to",    "xdp"};
        for (const auto &[key, value] : table_.items())
            if (!keys.contains(key))
                return bad_input(in_quotes(key) + " is not a key of a chain: name, interfaces, "
                                                  "stages, forward, wire_to or xdp",
                                 where_ + "/" + key);
        return Unit{};
    }

    Result<> read_string(const std::string &key, std::string &out, bool required) const
    {
        auto it = table_.find(key);
        if (it == table_.end())
            return required ? Result<>(bad_input("a chain needs a " + key, where_))
                            : Result<>(Unit{});
        if (!it->is_string())
            return bad_input(key + " is a string", where_ + "/" + key);
        out = it->get<std::string>();
        return Unit{};
    }

    Result<> read_strings(const std::string &key, std::vector<std::string> &out) const
    {
        auto it = table_.find(key);
        if (it == table_.end())
            return Unit{};
        const std::string where = where_ + "/" + key;
        if (!it->is_array())
            return bad_input(key + " is an array of strings", where);
        for (const auto &item : *it) {
            const std::string at = where + "/" + std::to_string(out.size());
            if (!item.is_string())
                return bad_input(key + " is an array of strings", at);
            const auto text = item.get<std::string>();
            if (std::find(out.begin(), out.end(), text) != out.end())
                return bad_input(in_quotes(text) + " is named twice", at);
            if (key == "interfaces" && (text.empty() || text.size() >= IFNAMSIZ))
                return bad_input(in_quotes(text) + " is not an interface's name", at);
            out.push_back(text);
        }
        return Unit{};
    }

    Result<> check_stages(const Chain &c) const
    {
        for (std::size_t i = 0; i < c.stages.size(); ++i)
            if (!find_vnf(c.stages[i]))
                return bad_input("no VNF is named " + in_quotes(c.stages[i]) + ": there is " +
                                     known_stages(),
                                 where_ + "/stages/" + std::to_string(i));
        return Unit{};
    }

    Result<> read_forward(Chain &c) const
    {
        std::string forward = "route";
        if (auto r = read_string("forward", forward, false); !r)
            return r;
        const auto *known = std::find_if(forwards.begin(), forwards.end(),
                                         [&](const auto &f) { return forward == f.first; });
        if (known == forwards.end())
            return bad_input(in_quotes(forward) +
                                 " is not a way to forward: route, wire or hairpin",
                             where_ + "/forward");
        c.forward = known->second;
        if (auto r = read_string("wire_to", c.wire_to, false); !r)
            return r;
        if (c.forward != Forward::wire && !c.wire_to.empty())
            return bad_input("wire_to goes with forward = \"wire\"", where_ + "/wire_to");
        if (c.forward == Forward::wire && c.wire_to.empty())
            return bad_input("a wire needs wire_to, the interface at its other end", where_);
        if (c.forward == Forward::wire && c.interfaces.size() != 1)
            return bad_input("a wire has one interface in and one out: make a chain for each",
                             where_ + "/interfaces");
        return Unit{};
    }

    const json &table_;
    std::string where_;
};

json chain_json(const Chain &c)
{
    json out{{"name", c.name},
             {"interfaces", c.interfaces},
             {"stages", c.stages},
             {"forward", forward_text(c.forward)},
             {"xdp", c.generic ? "generic" : "native"}};
    if (c.forward == Forward::wire)
        out["wire_to"] = c.wire_to;
    return out;
}

Result<json> check_chains(const json &tables)
{
    if (!tables.is_array())
        return bad_input("chains are an array of tables: [[chain]]", "/chain");
    json out = json::array();
    std::set<std::string> names;
    std::set<std::string> interfaces;
    std::size_t slots = 0;
    for (const auto &table : tables) {
        const std::string where = "/chain/" + std::to_string(out.size());
        auto chain = ChainReader(table, where).read();
        if (!chain)
            return chain.error();
        if (!names.insert(chain->name).second)
            return bad_input("two chains are named " + in_quotes(chain->name), where + "/name");
        for (std::size_t i = 0; i < chain->interfaces.size(); ++i)
            if (!interfaces.insert(chain->interfaces[i]).second)
                return bad_input(in_quotes(chain->interfaces[i]) + " has a chain already",
                                 where + "/interfaces/" + std::to_string(i));
        slots += chain->interfaces.size() + chain->stages.size() + 1;
        if (slots >= CHAIN_MAX_SLOTS)
            return bad_input("the chains need more than the " +
                                 std::to_string(CHAIN_MAX_SLOTS - 1) + " slots there are",
                             where);
        out.push_back(chain_json(*chain));
    }
    return out;
}

std::string chain_line(const json &c)
{
    std::string line = "chain " + c["name"].get<std::string>() + ": ";
    for (const auto &i : c["interfaces"])
        line += i.get<std::string>() + " ";
    for (const auto &s : c["stages"])
        line += "-> " + s.get<std::string>() + " ";
    line += "-> " + c["forward"].get<std::string>();
    if (c.contains("wire_to"))
        line += " " + c["wire_to"].get<std::string>();
    return c["xdp"] == "generic" ? line + " (generic XDP)" : line;
}

std::set<std::string> chain_lines(const json &document)
{
    std::set<std::string> lines;
    if (document.is_object())
        for (const auto &c : document["chain"])
            lines.insert(chain_line(c));
    return lines;
}

} // namespace

bool Chain::uses(const std::string &stage) const
{
    return std::find(stages.begin(), stages.end(), stage) != stages.end();
}

std::string forward_text(Forward f)
{
    for (const auto &[text, value] : forwards)
        if (value == f)
            return text;
    return "";
}

Result<json> check_document(const json &document, const json &running)
{
    if (!document.is_object())
        return bad_input("a configuration is an object");
    for (const auto &[key, value] : document.items())
        if (key != "chain" && !find_vnf(key))
            return bad_input(
                in_quotes(key) + " is not a section: there is chain, " + known_stages(), "/" + key);
    auto chains = check_chains(document.value("chain", json::array()));
    if (!chains)
        return chains.error();
    json out{{"chain", *chains}};
    for (const auto *type : vnf_types()) {
        const json before = running.is_object() ? running.value(type->name, json()) : json();
        auto section = type->check(document.value(type->name, json()), before);
        if (!section) {
            Error e = section.error();
            if (!e.code)
                e.where = "/" + type->name + e.where;
            return e;
        }
        out[type->name] = *section;
    }
    return out;
}

std::vector<Chain> chains_of(const json &document)
{
    std::vector<Chain> out;
    for (const auto &table : document["chain"])
        if (auto chain = ChainReader(table, "").read()) // checked before: always good
            out.push_back(*std::move(chain));
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
    for (const auto *type : vnf_types()) {
        const json old = from.is_object() ? from.value(type->name, json()) : json();
        for (auto &line : type->diff(old, to.value(type->name, json())))
            out.push_back(std::move(line));
    }
    return out;
}

} // namespace evnf
