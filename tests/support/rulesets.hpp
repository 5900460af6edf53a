// SPDX-License-Identifier: GPL-2.0-or-later
// Rules to try a classifier with: few that meet each other wherever they can, and many
// as firewalls have them.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "support/efw_model.hpp"

namespace evnf::efw::model
{

using Random = std::mt19937_64;

inline unsigned below(Random &random, unsigned n)
{
    return static_cast<unsigned>(random() % n);
}

template <class List>
const auto &one_of(Random &random, const List &list)
{
    return list[random() % std::size(list)];
}

// What the interfaces and sets are called that rules speak of. The contents of a set are
// of one kind: addresses of a family, ports, or addresses with ports.
inline constexpr const char *interface_names[] = {"lan0", "lan1", "lan10", "wan0", "dmz"};
struct SetName {
    const char *name;
    int family; // 0: no addresses
    bool ports;
};
inline constexpr SetName set_names[] = {{"hosts4", 4, false},
                                        {"hosts6", 6, false},
                                        {"services", 0, true},
                                        {"pairs4", 4, true},
                                        {"pairs6", 6, true}};

// Values that rules and packets have in common: few, and some at the edges of everything.
Address any_address(Random &random, int family);
Prefix any_prefix(Random &random, int family);
std::uint16_t any_port(Random &random);
std::uint16_t any_length(Random &random);

using Sets = std::map<std::string, Set>;
Sets any_sets(Random &random);

// Of named sets they use only those of `sets`.
match::Match any_match(Random &random, const Sets &sets = {});
Rule any_rule(Random &random, const Sets &sets = {});
// No two with the same text: efw refuses those.
std::vector<Rule> any_rules(Random &random, std::size_t most, const Sets &sets = {});

// Rulesets as ClassBench's seeds are shaped (Taylor and Turner, INFOCOM 2005): access
// lists, firewalls, IP chains.
enum class Shape { acl, fw, ipc };
// `family` 0: both.
std::vector<Rule> shaped_rules(Random &random, Shape shape, int family, std::size_t n);

} // namespace evnf::efw::model
