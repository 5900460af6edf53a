// SPDX-License-Identifier: GPL-2.0-or-later
// The body of a request that changes the configuration: all of it in JSON.
#include "daemon/document.hpp"

#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto body = json::parse(fuzz::text_of(data, size), nullptr, false);
    if (body.is_discarded())
        return 0;
    const auto document = check_document(body, json());
    if (!document) {
        REQUIRE(!document.error().what.empty());
        return 0;
    }
    // What is kept is what is read again when the daemon starts.
    const auto again = check_document(*document, json());
    REQUIRE(again && diff_documents(*document, *again).empty());
    return 0;
}
