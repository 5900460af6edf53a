// SPDX-License-Identifier: GPL-2.0-or-later
// elb's connections, seen by a client and its backends.
#pragma once

#include "support/elb.hpp"

namespace evnf::test
{

constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10;
inline const std::string client = "198.51.100.7", client6 = "2001:db8:9::7";

// What comes back to a client's packet from `from`.
inline Frame answer_to(const Frame &f, const std::string &from, unsigned port,
                       std::uint8_t flags = ack)
{
    Frame out = f;
    out.src = from;
    out.dst = f.src;
    out.sport = static_cast<std::uint16_t>(port);
    out.dport = f.sport;
    out.tcp_flags = flags;
    return out;
}

class Connected : public Elb
{
public:
    std::string goes_to(const Frame &f) { return address_of(run(build(f)).seen.flow.daddr); }
    std::string comes_from(const Frame &f) { return address_of(run(build(f)).seen.flow.saddr); }
    std::size_t established()
    {
        return must(bpf::Map<flow_key, elb_conn>::bind(maps, "elb_conns")).keys().size() / 2;
    }
    // A whole handshake, or a datagram there, back and there; gives the backend.
    std::string establish(const Frame &first, unsigned port = 8080)
    {
        const std::string at = goes_to(first);
        Frame answer = answer_to(first, at, port, syn | ack);
        answer.tcp_seq = 0x12345678;
        comes_from(answer);
        Frame last = first;
        last.tcp_flags = ack;
        last.tcp_ack = 0x12345679;
        CHECK(goes_to(last) == at);
        return at;
    }
};

inline std::vector<json> servers(unsigned n)
{
    std::vector<json> out;
    for (unsigned i = 0; i < n; ++i)
        out.push_back(backend("10.0.2." + std::to_string(11 + i), 8080));
    return out;
}

} // namespace evnf::test
