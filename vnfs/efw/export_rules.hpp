// SPDX-License-Identifier: GPL-2.0-or-later
// Rules of efw in other languages. What a language has no word for is refused: an exported
// ruleset means what efw's does, and read back gives the same rules.
#pragma once

#include <string>
#include <vector>

#include "vnfs/efw/rule.hpp"

namespace evnf::efw
{

// One chain EFW of iptables (family 4) or ip6tables (6), for iptables-restore; rules of the
// other family are left out, of which it sees no packets. `slow` is RETURN. Errors name
// the rule by its place in `rules`, as where: "/rules/N".
Result<std::string> export_iptables(const std::vector<Rule> &rules, int family);

// One chain efw of a table inet efw, for nft -j -f. `slow` is return.
Result<std::string> export_nft(const std::vector<Rule> &rules);

} // namespace evnf::efw
