// SPDX-License-Identifier: GPL-2.0-or-later
// The chain language.
#include "daemon/path.hpp"

#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto text = fuzz::text_of(data, size);
    const auto read = path::parse(text);
    if (!read) {
        fuzz::check(read.error(), text);
        return 0;
    }
    const auto written = path::text_of(*read);
    const auto again = path::parse(written);
    REQUIRE(again && path::text_of(*again) == written);
    return 0;
}
