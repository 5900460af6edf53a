// SPDX-License-Identifier: GPL-2.0-or-later
// Follows regions of packets through netfilter, and writes down what becomes of them.
#pragma once

#include <chrono>
#include <memory>

#include "vnfs/efw/offload/course.hpp"

namespace evnf::efw::offload
{

// The decisions, in the order in which they hold.
//
// How: evaluate(region) walks the rules in order. A rule that matches a part of the region
// has this part decided to its end, through all chains that follow, before the walk goes
// on: its decisions then stand first, so that the walk may go on with the whole region.
// What only netfilter can decide is written down as slow at its place, and so shadows all
// that follows for these packets. No region has ever to be subtracted from another.
class Evaluation
{
public:
    Evaluation(const Course &course, const Ruleset &rules, const Host &host, Plan &plan);
    void run(std::chrono::steady_clock::time_point deadline);

private:
    struct Counted { // a list that continues share
        std::uint32_t origin;
        std::shared_ptr<const Counted> before;
    };
    struct Frame {
        const CourseChain *chain;
        std::size_t rule;
    };
    // A region, and where its packets are.
    struct Walk {
        Box box;
        const std::vector<Stage> *course;
        std::size_t stage = 0;
        std::vector<Frame> frames = {}; // empty: between two stages
        std::shared_ptr<const Counted> counted = {};
        std::uint8_t ct_states; // that its packets may have
        std::uint8_t conditions = 0;
        std::uint32_t last = no_origin; // the rule or policy that it met last
        bool tracked = false;           // conntrack has seen it
        bool untracked = false;         // a rule said so
        bool nat_unsure = false;        // in a chain that only packets of new connections see
        // It is like the walk it is a part of, but for jumps: once it has come back to so
        // many frames, the other may go on for it. 0: it must be decided to its end.
        std::size_t joins = 0;
        bool changed = false; // differs from that walk in more than jumps
        bool jumped = false;
    };

    void walk(Walk w);
    bool enter_stage(Walk &w); // false: the walk is at its end
    void end_of_chain(Walk &w, bool &done);
    // From here on: false if nothing of the walk is left to go on.
    bool steps(Walk &w, const CourseRule &rule, std::size_t from);
    enum class Left { others, all, nothing };
    Left part(Walk &w, const CourseRule &rule, std::size_t from, const Box &box,
              const CourseStep *map = nullptr, std::size_t element = 0);
    bool decide(Walk &w, const CourseRule &rule, const Decide &d, const CourseChain *target);
    bool ct_state(Walk &w, const CourseRule &rule, std::size_t at);
    bool split_new(Walk &w, const CourseRule &rule, std::size_t at, const std::string &cause);
    bool unknown(Walk &w, const CourseRule &rule, std::size_t at, const Unknown &u);
    bool count(Walk &w, const CourseRule &rule, std::size_t at);
    bool not_tracked(Walk &w, const CourseRule &rule);
    void conntrack(Walk w);
    void route(Walk w);
    void slow_addresses(const Walk &w, const match::Ranges<Address> &ranges, bool source,
                        const std::string &cause);
    void special_addresses(const Walk &w);
    void emit(const Walk &w, efw_action action, std::uint32_t decider);
    // `general`: for reasons that no rule has to do with.
    void slow(const Walk &w, const Box &box, const std::string &cause, bool general = false);
    bool exhausted();
    [[nodiscard]] std::string name_of(std::uint32_t origin) const;
    [[nodiscard]] bool inert(const CourseRule &rule, std::size_t from) const;
    Box only(const match::Match &m) const;
    void note(std::uint32_t origin, const std::string &cause);
    void note_unseen();

    const Course &course_;
    const Ruleset &rules_;
    const Host &host_;
    Plan &plan_;
    std::chrono::steady_clock::time_point deadline_{};
    std::size_t steps_ = 0, depth_ = 0;
    std::map<std::string, std::uint32_t> causes_;
    std::vector<std::pair<Box, std::uint32_t>> shadows_;
};

} // namespace evnf::efw::offload
