// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "abi/reenter.h"
#include "base/bpf.hpp"
#include "daemon/dispatched.hpp"

struct reenter_bpf;

namespace evnf
{

// Puts packets that user space held back into their chains, after the slots that they left,
// as if they came in by their interfaces again. Of one generation.
class Reenter
{
public:
    class Batch;

    static Result<std::unique_ptr<Reenter>> load(bpf::MapSet &maps);
    ~Reenter();
    Reenter(const Reenter &) = delete;
    Reenter &operator=(const Reenter &) = delete;

    // For one thread at a time; this must outlive it.
    Result<std::unique_ptr<Batch>> batch(unsigned worker);

private:
    Reenter(bpf::Skeleton<reenter_bpf> skel, bpf::Mapping calls);

    std::unique_ptr<bpf::Skeleton<reenter_bpf>> skel_;
    bpf::Mapping calls_;
    int packets_ = -1; // the map of the workers' maps
    // None: packets are put back one by one.
    std::optional<Dispatched> dispatched_;
};

// The packets that a worker puts back together, which costs less than one by one: a call makes
// and ends memory for frames, however many they are.
class Reenter::Batch
{
public:
    Batch(int program, unsigned worker, reenter_call &call, bpf::Mapping packets, unsigned most);

    // Copies it, after sending those there are if there is no room.
    void add(unsigned place, unsigned ifindex, std::span<const std::uint8_t> frame);
    // What has come in by one interface stays in its order.
    void send();
    // How long to wait for others first. A call leaves its pool of pages to the kernel until the
    // packets are gone, a second at least, and the end of each costs more the more there are: so
    // many calls wait for one another, but few, and what is sent for lack of room, never.
    [[nodiscard]] std::chrono::nanoseconds wait() const;

    // Packets that could not be put back; the first is logged. From any thread.
    [[nodiscard]] std::uint64_t failed() const { return failed_; }

private:
    using Clock = std::chrono::steady_clock;

    void run(unsigned ifindex, unsigned count);
    void fail(std::uint64_t packets, const Error &why);
    [[nodiscard]] reenter_packet &packet(unsigned i) const;

    int program_;
    unsigned worker_;
    reenter_call &call_; // both are memory of the program, too
    bpf::Mapping packets_;
    unsigned most_; // of a call
    unsigned count_ = 0;
    Clock::time_point due_; // when the next call comes, if those before it come too often
    std::array<unsigned, REENTER_BATCH> ifindexes_{};
    std::atomic<std::uint64_t> failed_ = 0;
};

} // namespace evnf
