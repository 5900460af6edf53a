// SPDX-License-Identifier: GPL-2.0-or-later
// The course of a packet of one family through netfilter: its base chains in the order of
// the kernel, and what the kernel does between them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vnfs/efw/offload/box.hpp"
#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw::offload
{

struct CourseChain;

// A step of a rule, its matches as boxes.
struct CourseStep {
    const Step *step;
    std::vector<Box> boxes;                        // of IsOneOf, HasAddressType, DecideByMap
    std::vector<const CourseChain *> targets = {}; // of Decide (one) and DecideByMap
};

struct CourseRule {
    std::uint32_t origin;
    const Rule *rule;
    std::vector<CourseStep> steps;
};

struct CourseChain {
    const Chain *chain = nullptr;
    std::uint32_t policy = 0; // its origin
    bool policy_counted = false;
    std::uint64_t devices = ~0ULL; // of ingress: by Host::interfaces
    std::vector<CourseRule> rules = {};
};

struct Stage {
    enum class Kind {
        chain,
        ambiguous, // chains of one priority, whose order nothing tells
        conntrack,
        routing,
        delivered, // to the host itself
        forwarded,
    } kind;
    const CourseChain *chain = nullptr;
};

struct Course {
    int family;
    bool conntrack = false;
    bool nat = false;
    std::vector<Stage> before_routing, input, forward;
    // Owned here; the stages and steps point into it.
    std::map<const Chain *, CourseChain> chains = {};
};

// What rules and policies there are. One of a table of both families has one origin.
struct Origins {
    std::vector<Origin> list;
    std::map<const void *, std::uint32_t> of; // by Rule or, for a policy, Chain
};

// Fills in the course of packets of course.family.
void chart(Course &course, const Ruleset &rules, const Host &host, Origins &origins);

} // namespace evnf::efw::offload
