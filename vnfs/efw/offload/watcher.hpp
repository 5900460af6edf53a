// SPDX-License-Identifier: GPL-2.0-or-later
// Keeps an offload true: reads the live rules, plans, has the plan put in force, and says
// to the fast path how long it holds. As soon as something is no more as it was read,
// nothing is offloaded until it has been read again.
//
// What is promised when rules change:
//  - nftables and iptables-nft, where the kernel shows its generation to XDP programs
//    (Status::seen_by_kernel): no packet that comes after the change is decided by the
//    rules before it.
//  - iptables-legacy, addresses, routes, sysctls, and nftables on other kernels: within
//    `lease` the fast path leaves all to netfilter. Likewise when the daemon is gone.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bpf.hpp"
#include "base/rtnl.hpp"
#include "vnfs/efw/abi.h"
#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw::offload
{

// Whether XDP programs can read the generation of nftables: see offload.h.
bool kernel_shows_generation();

class Watcher
{
public:
    static constexpr std::chrono::milliseconds lease{500}, period{100};

    // Puts the decisions of a plan in force; the old ones are until then, but nothing is
    // decided by either while it runs. Called on the watcher's thread.
    using Put = std::function<Result<>(std::shared_ptr<const Plan>)>;

    static Result<std::unique_ptr<Watcher>> start(const bpf::MapSet &maps, Put put);
    ~Watcher(); // takes the offload out of force

    struct Status {
        std::string state; // "reading", "in force" or "failed"
        std::string error; // of the last attempt, empty if it went well
        bool seen_by_kernel = false;
        unsigned plans = 0; // put in force so far
        std::chrono::milliseconds took{};
        std::shared_ptr<const Plan> plan; // the one in force, or null
    };
    // "In force" is said of a plan of the rules as they are when asked.
    [[nodiscard]] Status status() const;

private:
    // What a plan was made of, as far as it is cheap to look whether it is still so.
    struct Facts {
        std::uint32_t generation = 0;
        std::size_t legacy = 0;
        std::vector<Link> links;
        Host host;
    };

    Watcher(bpf::Mapping state, bpf::Map<__u32, efw_link> links, Put put);
    void run(const std::stop_token &stop);
    [[nodiscard]] static bool still_true(const Facts &facts);
    Result<> plan_anew();
    Result<> put_links(const std::vector<Link> &links);
    void hold(std::chrono::milliseconds time);
    void withdraw();

    bpf::Mapping state_;
    bpf::Map<__u32, efw_link> links_;
    Put put_;

    // Both are changed by the thread alone, which reads them without the lock.
    mutable std::mutex mutex_;
    std::optional<Facts> facts_; // of the plan in force
    Status status_;
    std::jthread thread_; // last: it ends before the rest goes
};

} // namespace evnf::efw::offload
