// SPDX-License-Identifier: GPL-2.0-or-later
// Rules in a file of any of our own forms: lines, JSON, or a section in TOML.
#include "fuzz/target.hpp"
#include "vnfs/efw/ruleset_file.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto rules = efw::ruleset_of_text(std::string(fuzz::text_of(data, size)), "fuzz");
    if (!rules)
        REQUIRE(!rules.error().what.empty());
    else
        REQUIRE(rules->places.size() == rules->ruleset.rules.size());
    return 0;
}
