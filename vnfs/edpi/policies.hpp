// SPDX-License-Identifier: GPL-2.0-or-later
// Policies in the kernel's table, by number. A flow has the number of its own, which means the
// same as long as any flow has it, also for the next daemon: a new list is entered beside the
// one in force, then each flow is judged anew, then the old one is retired.
#pragma once

#include <memory>
#include <vector>

#include "base/bpf.hpp"
#include "vnfs/edpi/policy.hpp"

namespace evnf::edpi
{

class Policies
{
public:
    static Result<std::shared_ptr<Policies>> bind(const bpf::MapSet &maps);

    // The number of a policy, which is entered if there is none that is the same.
    Result<unsigned> enter(const Policy &policy);
    // Only these stay. No flow has the number of another any more.
    void retire_others(const std::vector<unsigned> &numbers);

    // A packet that waited for its worker and is dropped by it. From any thread.
    void count_held(unsigned number, std::size_t bytes);
    struct Counts {
        counter met, dropped;
    };
    // Of a policy in force; zeroes for others.
    [[nodiscard]] Counts counts(const Policy &policy) const;

private:
    Policies() = default;
    [[nodiscard]] unsigned find(std::uint64_t mark) const; // 0: nowhere

    Fd counters_; // of our own: programs come and go
    std::optional<bpf::Mapping> table_memory_, held_memory_;
    edpi_policy *table_ = nullptr;
    counter *held_ = nullptr;
};

// What flows are judged by.
struct Rules {
    struct Numbered {
        unsigned number;
        Policy policy;
    };
    std::vector<Numbered> policies;
    Elephants elephants;
    std::shared_ptr<Policies> table;

    static Result<Rules> make(std::shared_ptr<Policies> table, const json &section);
    // Null if it is none of these.
    [[nodiscard]] const Policy *find(unsigned number) const;
    // The number for a flow that has `now`; 0: none.
    [[nodiscard]] unsigned number_for(const Identity &who, unsigned now) const;
    [[nodiscard]] std::vector<unsigned> numbers() const;
};

// The policies of a section with what they have counted, if there is a table.
json policies_json(const json &section, const Policies &table);
std::vector<Metric> policy_metrics(const json &section, const Policies &table);

} // namespace evnf::edpi
