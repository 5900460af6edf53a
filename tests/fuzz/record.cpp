// SPDX-License-Identifier: GPL-2.0-or-later
// Records of a worker's ring, whatever the fast path has seen: as edpi's workers read them, up
// to nDPI. A record: two bytes of length, and itself.
#include <algorithm>

#include "fuzz/target.hpp"
#include "vnfs/edpi/copied.hpp"
#include "vnfs/edpi/inspector.hpp"
#include "vnfs/ring_record.hpp"

using namespace evnf;
using edpi::Inspector;

namespace
{

constexpr std::uint32_t slots = 4;

bool is_within(std::span<const std::uint8_t> part, std::span<const std::byte> whole)
{
    const auto *begin = reinterpret_cast<const std::byte *>(part.data());
    return begin >= whole.data() && part.size() <= whole.size() &&
           begin - whole.data() <= static_cast<std::ptrdiff_t>(whole.size() - part.size());
}

void read(Inspector &inspector, std::span<const std::byte> record)
{
    static std::uint64_t ms = 0;
    const auto packet = packet_of_record(record);
    REQUIRE(record.size() >= sizeof(copy_head) || !packet);
    if (!packet)
        return;
    REQUIRE(is_within(packet->frame, record));
    const auto held = edpi::ip_of(packet->frame, packet->l3_off, packet->head->pkt.flow.family);
    REQUIRE(held.empty() || is_within(held, record));
    const auto copy = edpi::copied(*packet);
    REQUIRE(copy.has_value() == !held.empty());
    if (!copy)
        return;
    REQUIRE(copy->ip.size() == held.size());
    for (const auto &d : inspector.inspect(copy->slot % slots, copy->key.proto, copy->ip, ++ms))
        REQUIRE(!d.facts.details.dump().empty());
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static const auto inspector = *Inspector::make("", {}, slots);
    while (size > 2) {
        const std::size_t length = std::min<std::size_t>(data[0] << 8 | data[1], size - 2);
        // A ring has its records where their numbers may stand, and other records after them.
        std::vector<std::uint64_t> memory((length + 7) / 8);
        std::copy_n(data + 2, length, reinterpret_cast<std::uint8_t *>(memory.data()));
        read(*inspector, std::as_bytes(std::span(memory)).first(length));
        data += 2 + length;
        size -= 2 + length;
    }
    inspector->conclude_all();
    return 0;
}
