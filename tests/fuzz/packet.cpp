// SPDX-License-Identifier: GPL-2.0-or-later
// A packet as `evnf efw explain` is asked about it.
#include "vnfs/efw/packet.hpp"

#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto text = fuzz::text_of(data, size);
    const auto packet = efw::parse_packet(text);
    if (!packet) {
        fuzz::check(packet.error(), text);
        return 0;
    }
    REQUIRE(packet->length >= efw::least_length(*packet));
    REQUIRE(packet->length <= efw::greatest_length(*packet));
    const auto again = efw::parse_packet(efw::text_of(*packet));
    REQUIRE(again && *again == *packet);
    return 0;
}
