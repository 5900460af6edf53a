// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/reenter.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

#include "abi/copy.h"
#include "base/log.hpp"
#include "reenter.skel.h"

namespace evnf
{

namespace
{

using namespace std::chrono_literals;

constexpr auto spacing = 500us; // of rounds, on the average; nothing waits for longer
constexpr auto burst = 50ms;    // so much of it may be made up for

static_assert(REENTER_BATCH <= 64); // bits of the set of packets that are left to send

std::uint64_t random_key()
{
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

// Bytes that BPF_PROG_RUN takes for a frame: shorter than a packet, so that making copies
// costs little.
struct Blank {
    reenter_meta meta;
    std::array<std::uint8_t, 16> frame;
};
static_assert(sizeof(Blank) == sizeof(reenter_meta) + 16);

} // namespace

Reenter::Reenter(bpf::Skeleton<reenter_bpf> skel, bpf::Mapping calls)
    : skel_(std::make_unique<bpf::Skeleton<reenter_bpf>>(std::move(skel))),
      calls_(std::move(calls))
{
}

Reenter::~Reenter() = default;

Result<std::unique_ptr<Reenter>> Reenter::load(bpf::MapSet &maps)
{
    auto skel = bpf::Skeleton<reenter_bpf>::load(maps);
    if (!skel)
        return skel.error();
    auto calls_fd = maps.fd("reenter_calls");
    if (!calls_fd)
        return calls_fd.error();
    auto packets = maps.fd("reenter_packets");
    if (!packets)
        return packets.error();
    auto calls = bpf::Mapping::of_array(*calls_fd, sizeof(reenter_call));
    if (!calls)
        return calls.error();
    auto dispatched = Dispatched::keep(bpf_program__fd((*skel)->progs.reenter_xsk));
    std::unique_ptr<Reenter> out(new Reenter(*std::move(skel), *std::move(calls)));
    out->packets_ = *packets;
    if (dispatched)
        out->dispatched_ = *std::move(dispatched);
    else
        log_warning(dispatched.error().message() +
                    ": packets that waited are put back one by one, which is slower");
    return out;
}

Result<std::unique_ptr<Reenter::Batch>> Reenter::batch(unsigned worker)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
    const Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "reenter_packets", sizeof(__u32),
                                sizeof(reenter_packet), REENTER_BATCH, &opts));
    if (!map)
        return sys_error("make room for packets to put back");
    if (auto r = bpf::put_inner(packets_, worker, map.get()); !r)
        return r.error();
    auto packets = bpf::Mapping::of_array(map.get(), sizeof(reenter_packet));
    if (!packets)
        return packets.error();
    auto &call = reinterpret_cast<reenter_call *>(calls_.data())[worker];
    return std::make_unique<Batch>(bpf_program__fd((*skel_)->progs.reenter_xsk), worker, call,
                                   *std::move(packets), dispatched_ ? REENTER_BATCH : 1);
}

Reenter::Batch::Batch(int program, unsigned worker, reenter_call &call, bpf::Mapping packets,
                      unsigned most)
    : program_(program),
      worker_(worker),
      call_(call),
      packets_(std::move(packets)),
      most_(most)
{
    call_.key = random_key();
}

reenter_packet &Reenter::Batch::packet(unsigned i) const
{
    return reinterpret_cast<reenter_packet *>(packets_.data())[i];
}

void Reenter::Batch::add(unsigned place, unsigned ifindex, std::span<const std::uint8_t> frame)
{
    if (frame.size() > COPY_HELD_BYTES) // never: it would not have been held back
        return fail(1, sys_error("put a packet back", EMSGSIZE));
    if (count_ == REENTER_BATCH)
        send();
    reenter_packet &to = packet(count_);
    to.place = place;
    to.len = static_cast<__u32>(frame.size());
    std::memcpy(to.frame, frame.data(), frame.size());
    ifindexes_[count_++] = ifindex;
}

void Reenter::Batch::send()
{
    std::uint64_t left = count_ == 64 ? ~0ULL : (1ULL << count_) - 1;
    while (left) {
        const unsigned ifindex = ifindexes_[static_cast<unsigned>(std::countr_zero(left))];
        unsigned count = 0;
        for (std::uint64_t rest = left; rest && count < most_; rest &= rest - 1) {
            const auto i = static_cast<unsigned>(std::countr_zero(rest));
            if (ifindexes_[i] != ifindex)
                continue;
            call_.order[count++] = static_cast<__u8>(i);
            left &= ~(1ULL << i);
        }
        run(ifindex, count);
    }
    count_ = 0;
}

std::chrono::nanoseconds Reenter::Batch::wait() const
{
    return count_ ? std::max(due_ - Clock::now(), Clock::duration::zero()) : 0ns;
}

// BPF_PROG_RUN with live frames does what the program says with each, as if a driver had
// received it (Documentation/bpf/bpf_prog_run.rst).
void Reenter::Batch::run(unsigned ifindex, unsigned count)
{
    const auto now = Clock::now();
    due_ = std::clamp(due_, now - burst, now) + spacing;
    ++call_.key;
    call_.count = count;
    call_.taken = 0;
    call_.put = 0;
    Blank blank{{REENTER_META_MAGIC, worker_, call_.key}, {}};
    xdp_md ctx{};
    ctx.data = sizeof blank.meta; // before it: metadata
    ctx.data_end = sizeof blank;
    ctx.ingress_ifindex = ifindex;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &blank, .data_size_in = sizeof blank,
                .ctx_in = &ctx, .ctx_size_in = sizeof ctx, .repeat = static_cast<int>(count),
                .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = count);
    const int err = bpf_prog_test_run_opts(program_, &opts);
    const __u32 put = call_.put;
    // After the program the kernel may lack memory to receive those that it lets in: how many
    // these were, it does not say.
    if (err && put == count)
        fail(count, sys_error("put packets back", err));
    else if (put != count)
        fail(count - put, sys_error("put packets back", err ? err : EPROTO));
}

void Reenter::Batch::fail(std::uint64_t packets, const Error &why)
{
    if (failed_.fetch_add(packets) == 0)
        log_error(why.message());
}

} // namespace evnf
