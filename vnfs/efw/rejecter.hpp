// SPDX-License-Identifier: GPL-2.0-or-later
// Tells the senders of rejected packets, by raw sockets: the kernel routes the answer, in
// this network namespace, and it may have any source. Used by all workers of an instance.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>

#include "abi/pkt.h"
#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/rtnl.hpp"
#include "vnfs/efw/rate.hpp"

namespace evnf::efw
{

class Rejecter
{
public:
    // Answers of one instance: to each address, and to all.
    static constexpr Rate each{.per_second = 100, .burst = 100};
    static constexpr Rate all{.per_second = 1000, .burst = 1000};

    static Result<std::unique_ptr<Rejecter>> open(); // needs CAP_NET_RAW

    // The beginning of a rejected frame, and what the root found in it.
    void refuse(std::span<const std::uint8_t> frame, const pkt &p);

    struct Counts {
        std::uint64_t sent = 0;
        std::uint64_t limited = 0; // above the rates
        std::uint64_t silent = 0;  // must not be answered
        std::uint64_t failed = 0;  // the kernel did not send it: no route, a filter, …
    };
    [[nodiscard]] Counts counts() const { return {sent_, limited_, silent_, failed_}; }

private:
    Rejecter(Fd ipv4, Fd ipv6, Rtnl rtnl)
        : ipv4_(std::move(ipv4)),
          ipv6_(std::move(ipv6)),
          rtnl_(std::move(rtnl))
    {
    }
    bool has_token(const pkt &p);
    bool is_broadcast(const pkt &p);
    void send(std::span<const std::uint8_t> answer, const pkt &p);

    const Fd ipv4_, ipv6_;
    std::mutex mutex_; // guards the three below
    Rtnl rtnl_;
    Bucket for_all_;
    AddressBuckets for_each_;
    std::atomic<std::uint64_t> sent_ = 0, limited_ = 0, silent_ = 0, failed_ = 0;
};

} // namespace evnf::efw
