// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "abi/copy.h"
#include "abi/place.h"
#include "base/bpf.hpp"
#include "daemon/reenter.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

// The worker threads of one generation: packets that its stages sent to user space, by
// ring buffer or AF_XDP, are handled by the VNFs, and those that waited are put back. Each
// worker has a ring of its own; flows are spread over the rings by hash.
class Workers
{
public:
    // Who handles the packets that left a slot.
    using FindFastPath = std::function<FastPath *(unsigned slot)>;

    // `hold`: whether packets wait for the workers' word.
    static Result<std::unique_ptr<Workers>> start(bpf::MapSet &maps, FindFastPath find, bool hold);
    ~Workers(); // ends the threads; what is in their rings has been handled
    Workers(const Workers &) = delete;
    Workers &operator=(const Workers &) = delete;

    // A packet that came by AF_XDP. Waits while its worker's queue is full; then the loss
    // is at the socket's ring, where it is seen and counted.
    void give(const xsk_meta &meta, unsigned ifindex, std::span<const std::uint8_t> frame);

    struct Counts {
        std::size_t workers = 0;
        std::uint64_t handled = 0, refused = 0, failed = 0; // packets
    };
    [[nodiscard]] Counts counts() const;
    [[nodiscard]] copy_count copies(unsigned slot) const;

    // Adds a worker where packets are lost for long, at most one in a cool-down, and takes
    // one away when they are idle. `lost` counts what AF_XDP lost. Called about twice a
    // second.
    void scale(std::uint64_t lost);
    // Says to the fast path that the workers are there. Called as often.
    Result<> beat() const;

private:
    class Worker;

    Workers(bpf::MapSet &maps, FindFastPath find, std::unique_ptr<Reenter> reenter,
            bpf::PerCpuCounters<copy_count> copies);
    Result<> add();
    void remove();
    Result<> spread();
    [[nodiscard]] std::uint64_t lost_copies() const;

    bpf::MapSet &maps_;
    FindFastPath find_;
    std::unique_ptr<Reenter> reenter_; // null: none waits
    bpf::PerCpuCounters<copy_count> copies_;
    std::vector<std::shared_ptr<Worker>> workers_; // changed by scale() alone
    std::array<std::atomic<std::shared_ptr<Worker>>, COPY_BUCKETS> by_bucket_;

    using Clock = std::chrono::steady_clock;
    Clock::time_point scaled_ = Clock::now();
    Clock::time_point busy_ = Clock::now();
    std::uint64_t lost_seen_ = 0, handled_seen_ = 0;
    unsigned losing_ = 0; // looks in a row at which packets had been lost
    Counts ended_;        // of workers that are gone
};

} // namespace evnf
