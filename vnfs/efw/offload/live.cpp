// SPDX-License-Identifier: GPL-2.0-or-later
// The live rules, from the programs that know how to list them.
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <future>
#include <map>
#include <memory>

#include "vnfs/efw/offload/legacy_tables.hpp"
#include "vnfs/efw/offload/lexer.hpp"
#include "vnfs/efw/offload/program.hpp"
#include "vnfs/efw/offload/ruleset.hpp"

namespace evnf::efw::offload
{

namespace
{

constexpr int tries = 5; // to read rules that nobody changes meanwhile

struct CloseSocket {
    void operator()(mnl_socket *s) const { mnl_socket_close(s); }
};

} // namespace

Result<std::uint32_t> nft_generation()
{
    std::unique_ptr<mnl_socket, CloseSocket> socket(mnl_socket_open(NETLINK_NETFILTER));
    if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return sys_error("ask nftables for its generation");
    std::array<char, 8192> buffer{};
    auto *h = mnl_nlmsg_put_header(buffer.data());
    h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
    h->nlmsg_flags = NLM_F_REQUEST;
    mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg));
    if (mnl_socket_sendto(socket.get(), h, h->nlmsg_len) < 0)
        return sys_error("ask nftables for its generation");
    const auto got = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (got < 0)
        return sys_error("ask nftables for its generation");
    std::uint32_t generation = 0;
    auto read = [](const nlattr *a, void *to) {
        if (mnl_attr_get_type(a) == NFTA_GEN_ID && mnl_attr_get_payload_len(a) == 4)
            *static_cast<std::uint32_t *>(to) = ntohl(mnl_attr_get_u32(a));
        return MNL_CB_OK;
    };
    const auto *answer = reinterpret_cast<const nlmsghdr *>(buffer.data());
    if (!mnl_nlmsg_ok(answer, static_cast<int>(got)) || answer->nlmsg_type == NLMSG_ERROR)
        return bad_input("nftables does not tell its generation");
    mnl_attr_parse(answer, sizeof(nfgenmsg), read, &generation);
    return generation;
}

namespace
{

// What one program lists for both families. Nothing, if it is not installed and was not needed.
struct Listing {
    std::string v4, v6;
};

Result<Listing> saved(const std::string &variant)
{
    Listing out;
    for (const int family : {4, 6}) {
        const std::string program = (family == 4 ? "iptables-" : "ip6tables-") + variant + "-save";
        std::string *text = family == 4 ? &out.v4 : &out.v6;
        auto r = run_program({program, "-c"});
        if (!r && r.error().code == ENOENT) {
            if (variant == "legacy" && !legacy_tables(family).empty())
                return bad_input("there are rules of iptables-legacy, and no " + program +
                                 " to read them: install iptables");
            continue;
        }
        if (!r)
            return r.error();
        *text = std::move(*r);
    }
    return out;
}

using TableKey = std::pair<Family, std::string>;

// nft's own words for each rule, and the tables that sleep: from `nft -a list ruleset`.
struct NftText {
    std::map<std::pair<TableKey, std::uint64_t>, std::string> rules;
    // Of chains at the hook of a device: not all versions of nft have them in their JSON.
    std::map<std::pair<TableKey, std::string>, std::vector<std::string>> devices;
    std::vector<TableKey> dormant;
};

NftText read_text(const std::string &listing)
{
    static const std::map<std::string_view, Family> families{
        {"ip", Family::ip},         {"ip6", Family::ip6}, {"inet", Family::inet},
        {"netdev", Family::netdev}, {"arp", Family::arp}, {"bridge", Family::bridge}};
    NftText out;
    TableKey table{};
    std::string chain;
    for (const auto line : split(listing, '\n')) {
        constexpr std::string_view handle = " # handle ";
        if (line.starts_with("table ")) {
            const auto words = split(line, ' ');
            const auto family = words.size() > 2 ? families.find(words[1]) : families.end();
            if (family != families.end())
                table = {family->second, std::string(words[2])};
        } else if (line.starts_with("\tflags ") && line.find("dormant") != std::string_view::npos) {
            out.dormant.push_back(table);
        } else if (line.starts_with("\tchain ")) {
            chain = split(line.substr(7), ' ').front();
        } else if (line.starts_with("\t\ttype ") &&
                   line.find(" device") != std::string_view::npos) {
            const auto quoted = split(line, '"');
            for (std::size_t i = 1; i < quoted.size(); i += 2)
                out.devices[{table, chain}].emplace_back(quoted[i]);
        } else if (const auto at = line.rfind(handle);
                   line.starts_with("\t\t") && at != std::string_view::npos) {
            if (const auto n = number_of(line.substr(at + handle.size()), ~0ULL))
                out.rules[{table, *n}] = std::string(line.substr(2, at - 2));
        }
    }
    return out;
}

// Whether iptables-nft has shown all of a table that nft lists.
bool shows_all(const Table &saved, const Table &listed)
{
    for (const auto &chain : listed.chains) {
        const auto it = std::find_if(saved.chains.begin(), saved.chains.end(),
                                     [&](const Chain &c) { return c.name == chain.name; });
        if (it == saved.chains.end() || it->rules.size() != chain.rules.size() ||
            it->hook != chain.hook ||
            (chain.hook != Hook::none && it->priority != chain.priority) ||
            it->policy_drop != chain.policy_drop)
            return false;
    }
    return true;
}

// iptables' words for the rules of a table that nft lists too, and its meaning of those that
// nft does not know: its xt expressions. iptables-save leaves out what it does not know
// itself, so of the others nft's meaning is kept.
void take_words(Table &table, Table &saved)
{
    table.iptables = true;
    for (auto &chain : table.chains) {
        auto &from = *std::find_if(saved.chains.begin(), saved.chains.end(),
                                   [&](const Chain &c) { return c.name == chain.name; });
        chain.counters = from.counters;
        for (std::size_t i = 0; i < chain.rules.size(); ++i) {
            Rule &rule = chain.rules[i];
            if (rule.text.find("{\"xt\":") != std::string::npos)
                rule.steps = std::move(from.rules[i].steps);
            rule.text = std::move(from.rules[i].text);
            rule.counters = from.rules[i].counters;
        }
    }
}

void add(Ruleset &out, Ruleset part, bool legacy)
{
    for (auto &t : part.tables) {
        t.legacy = legacy;
        out.tables.push_back(std::move(t));
    }
    out.flowtables = out.flowtables || part.flowtables;
    out.ct_helpers = out.ct_helpers || part.ct_helpers;
    out.ct_zones = out.ct_zones || part.ct_zones;
}

Result<Ruleset> parsed(const Listing &listing, const std::string &variant, bool legacy)
{
    Ruleset out;
    for (const auto &[text, family] : {std::pair{&listing.v4, 4}, {&listing.v6, 6}}) {
        const std::string program = (family == 4 ? "iptables-" : "ip6tables-") + variant + "-save";
        auto r = parse_iptables_save(*text, family, program);
        if (!r)
            return r.error();
        add(out, std::move(*r), legacy);
    }
    return out;
}

Result<Ruleset> joined(const Listing &legacy, const Listing &nft, const std::string &json,
                       const std::string &text)
{
    auto out = parsed(legacy, "legacy", true);
    auto saved = parsed(nft, "nft", false);
    auto listed = parse_nft_json(json);
    for (const auto *r : {&out, &saved, &listed})
        if (!*r)
            return r->error();
    const NftText words = read_text(text);
    for (auto &table : listed->tables) {
        const TableKey key{table.family, table.name};
        for (auto &chain : table.chains)
            if (const auto d = words.devices.find({key, chain.name}); d != words.devices.end())
                chain.devices = d->second;
        if (std::find(words.dormant.begin(), words.dormant.end(), key) != words.dormant.end()) {
            std::erase_if(saved->tables, [&](const Table &t) {
                return t.family == table.family && t.name == table.name;
            });
            continue;
        }
        const auto it =
            std::find_if(saved->tables.begin(), saved->tables.end(), [&](const Table &t) {
                return t.family == table.family && t.name == table.name && shows_all(t, table);
            });
        if (it != saved->tables.end()) {
            take_words(table, *it);
        } else {
            for (auto &chain : table.chains)
                for (auto &rule : chain.rules)
                    if (const auto w = words.rules.find({key, rule.handle}); w != words.rules.end())
                        rule.text = w->second;
        }
        out->tables.push_back(std::move(table));
    }
    listed->tables.clear();
    add(*out, std::move(*listed), false);
    out->ct_helpers = out->ct_helpers || saved->ct_helpers;
    out->ct_zones = out->ct_zones || saved->ct_zones;
    return out;
}

} // namespace

Result<Ruleset> read_live()
{
    for (int i = 0; i < tries; ++i) {
        const auto before = nft_generation();
        if (!before)
            return before.error();
        const auto legacy_before = legacy_fingerprint();
        if (!legacy_before)
            return legacy_before.error();
        auto legacy = saved("legacy");
        // The kernel spends most of the time; threads begin in the namespace of this one.
        auto list = [](const char *option) {
            return std::async(std::launch::async, [option] {
                return run_program({"nft", option, "list", "ruleset"});
            });
        };
        auto json_coming = list("-j"), text_coming = list("-a");
        auto nft = saved("nft");
        auto json = json_coming.get(), text = text_coming.get();
        const auto legacy_after = legacy_fingerprint();
        const auto after = nft_generation();
        for (const auto *r : {&legacy, &nft})
            if (!*r)
                return r->error();
        for (const auto *r : {&json, &text})
            if (!*r)
                return r->error();
        if (!after)
            return after.error();
        if (!legacy_after)
            return legacy_after.error();
        if (*before != *after || *legacy_before != *legacy_after)
            continue;
        auto rules = joined(*legacy, *nft, *json, *text);
        if (rules) {
            rules->generation = *after;
            rules->legacy = *legacy_after;
        }
        return rules;
    }
    return bad_input("the rules of netfilter change too often to be read: " +
                     std::to_string(tries) + " times in a row");
}

} // namespace evnf::efw::offload
