// SPDX-License-Identifier: GPL-2.0-or-later
// efw's program against the plain model: what each rule and each reason must have counted.
#pragma once

#include <memory>

#include "support/efw_bench.hpp"
#include "support/packets.hpp"

namespace evnf::efw
{

// Rules in force, and packets that then come, one after the other.
struct Trial {
    std::vector<Rule> rules;
    model::World world;
    efw_action otherwise = EFW_SLOW; // for packets that no rule matches
    std::vector<pkt> packets;
};

json section_of(const Trial &trial, const json &running = nullptr);
// Gives the sets of that section the elements of the trial's.
void fill_sets(const Trial &trial, const json &section, SetElements elements);

// Packets and bytes. Lengths of packets are all different, so that two packets that were
// both counted in a wrong place cannot make up for each other.
struct Counts {
    std::map<__u32, counter> reasons;
    std::vector<counter> rules; // of trial.rules
    counter otherwise{};
};
bool operator==(const Counts &a, const Counts &b);

Counts expected_counts(const Trial &trial);

// A loaded program, which goes on from trial to trial as it would from change to change.
class Tester
{
public:
    // Puts the rules in force and runs the packets twice, so that the second time every
    // answer may be remembered. If the model says otherwise, the test fails with the
    // smallest trial that goes wrong too.
    void check(const Trial &trial, const std::string &what);

    // The same, without more, of rules that verbs have put in force: `section` has them.
    void check_in_force(const Trial &trial, const json &section, const std::string &what);
    [[nodiscard]] const json &section() const { return section_; }

    // Packets that met rules and were compared, since it was made.
    [[nodiscard]] __u64 checked() const { return checked_; }
    [[nodiscard]] __u64 by_rule() const { return by_rule_; } // … and were decided by one
    [[nodiscard]] const std::map<__u32, __u64> &reasons() const { return reasons_; }

    [[nodiscard]] test::EfwBench &bench() { return *bench_; }

private:
    void apply(const Trial &trial);
    [[nodiscard]] Counts counts(const Trial &trial) const;
    Counts run(const Trial &trial);
    // What was counted instead, if it was something else. The first puts the rules in force.
    std::optional<Counts> disagrees(const Trial &trial, const Counts &expected);
    std::optional<Counts> run_twice(const Trial &trial, const Counts &expected);
    void fail(const Trial &trial, const Counts &seen, const std::string &what);

    std::unique_ptr<test::EfwBench> bench_;
    json section_;
    __u64 checked_ = 0, by_rule_ = 0;
    std::map<__u32, __u64> reasons_;
};

} // namespace evnf::efw
