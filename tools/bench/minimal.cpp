// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/minimal.hpp"

#include <arpa/inet.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bpf.hpp"
#include "bench/minimal.h"
#include "bench/rewind.h"
#include "minimal.skel.h"

namespace evnf::bench
{

namespace
{

// Addresses and ports of flow 0, out of its frame.
minimal_key first_key(const Bytes &frame, int family)
{
    constexpr std::size_t ethernet = 14, addresses4 = 12, addresses6 = 8;
    constexpr std::size_t header4 = 20, header6 = 40;
    minimal_key key{};
    const bool v6 = family == 6;
    std::memcpy(key.addresses, &frame[ethernet + (v6 ? addresses6 : addresses4)], v6 ? 32 : 8);
    std::memcpy(&key.sport, &frame[ethernet + (v6 ? header6 : header4)], 4);
    return key;
}

class Minimal : public Program
{
public:
    Minimal(bpf::Skeleton<minimal_bpf> skeleton, bool found)
        : skeleton_(std::move(skeleton)),
          found_(found)
    {
    }

    [[nodiscard]] int entry() const override { return bpf_program__fd(skeleton_->progs.minimal); }
    [[nodiscard]] unsigned verdict() const override { return found_ ? XDP_DROP : XDP_PASS; }
    // It counts nothing, so that it stays the least: the verdicts are all there is.
    [[nodiscard]] Result<> check_all_went(std::uint64_t /*packets*/) const override
    {
        return Unit{};
    }

    Result<> fill(const Traffic &traffic)
    {
        auto flows = bpf::Map<minimal_key, __u32>::bind(bpf_map__fd(skeleton_->maps.minimal_flows));
        if (!flows)
            return flows.error();
        const minimal_key first = first_key(build(frame_of(traffic, 0)), traffic.family);
        // The word of the client's address that tells flows apart, see rewind.bpf.c.
        const std::size_t word = traffic.family == 6 ? 3 : 0;
        for (unsigned flow = 0; flow < traffic.flows; ++flow) {
            minimal_key key = first;
            key.addresses[word] =
                htonl(ntohl(first.addresses[word]) + (flow >> REWIND_PORTS_SHIFT));
            key.sport = htons(static_cast<std::uint16_t>(
                REWIND_FIRST_PORT + (flow & ((1U << REWIND_PORTS_SHIFT) - 1))));
            if (!found_)
                key.dport ^= 0xffff;
            if (auto r = flows->put(key, XDP_DROP); !r)
                return r;
        }
        return Unit{};
    }

private:
    bpf::Skeleton<minimal_bpf> skeleton_;
    bool found_;
};

} // namespace

Result<std::unique_ptr<Program>> minimal(const Traffic &traffic, bool found)
{
    bpf::MapSet maps("");
    auto skeleton = bpf::Skeleton<minimal_bpf>::load(maps, [&](minimal_bpf &m) {
        // A hash that is as full as ours are.
        bpf_map__set_max_entries(m.maps.minimal_flows, std::max(1024U, 2 * traffic.flows));
    });
    if (!skeleton)
        return skeleton.error();
    auto out = std::make_unique<Minimal>(*std::move(skeleton), found);
    if (auto r = out->fill(traffic); !r)
        return r.error();
    return std::unique_ptr<Program>(std::move(out));
}

} // namespace evnf::bench
