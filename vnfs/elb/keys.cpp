// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/keys.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace evnf::elb
{

namespace
{

elb_service_key host_key(const Address &a)
{
    return {a.raw(), 0, 0, static_cast<__u8>(a.family())};
}

} // namespace

elb_service_key key_of(const Service &s, std::uint16_t port)
{
    return {s.address.raw(), htons(port), s.protocol, static_cast<__u8>(s.address.family())};
}

elb_range_key range_key(const Service &s, const PortPrefix &prefix)
{
    return {ELB_RANGE_FIXED + prefix.length, s.address.raw(), s.protocol,
            static_cast<__u8>(s.address.family()), htons(prefix.port)};
}

Hosts hosts_of(const std::vector<Service> &services)
{
    Hosts out;
    for (const auto &s : services) {
        out.insert(host_key(s.address));
        for (const auto &b : s.backends)
            out.insert(host_key(b.endpoint.address));
    }
    return out;
}

Owners owners_of(const std::vector<Service> &services)
{
    Owners out;
    for (const auto &s : services) {
        if (s.forwarding.one_way())
            continue; // they answer the client
        for (const auto &b : s.backends) {
            const elb_service_key key{b.endpoint.address.raw(), htons(b.endpoint.port), s.protocol,
                                      static_cast<__u8>(b.endpoint.address.family())};
            const auto port = s.ports.one();
            const auto [it, fresh] =
                out.try_emplace(key, elb_owner{s.address.raw(), htons(port.value_or(0)), 0});
            if (!fresh || (b.endpoint.port && !port) || s.forwarding.how == ELB_SOURCE_NAT)
                it->second.shared = 1;
        }
    }
    // What comes from a port may answer a service that keeps it too.
    for (const auto &s : services) {
        if (s.forwarding.one_way())
            continue;
        for (const auto &b : s.backends)
            if (!b.endpoint.port)
                for (auto &[key, owner] : out)
                    if (key.port && key.proto == s.protocol && s.ports.contains(ntohs(key.port)) &&
                        b.endpoint.address == Address(key.addr))
                        owner.shared = 1;
    }
    return out;
}

bool has_many_ports(const std::vector<Service> &services)
{
    return std::any_of(services.begin(), services.end(),
                       [](const Service &s) { return !s.ports.one(); });
}

} // namespace evnf::elb
