// SPDX-License-Identifier: GPL-2.0-or-later
// Which packets are to be watched.
#include "filter/filter.hpp"

#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto text = fuzz::text_of(data, size);
    if (const auto filter = filter::parse_filter(text); !filter)
        fuzz::check(filter.error(), text);
    return 0;
}
