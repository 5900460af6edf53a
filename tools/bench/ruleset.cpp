// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/ruleset.hpp"

#include <netinet/in.h>

#include "bench/rewind.h"
#include "match/compile.hpp"
#include "vnfs/efw/section.hpp"

namespace evnf::bench
{

namespace
{

constexpr unsigned dport = 80; // of frame_of()
constexpr std::size_t mebibyte = 1024 * 1024;

template <class Value>
bool overlap(const match::Field<Value> &field, const Value &first, const Value &last)
{
    return !match::intersection(field.values(), {{first, last}}).empty();
}

// Whether a packet of any flow may meet it.
bool meets_traffic(const match::Match &m, int family)
{
    const auto from = match::range_of(*Prefix::parse(family == 4 ? clients : clients6));
    const auto service = *Address::parse(family == 4 ? service_address : service_address6);
    constexpr std::uint16_t last_port = REWIND_FIRST_PORT + (1U << REWIND_PORTS_SHIFT) - 1;
    return (!m.family || m.family == family) && overlap(m.src, from.first, from.last) &&
           overlap(m.dst, service, service) && m.protocol.allows(IPPROTO_TCP) &&
           overlap<std::uint16_t>(m.sport, REWIND_FIRST_PORT, last_port) && m.dport.allows(dport);
}

// The one rule for the traffic. It asks for all that a rule may ask for, as many others do.
std::string own_rule(const Ruleset &r)
{
    const unsigned priority = r.meets == Meets::first_rule ? 0 : efw::Rule::max_priority;
    const bool v6 = r.family == 6;
    return "priority " + std::to_string(priority) + (v6 ? " ip6" : " ip") + " saddr " +
           (v6 ? clients6 : clients) + " daddr " + (v6 ? service_address6 : service_address) +
           " tcp sport " + std::to_string(REWIND_FIRST_PORT) + "-65535 dport " +
           std::to_string(dport) + (r.accept ? " accept" : " drop");
}

Result<json> checked(json rules, const Ruleset &ruleset, std::size_t memory)
{
    const json section{{"default", ruleset.accept ? "accept" : "drop"},
                       {"memory", memory},
                       {"rules", std::move(rules)}};
    return find_vnf("efw")->check(section, nullptr);
}

} // namespace

std::string_view shape_text(Shape shape)
{
    switch (shape) {
    case Shape::acl:
        return "acl";
    case Shape::fw:
        return "fw";
    case Shape::ipc:
        return "ipc";
    }
    return "";
}

Result<json> section_of(const Ruleset &ruleset)
{
    efw::model::Random random(1);
    json rules = json::array();
    if (ruleset.meets != Meets::the_default)
        rules.push_back(own_rule(ruleset));
    // Some of them are left out below.
    const std::size_t made = ruleset.rules + ruleset.rules / 4 + 100;
    for (const auto &rule : efw::model::shaped_rules(random, ruleset.shape, ruleset.family, made)) {
        if (rules.size() == ruleset.rules)
            break;
        if (!meets_traffic(rule.match, ruleset.family))
            rules.push_back(efw::text_of(rule));
    }
    if (rules.size() < ruleset.rules)
        return Error{.what = "the shape " + std::string(shape_text(ruleset.shape)) +
                             " has no more than " + std::to_string(rules.size()) + " rules"};
    auto section = checked(rules, ruleset, efw::max_memory);
    if (!section)
        return section;
    std::vector<match::Entry> entries;
    for (auto &m : matches_of(*section))
        entries.push_back({std::move(m), {}});
    auto tables = match::compile(entries, {});
    if (!tables)
        return tables.error();
    // Room for one rule more, see changes.cpp.
    const std::size_t bytes = tables->size() * sizeof(match_cell);
    (*section)["memory"] = bytes * 5 / 4 / mebibyte + 1;
    return section;
}

std::vector<match::Match> matches_of(const json &section)
{
    std::vector<match::Match> out;
    for (auto &r : efw::ordered_rules(section))
        out.push_back(std::move(r.rule.match));
    return out;
}

} // namespace evnf::bench
