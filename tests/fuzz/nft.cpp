// SPDX-License-Identifier: GPL-2.0-or-later
// The output of `nft -j list ruleset`.
#include "fuzz/target.hpp"
#include "vnfs/efw/offload/ruleset.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto rules = efw::offload::parse_nft_json(fuzz::text_of(data, size));
    if (!rules)
        REQUIRE(!rules.error().what.empty());
    return 0;
}
