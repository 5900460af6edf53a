// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/reenter.hpp"

#include <array>
#include <cstring>

#include "abi/copy.h"
#include "abi/place.h"
#include "reenter.skel.h"

namespace evnf
{

Reenter::Reenter(bpf::Skeleton<reenter_bpf> skel)
    : skel_(std::make_unique<bpf::Skeleton<reenter_bpf>>(std::move(skel)))
{
}

Reenter::~Reenter() = default;

Result<std::unique_ptr<Reenter>> Reenter::load(bpf::MapSet &maps)
{
    auto skel = bpf::Skeleton<reenter_bpf>::load(maps);
    if (!skel)
        return skel.error();
    return std::unique_ptr<Reenter>(new Reenter(*std::move(skel)));
}

// BPF_PROG_RUN with live frames does what the program says with the packet, as if a
// driver had received it (Documentation/bpf/bpf_prog_run.rst). The place is metadata.
Result<> Reenter::send(unsigned place, unsigned ifindex, std::span<const std::uint8_t> frame) const
{
    std::array<std::uint8_t, sizeof(place_meta) + COPY_HELD_BYTES> bytes;
    if (frame.size() > COPY_HELD_BYTES) // never: it would not have been held back
        return sys_error("put a packet back", EMSGSIZE);
    const place_meta meta{PLACE_META_MAGIC, static_cast<__u16>(place), 0};
    std::memcpy(bytes.data(), &meta, sizeof meta);
    std::memcpy(bytes.data() + sizeof meta, frame.data(), frame.size());
    const auto size = static_cast<__u32>(sizeof meta + frame.size());
    xdp_md ctx{};
    ctx.data = sizeof meta; // before it: metadata
    ctx.data_end = size;
    ctx.ingress_ifindex = ifindex;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes.data(), .data_size_in = size,
                .ctx_in = &ctx, .ctx_size_in = sizeof ctx, .repeat = 1,
                .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 1);
    const int program = bpf_program__fd((*skel_)->progs.reenter_xsk);
    if (int err = bpf_prog_test_run_opts(program, &opts))
        return sys_error("put a packet back", err);
    return Unit{};
}

} // namespace evnf
