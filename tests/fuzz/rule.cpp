// SPDX-License-Identifier: GPL-2.0-or-later
// A rule of efw, as people and files write it.
#include "vnfs/efw/rule.hpp"

#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto text = fuzz::text_of(data, size);
    const auto rule = efw::parse_rule(text);
    if (!rule) {
        fuzz::check(rule.error(), text);
        return 0;
    }
    const auto again = efw::parse_rule(efw::text_of(*rule));
    REQUIRE(again && *again == *rule);
    return 0;
}
