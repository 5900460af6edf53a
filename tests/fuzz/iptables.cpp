// SPDX-License-Identifier: GPL-2.0-or-later
// The output of iptables-save; the first byte says which family's.
#include "fuzz/target.hpp"
#include "vnfs/efw/offload/ruleset.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto text = fuzz::text_of(data, size);
    const int family = size && data[0] == '6' ? 6 : 4;
    const auto rules =
        efw::offload::parse_iptables_save(text.substr(text.starts_with('6')), family);
    if (!rules) {
        REQUIRE(!rules.error().what.empty());
        return 0;
    }
    for (const auto &table : rules->tables)
        for (const auto &chain : table.chains)
            for (const auto &rule : chain.rules)
                REQUIRE(rule.places.size() == rule.steps.size());
    return 0;
}
