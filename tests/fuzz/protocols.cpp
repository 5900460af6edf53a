// SPDX-License-Identifier: GPL-2.0-or-later
// A file of protocols besides nDPI's own.
#include "fuzz/file.hpp"
#include "fuzz/target.hpp"
#include "vnfs/edpi/inspector.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const fuzz::File file(data, size);
    if (const auto inspector = edpi::Inspector::make(file.path(), {}, 1))
        for (const auto &protocol : (*inspector)->protocols())
            REQUIRE(!protocol.category.empty());
    return 0;
}
