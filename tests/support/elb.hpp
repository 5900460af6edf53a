// SPDX-License-Identifier: GPL-2.0-or-later
// elb's fast path in a real chain, for tests.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/net.hpp"
#include "support/chain.hpp"
#include "vnfs/elb/abi.h"
#include "vnfs/vnf.hpp"

namespace evnf::test
{

inline const std::string vip = "192.0.2.10", vip6 = "2001:db8::10";

inline json backend(const std::string &address, unsigned port, unsigned weight = 1)
{
    return {{"address", address}, {"port", port}, {"weight", weight}};
}

inline json service(const std::string &address, unsigned port, const std::string &protocol,
                    const std::vector<json> &backends)
{
    return {{"address", address}, {"port", port}, {"protocol", protocol}, {"backends", backends}};
}

class Elb : public ChainFixture
{
public:
    void configure(const std::vector<json> &services, unsigned connections = 4096)
    {
        const json wanted{{"connections", connections}, {"service", services}};
        section = must(find_vnf("elb")->check(wanted, section));
        if (fast_path)
            return must(fast_path->apply(section)), void();
        fast_path = must(find_vnf("elb")->load(maps, section, nullptr));
        add_stage(fast_path->program());
    }
    json shown(unsigned backend = 0)
    {
        return fast_path->show(section)["service"][0]["backends"][backend];
    }

    json section = nullptr;
    std::unique_ptr<FastPath> fast_path;
};

inline std::string address_of(const ip_addr &a)
{
    return Address(a).text();
}

// A frame from a client to a service.
inline Frame to_vip(const std::string &client, unsigned port, std::uint8_t proto = IPPROTO_TCP,
                    std::uint8_t flags = 0x02)
{
    const bool v6 = client.find(':') != std::string::npos;
    return {.src = client,
            .dst = v6 ? vip6 : vip,
            .proto = proto,
            .sport = static_cast<std::uint16_t>(port),
            .dport = 80,
            .tcp_flags = flags};
}

} // namespace evnf::test
