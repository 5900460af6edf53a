// SPDX-License-Identifier: GPL-2.0-or-later
// The flows of one instance: what they are is learned from copies, how much they are from the
// table, and all of it goes into records. Every byte that passed is in exactly one.
//
// Outlives the generations of the chains: flows under inspection stay so.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "vnfs/edpi/inspector.hpp"
#include "vnfs/edpi/policies.hpp"
#include "vnfs/edpi/table.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::edpi
{

// Seconds after which a flow's record is written.
struct Timeouts {
    unsigned idle = 60;    // without a packet
    unsigned closed = 5;   // without a packet, after both sides' FIN or a RST
    unsigned active = 300; // while it goes on: a record of what came since the one before
};

class Flows
{
public:
    // Takes a record for good; gives it back as false to be asked again later.
    using Sink = std::function<bool(const json &record)>;
    // Packets of a flow are inspected by one of them, whichever thread has them.
    using Inspectors = std::vector<std::unique_ptr<Inspector>>;

    Flows(Table table, Inspectors inspectors, Sink sink);

    void set(Timeouts timeouts);
    // Flows under inspection are concluded first.
    void set(Inspectors inspectors);
    // When it returns, each flow has been judged by these. One thread's.
    void set(std::shared_ptr<const Rules> rules);

    // A copy of a packet, at a time of any clock that does not jump. On any worker's thread.
    void inspect(const SlowPacket &packet, std::uint64_t ms);
    // A packet that waits: whether it may go on.
    bool pass(const SlowPacket &packet, std::uint64_t ms);

    // Ends what has had its time, `now` by CLOCK_MONOTONIC. Takes up what a daemon that died
    // has left. One thread's, as end_all().
    void sweep(std::uint64_t now_ns);
    void end_all(const std::string &why);
    // So many records that the sink had taken are lost.
    void count_lost(std::uint64_t records);

    [[nodiscard]] const Table &table() const { return table_; }
    // A flow as records have it, with what of it is in none yet. None: the slot has no flow.
    [[nodiscard]] std::optional<json> show(std::uint32_t slot) const;
    // What is in records and what is in the table, by application.
    struct Sum {
        std::uint64_t flows = 0, active = 0; // ended; in the table
        Counts exported, open;
    };
    using Sums = std::map<Application, Sum>;
    [[nodiscard]] Sums sums() const;
    [[nodiscard]] counter exported_unaccounted() const;
    struct Load {
        std::size_t used = 0, inspected = 0;
        std::uint64_t records = 0, lost = 0; // taken by the sink; of these
    };
    [[nodiscard]] Load load() const;
    [[nodiscard]] std::string name(Application a) const;
    [[nodiscard]] std::string category(Application a) const;

private:
    struct Share {
        mutable std::mutex mutex; // guards the inspector
        std::unique_ptr<Inspector> inspector;
    };
    struct Ending {
        std::uint32_t slot;
        std::string why;
    };

    Share &share_of(const edpi_key &key);
    // These three with the share's lock.
    void decide(Share &share, std::vector<Inspector::Decided> decided);
    void judge(Share &share, std::uint32_t slot);
    bool is_dropped(Share &share, std::uint32_t slot, std::size_t bytes);
    [[nodiscard]] std::shared_ptr<const Rules> rules() const;
    [[nodiscard]] Identity identity(const Share &share, std::uint32_t slot) const;
    void weigh(std::uint32_t slot, std::uint64_t passed_ns);
    [[nodiscard]] bool waits_in_vain(std::uint32_t slot);
    void give_up(std::uint32_t slot);
    void conclude(std::uint32_t slot);
    [[nodiscard]] const char *due(std::uint32_t slot, std::uint64_t now_ns) const;
    // Of one that was being ended already.
    [[nodiscard]] const char *why_ending(std::uint32_t slot, std::uint64_t now_ns) const;
    void end(std::vector<Ending> ending);
    // False if the record could not be taken.
    bool tell(std::uint32_t slot, const std::string &why);
    void tell_unaccounted();
    [[nodiscard]] json describe(std::uint32_t slot, const Counts &counts) const;

    Table table_;
    std::vector<Share> shares_;
    Sink sink_;

    mutable std::mutex mutex_; // guards the rest
    Timeouts timeouts_;
    std::vector<std::unique_ptr<json>> details_; // by slot: of Facts
    std::vector<std::uint64_t> told_;            // by slot: when it had a record last
    std::shared_ptr<const Rules> rules_;         // null: there are none
    std::map<Application, Sum> sums_;            // of records
    counter unaccounted_{};                      // in records
    std::uint64_t records_ = 0, lost_ = 0;

    // Of the thread that sweeps.
    std::vector<std::uint64_t> weighed_; // by slot: its bytes at the last sweep
    std::vector<std::uint32_t> copied_;  // by slot: its copies then
    std::uint64_t swept_ = 0;            // when that was
};

} // namespace evnf::edpi
