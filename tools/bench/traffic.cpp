// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/traffic.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace evnf::bench
{

const std::string service_address = "192.0.2.10", service_address6 = "2001:db8::10";
// RFC 2544 and 5180: for benchmarks.
const std::string clients = "198.18.0.0/24", clients6 = "2001:2::/120";
const std::vector<std::string> backend_addresses{"10.0.2.11", "10.0.2.12", "10.0.2.13",
                                                 "10.0.2.14"};
const std::vector<std::string> backend_addresses6{"2001:db8:2::11", "2001:db8:2::12",
                                                  "2001:db8:2::13", "2001:db8:2::14"};

namespace
{

std::size_t headers_of(const Traffic &traffic)
{
    return 14 + (traffic.family == 6 ? 40 : 20) + 20;
}

json others(unsigned rules)
{
    json list = json::array();
    for (unsigned i = 0; i < rules; ++i)
        list.push_back("ip saddr 10." + std::to_string(i / 256) + "." + std::to_string(i % 256) +
                       ".0/24 drop");
    return list;
}

} // namespace

std::size_t frame_size(const Traffic &traffic)
{
    return std::max<std::size_t>(traffic.size, headers_of(traffic));
}

Frame frame_of(const Traffic &traffic, std::uint8_t tcp_flags)
{
    const bool v6 = traffic.family == 6;
    char client[8];
    std::snprintf(client, sizeof client, v6 ? "%x" : "%u", traffic.client);
    return {.src = (v6 ? "2001:2::" : "198.18.0.") + std::string(client),
            .dst = v6 ? service_address6 : service_address,
            .dport = 80,
            .tcp_flags = tcp_flags,
            .payload = Bytes(frame_size(traffic) - headers_of(traffic), 0x5a)};
}

json efw_section(unsigned rules)
{
    json list = others(rules - 1);
    list.push_back("tcp dport 80 accept");
    return {{"default", "drop"}, {"rules", std::move(list)}};
}

json efw_section_without(unsigned rules)
{
    return {{"default", "accept"}, {"rules", others(rules)}};
}

json elb_section(unsigned flows, int family, bool theirs)
{
    // Those that are opening have room for half as many, in a map that forgets some before
    // it is quite full.
    const unsigned connections = std::bit_ceil(std::max(4096U, 3 * flows));
    json backends = json::array();
    for (const auto &address : family == 6 ? backend_addresses6 : backend_addresses)
        backends.push_back({{"address", address}, {"port", 8080}});
    const json service{{"address", family == 6 ? service_address6 : service_address},
                       {"port", theirs ? 80 : 81},
                       {"protocol", "tcp"},
                       {"backends", std::move(backends)}};
    return {{"connections", connections}, {"service", json::array({service})}};
}

} // namespace evnf::bench
