// SPDX-License-Identifier: GPL-2.0-or-later
#include <map>

#include "vnfs/efw/offload/nft_places.hpp"
#include "vnfs/efw/offload/nft_rule.hpp"
#include "vnfs/efw/offload/ruleset.hpp"

namespace evnf::efw::offload
{

namespace
{

std::optional<Family> family_of(const std::string &name)
{
    static const std::map<std::string, Family> families{
        {"ip", Family::ip},         {"ip6", Family::ip6}, {"inet", Family::inet},
        {"netdev", Family::netdev}, {"arp", Family::arp}, {"bridge", Family::bridge}};
    const auto it = families.find(name);
    return it != families.end() ? std::optional(it->second) : std::nullopt;
}

std::string text_of(const json &o, const char *key)
{
    return o.contains(key) && o[key].is_string() ? o[key].get<std::string>() : std::string();
}

using Key = std::pair<std::string, std::string>; // family, table

class JsonReader
{
public:
    Result<Ruleset> read(const json &listing, const std::vector<NftItem> &places)
    {
        if (!listing.is_object() || !listing.contains("nftables") ||
            !listing["nftables"].is_array())
            return bad_input("this is no listing of nft -j: it has no \"nftables\"");
        const json &items = listing["nftables"];
        // Sets stand before the rules, but maps may name chains that come later.
        for (const auto &item : items)
            if (auto r = declare(item); !r)
                return r.error();
        static const NftItem nowhere;
        for (std::size_t i = 0; i < items.size(); ++i)
            if (items[i].is_object() && items[i].contains("rule"))
                if (auto r =
                        rule(items[i]["rule"], places.size() == items.size() ? places[i] : nowhere);
                    !r)
                    return r.error();
        return std::move(out_);
    }

private:
    Result<Table *> table(const json &o, const std::string &name)
    {
        const auto it = tables_.find({text_of(o, "family"), name});
        if (it == tables_.end())
            return bad_input("nft lists something of the table " + text_of(o, "family") + " " +
                             name + " and not that table");
        return &out_.tables[it->second];
    }

    Result<> declare(const json &item)
    {
        if (!item.is_object() || item.empty() || !item.begin().value().is_object())
            return bad_input("nft lists something that is no object");
        const std::string kind = item.begin().key();
        const json &o = item.begin().value();
        if (kind == "table") {
            const auto family = family_of(text_of(o, "family"));
            if (!family)
                return bad_input("nft lists a table of an unknown family " + text_of(o, "family"));
            tables_[{text_of(o, "family"), text_of(o, "name")}] = out_.tables.size();
            out_.tables.push_back({.family = *family, .name = text_of(o, "name")});
            if (o.contains("handle") && o["handle"].is_number_unsigned())
                out_.tables.back().handle = o["handle"];
        } else if (kind == "chain") {
            return chain(o);
        } else if (kind == "set" || kind == "map") {
            // Packets change a dynamic one, and time one with timeouts.
            bool still = !o.contains("timeout") && !o.contains("gc-interval");
            for (const auto &flag : o.value("flags", json::array()))
                still = still && flag != "dynamic" && flag != "timeout";
            if (still)
                sets_[{text_of(o, "family"), text_of(o, "table")}][text_of(o, "name")] = o;
        } else if (kind == "flowtable") {
            out_.flowtables = true;
        } else if (kind == "ct helper" || kind == "ct expectation") {
            out_.ct_helpers = true;
        }
        return Unit{};
    }

    Result<> chain(const json &o)
    {
        static const std::map<std::string, Hook> hooks{
            {"ingress", Hook::ingress}, {"prerouting", Hook::prerouting},
            {"input", Hook::input},     {"forward", Hook::forward},
            {"output", Hook::output},   {"postrouting", Hook::postrouting},
            {"egress", Hook::egress}};
        auto in = table(o, text_of(o, "table"));
        if (!in)
            return in.error();
        Chain chain{.name = text_of(o, "name"), .type = text_of(o, "type")};
        if (o.contains("hook")) {
            const auto hook = hooks.find(text_of(o, "hook"));
            if (hook == hooks.end() || !o.contains("prio") || !o["prio"].is_number_integer())
                return bad_input("the chain " + chain.name + " has an unknown hook or priority");
            chain.hook = hook->second;
            chain.priority = o["prio"];
            chain.policy_drop = text_of(o, "policy") == "drop";
            const json devices = o.value("dev", json::array());
            for (const auto &d : devices.is_array() ? devices : json::array({devices}))
                if (d.is_string())
                    chain.devices.push_back(d);
        }
        (*in)->chains.push_back(std::move(chain));
        return Unit{};
    }

    Result<> rule(const json &o, const NftItem &place)
    {
        if (!o.is_object())
            return bad_input("nft lists a rule that is no object");
        auto in = table(o, text_of(o, "table"));
        if (!in)
            return in.error();
        const std::string name = text_of(o, "chain");
        // Rules come chain by chain.
        if (!chain_ || chain_table_ != *in || chain_->name != name) {
            chain_ = nullptr;
            for (auto &c : (*in)->chains)
                if (c.name == name)
                    chain_ = &c;
            chain_table_ = *in;
        }
        if (!chain_)
            return bad_input("nft lists a rule of the chain " + name + " and not that chain");
        static const json none = json::array();
        const json &expressions = o.contains("expr") ? o["expr"] : none;
        Rule r{.number = static_cast<unsigned>(chain_->rules.size() + 1),
               .comment = text_of(o, "comment"),
               .place = place.place};
        if (o.contains("handle") && o["handle"].is_number_unsigned())
            r.handle = o["handle"];
        r.text = expressions.dump(-1, ' ', false, json::error_handler_t::replace);
        for (const auto &e : expressions)
            if (e.is_object() && e.contains("counter") && e["counter"].is_object() &&
                e["counter"].contains("packets") && e["counter"].contains("bytes") &&
                e["counter"]["packets"].is_number_unsigned() &&
                e["counter"]["bytes"].is_number_unsigned())
                r.counters = Counters{e["counter"]["packets"], e["counter"]["bytes"]};
        auto read =
            read_nft_rule(expressions, sets_[{text_of(o, "family"), (*in)->name}], (*in)->family);
        for (const std::size_t e : read.from)
            r.places.push_back(e < place.expressions.size() ? place.expressions[e] : place.place);
        r.steps = std::move(read.steps);
        for (const auto &s : r.steps)
            if (const auto *effect = std::get_if<Effect>(&s)) {
                out_.ct_helpers = out_.ct_helpers ||
                                  effect->what.find("helper") != std::string::npos ||
                                  effect->what.find("expectation") != std::string::npos;
                out_.ct_zones = out_.ct_zones || effect->what.find("zone") != std::string::npos;
            }
        chain_->rules.push_back(std::move(r));
        return Unit{};
    }

    Ruleset out_;
    std::map<Key, std::size_t> tables_;
    std::map<Key, NftSets> sets_;
    Chain *chain_ = nullptr;
    const Table *chain_table_ = nullptr;
};

} // namespace

Result<Ruleset> parse_nft_json(std::string_view text)
{
    try {
        return JsonReader().read(json::parse(text), nft_places(text));
    } catch (const json::exception &e) { // not JSON, or of another shape than nft's
        return bad_input(std::string("the listing of nft cannot be read: ") + e.what());
    }
}

} // namespace evnf::efw::offload
