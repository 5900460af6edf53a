// SPDX-License-Identifier: GPL-2.0-or-later
// Captures of any link, as `evnf edpi read` reads them.
#include "capture/capture.hpp"

#include "fuzz/file.hpp"
#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const fuzz::File file(data, size);
    const auto capture = capture::read(file.path());
    if (!capture) {
        REQUIRE(!capture.error().what.empty());
        return 0;
    }
    const bool known = static_cast<bool>(capture::check_link(capture->link));
    for (const auto &packet : capture->packets) {
        REQUIRE(packet.bytes.size() <= std::max<std::size_t>(size, 4096));
        if (const auto frame = capture::to_ethernet(capture->link, packet.bytes)) {
            REQUIRE(known);
            REQUIRE(frame->size() <= packet.bytes.size() + 14);
        }
    }
    return 0;
}
