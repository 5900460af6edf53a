// SPDX-License-Identifier: GPL-2.0-or-later
// The established connections of a fast path: ages them, and knows how many there are.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "base/bpf.hpp"
#include "vnfs/elb/abi.h"
#include "vnfs/elb/active.hpp"
#include "vnfs/elb/timeouts.hpp"

namespace evnf::elb
{

class Connections
{
public:
    static Result<Connections> bind(const bpf::MapSet &maps);

    // Called about twice a second: turns the fast path's clock on, and looks at a part of the
    // table, so that all of it is looked at in about `pass`.
    Result<> tick(std::chrono::steady_clock::time_point now, const BackendTimeouts &timeouts);
    // After it the fast path looks into the table again, whatever it remembers.
    void next_epoch();
    [[nodiscard]] const Active &active() const { return active_; }
    [[nodiscard]] std::uint32_t clock() const { return clock_.get(0).value_or(0); }

    // One, from the client's side.
    struct Known {
        flow_key flow;
        elb_conn there;
        std::optional<elb_conn> back;
    };
    // A part of them, in no order, and where the next begins, if there is one. Who starts at 0
    // and goes on until the end gets each that was there all the time.
    struct Page {
        std::vector<Known> connections;
        std::optional<std::uint32_t> next;
    };
    [[nodiscard]] Result<Page> page(std::uint32_t from) const;
    // Packets of it that still come are placed as those of a new one.
    void forget(const Known &connection);
    // Seconds since its last packet in either direction.
    [[nodiscard]] std::uint32_t silent(const Known &connection) const;

    static constexpr unsigned ticks_of_pass = 40;

private:
    using Table = bpf::Map<flow_key, elb_conn>;
    using Clock = bpf::Map<__u32, __u32>;

    Connections(Table table, Clock clock, bpf::Mapping epoch, Active active, std::size_t size)
        : table_(table),
          clock_(clock),
          epoch_(std::move(epoch)),
          active_(std::move(active)),
          size_(size)
    {
    }
    struct Batch {
        std::vector<flow_key> keys;
        std::vector<elb_conn> conns;
        std::optional<std::uint32_t> next;
    };
    [[nodiscard]] Result<Batch> read(std::optional<std::uint32_t> from) const;
    // True at the end of the table.
    Result<bool> sweep_batch(const BackendTimeouts &timeouts, std::uint32_t clock);
    void look_at(const flow_key &key, const elb_conn &conn, const Timeouts &timeouts,
                 std::uint32_t clock);

    Table table_;
    Clock clock_;
    bpf::Mapping epoch_;
    Active active_;
    std::size_t size_;
    // What the clock said at the first tick.
    std::optional<std::pair<std::chrono::steady_clock::time_point, std::uint32_t>> began_;
    std::optional<std::uint32_t> at_; // where the pass goes on; none: at the beginning
};

// The entry for the other direction.
flow_key key_back(const flow_key &key, const elb_conn &conn);

// Takes over connections of an evnfd whose tables had another layout; see VnfType::migrate.
Result<> migrate_connections(unsigned from, const std::string &map, int old_fd, int new_fd);

} // namespace evnf::elb
