// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/paper.hpp"

#include <arpa/inet.h>
#include <linux/bpf.h>

#include "base/bpf.hpp"
#include "base/net.hpp"
#include "bench/paper.h"
#include "bench/rewind.h"
#include "paper.skel.h"

namespace evnf::bench
{

namespace
{

class Paper : public Program
{
public:
    explicit Paper(bpf::Skeleton<paper_bpf> skel) : skel_(std::move(skel)) {}

    [[nodiscard]] int entry() const override { return bpf_program__fd(skel_->progs.paper); }
    // It transmits what it knows alone.
    [[nodiscard]] unsigned verdict() const override { return XDP_TX; }
    // It counts nothing: the verdicts are all there is.
    [[nodiscard]] Result<> check_all_went(std::uint64_t /*packets*/) const override
    {
        return Unit{};
    }

private:
    bpf::Skeleton<paper_bpf> skel_;
};

Result<__be32> word_of(const std::string &address)
{
    auto parsed = Address::parse(address);
    if (!parsed)
        return parsed.error();
    return parsed->raw().w[3];
}

} // namespace

Result<std::unique_ptr<Program>> paper_classifier(const Traffic &traffic)
{
    if (traffic.family != 4 || traffic.flows > PAPER_FLOWS)
        return std::unique_ptr<Program>();
    bpf::MapSet maps("");
    auto skel = bpf::Skeleton<paper_bpf>::load(maps);
    if (!skel)
        return skel.error();
    auto flows = bpf::Map<paper_flow, __u16>::bind(maps, "paper_flows");
    auto hops = bpf::Map<__u32, __u64>::bind(maps, "paper_hops");
    if (!flows)
        return flows.error();
    if (!hops)
        return hops.error();
    const Frame first = frame_of(traffic, 0);
    auto client = word_of(first.src), service = word_of(first.dst);
    if (!client)
        return client.error();
    if (!service)
        return service.error();
    if (auto r = hops->put(*service, 2); !r)
        return r.error();
    for (__u32 n = 0; n < traffic.flows; ++n) {
        const auto port = REWIND_FIRST_PORT + (n & ((1U << REWIND_PORTS_SHIFT) - 1));
        const paper_flow flow{.saddr = htonl(ntohl(*client) + (n >> REWIND_PORTS_SHIFT)),
                              .daddr = *service,
                              .sport = htons(static_cast<std::uint16_t>(port)),
                              .dport = htons(first.dport),
                              .proto = IPPROTO_TCP,
                              .pad = {}};
        if (auto r = flows->put(flow, 0); !r)
            return r.error();
    }
    return std::unique_ptr<Program>(new Paper(*std::move(skel)));
}

} // namespace evnf::bench
