// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/foreign_rules.hpp"

#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "config/toml.hpp"

namespace evnf::efw
{

namespace
{

using nlohmann::json;

Error at(const std::string &name, offload::Place place, const std::string &what)
{
    return bad_input(name + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) +
                     ": " + what);
}

bool has_key(const json &value, const char *key)
{
    return value.is_object() && value.contains(key);
}

std::string format_of(const std::string &text, const json &parsed)
{
    if (has_key(parsed, "nftables"))
        return "nft";
    if (has_key(parsed, "rules"))
        return "json";
    // What ip6tables writes by itself, or words that only it has.
    if (text.starts_with('*') || text.find("\n*") != text.npos) {
        for (const auto *word : {"ip6tables", "icmp6", "icmpv6", "::/", "/128"})
            if (text.find(word) != text.npos)
                return "ip6tables";
        return "iptables";
    }
    return text.find("efw") != text.npos && text.find('=') != text.npos ? "toml" : "";
}

// The text of a rule in JSON or TOML; its owner is another now.
Result<std::string> text_of_item(const json &item)
{
    if (item.is_string())
        return item.get<std::string>();
    if (!has_key(item, "rule") || !item["rule"].is_string())
        return bad_input("a rule is a string such as \"tcp dport 80 accept\"");
    if (item.contains("expires"))
        return bad_input("a rule that expires is not imported: add it by evnf efw rule add --ttl");
    return item["rule"].get<std::string>();
}

template <class PlaceOf>
Result<Import> own_rules(const json &items, const std::string &name, PlaceOf place_of)
{
    Import out;
    if (!items.is_array())
        return bad_input(name + ": rules are an array of strings");
    for (std::size_t i = 0; i < items.size(); ++i) {
        const offload::Place place = place_of(i);
        const auto text = text_of_item(items[i]);
        if (!text)
            return at(name, place, text.error().what);
        auto rule = parse_rule(*text);
        if (!rule)
            return at(name, place, rule.error().what);
        out.rules.push_back({*std::move(rule), place});
    }
    return out;
}

Result<Import> read_toml_rules(const std::string &text, const std::string &name)
{
    auto file = config::read_toml(text, name);
    if (!file)
        return file.error();
    const json &value = file->value;
    if (!has_key(value, "efw") || !has_key(value["efw"], "rules"))
        return bad_input(name + " has no [efw] with rules");
    return own_rules(value["efw"]["rules"], name, [&](std::size_t i) {
        const auto place = file->find("/efw/rules/" + std::to_string(i));
        return offload::Place{place.line, place.column};
    });
}

} // namespace

Result<Import> read_foreign_rules(const std::string &text, const std::string &name,
                                  const ImportOptions &options)
{
    const json parsed = json::parse(text, nullptr, false);
    const std::string from = options.from.empty() ? format_of(text, parsed) : options.from;
    if (from.empty())
        return bad_input(name + " is not what iptables-save, ip6tables-save or nft -j write, nor "
                                "rules of efw as TOML or JSON: say what it is, by --from");
    if (from == "toml")
        return read_toml_rules(text, name);
    if (from == "json") {
        if (!has_key(parsed, "rules"))
            return bad_input(name + " has no \"rules\"");
        return own_rules(parsed["rules"], name, [](std::size_t i) {
            return offload::Place{i + 1, 1};
        });
    }
    auto rules = from == "nft"
                     ? offload::parse_nft_json(text)
                     : offload::parse_iptables_save(text, from == "iptables" ? 4 : 6, name);
    if (!rules && from == "nft")
        return bad_input(name + ": " + rules.error().what);
    if (!rules)
        return rules.error();
    auto taken = import_rules(*rules, options.chain);
    if (!taken)
        return bad_input(name + ": " + taken.error().what);
    return taken;
}

} // namespace evnf::efw
