// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/traffic.hpp"

#include <algorithm>
#include <bit>

namespace evnf::bench
{

const std::string service_address = "192.0.2.10", service_address6 = "2001:db8::10";
// RFC 2544 and 5180: for benchmarks.
const std::string clients = "198.18.0.0/24", clients6 = "2001:2::/120";
const std::vector<std::string> backend_addresses{"10.0.2.11", "10.0.2.12", "10.0.2.13",
                                                 "10.0.2.14"};

Frame frame_of(const Traffic &traffic, std::uint8_t tcp_flags)
{
    const bool v6 = traffic.family == 6;
    const std::size_t headers = 14 + (v6 ? 40 : 20) + 20;
    return {.src = v6 ? "2001:2::1" : "198.18.0.1",
            .dst = v6 ? service_address6 : service_address,
            .dport = 80,
            .tcp_flags = tcp_flags,
            .payload = Bytes(std::max<std::size_t>(traffic.size, headers) - headers, 0x5a)};
}

json efw_section(unsigned rules)
{
    json list = json::array();
    for (unsigned i = 0; i + 1 < rules; ++i)
        list.push_back("ip saddr 10." + std::to_string(i / 256) + "." + std::to_string(i % 256) +
                       ".0/24 drop");
    list.push_back("tcp dport 80 accept");
    return {{"default", "drop"}, {"rules", std::move(list)}};
}

json elb_section(unsigned flows)
{
    // Those that are opening have room for half as many, in a map that forgets some before
    // it is quite full.
    const unsigned connections = std::bit_ceil(std::max(4096U, 3 * flows));
    json backends = json::array();
    for (const auto &address : backend_addresses)
        backends.push_back({{"address", address}, {"port", 8080}});
    const json service{{"address", service_address},
                       {"port", 80},
                       {"protocol", "tcp"},
                       {"backends", std::move(backends)}};
    return {{"connections", connections}, {"service", json::array({service})}};
}

} // namespace evnf::bench
