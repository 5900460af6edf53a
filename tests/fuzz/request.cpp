// SPDX-License-Identifier: GPL-2.0-or-later
// A service-chain request: a graph in JSON.
#include <nlohmann/json.hpp>

#include "daemon/graph.hpp"
#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto request = nlohmann::json::parse(fuzz::text_of(data, size), nullptr, false);
    if (request.is_discarded())
        return 0;
    if (const auto text = text_of_request(request); !text)
        REQUIRE(!text.error().what.empty());
    return 0;
}
