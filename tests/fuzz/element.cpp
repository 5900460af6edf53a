// SPDX-License-Identifier: GPL-2.0-or-later
// An element of a named set; the first byte says of which type.
#include "fuzz/target.hpp"
#include "vnfs/efw/set_element.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (!size)
        return 0;
    const auto type = static_cast<efw::SetType>(data[0] % 3);
    const auto text = fuzz::text_of(data + 1, size - 1);
    const auto element = efw::parse_element(text, type);
    if (!element) {
        fuzz::check(element.error(), text);
        return 0;
    }
    const auto again = efw::parse_element(efw::element_text(*element, type), type);
    REQUIRE(again && efw::ElementSame{}(*again, *element));
    return 0;
}
