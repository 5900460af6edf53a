// SPDX-License-Identifier: GPL-2.0-or-later
// Files of rules in other formats than efw's own lines.
#pragma once

#include <string>

#include "vnfs/efw/import_rules.hpp"

namespace evnf::efw
{

struct ImportOptions {
    std::string from;  // iptables, ip6tables, nft, toml or json; empty: what it looks like
    std::string chain; // of netfilter's
};

// `name` is for errors, which say name:line:column.
Result<Import> read_foreign_rules(const std::string &text, const std::string &name,
                                  const ImportOptions &options);

} // namespace evnf::efw
