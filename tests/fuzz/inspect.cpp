// SPDX-License-Identifier: GPL-2.0-or-later
// Packets of flows as a worker gives them to nDPI, and what is said of these. A packet: its flow,
// two bytes of length, and itself from the IP header on.
#include "fuzz/target.hpp"
#include "vnfs/edpi/inspector.hpp"

using namespace evnf;
using edpi::Inspector;

namespace
{

constexpr std::size_t most_flows = 2;
constexpr std::size_t least_ip = 20; // less is not given to it

void look_at(const std::vector<Inspector::Decided> &some)
{
    for (const auto &d : some)
        REQUIRE(!d.facts.details.dump().empty()); // whatever was in the packets
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static const auto inspector = *Inspector::make("", {}, most_flows);
    static std::uint64_t ms = 0;
    while (size > 3) {
        const std::uint32_t flow = data[0] % 4;
        const std::size_t length = std::min<std::size_t>(data[1] << 8 | data[2], size - 3);
        const std::span ip(data + 3, length);
        if (length >= least_ip)
            look_at(inspector->inspect(flow, ip[0] >> 4 == 6 ? ip[6] : ip[9], ip, ++ms));
        REQUIRE(inspector->flows() <= most_flows);
        data += 3 + length;
        size -= 3 + length;
    }
    look_at(inspector->conclude_all());
    REQUIRE(inspector->flows() == 0);
    return 0;
}
