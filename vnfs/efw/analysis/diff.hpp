// SPDX-License-Identifier: GPL-2.0-or-later
// Whether two rulesets do the same to every packet; if not, a packet that shows it.
//
// Exact. What is the same in both is aligned first. Where a packet is decided by rules
// that are aligned with others, these are aligned with each other; so only the rules of
// which the other side has none need to be looked at.
//
// Rules with limits must be the same ones, met by each packet in the same order: with
// buckets of their own, two rules let more through than one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "vnfs/efw/analysis/ruleset.hpp"

namespace evnf::efw::analysis
{

// What becomes of a packet on one side.
struct Fate {
    std::uint32_t rule = 0;            // that decides; after the last: the default
    efw_action action = EFW_DROP;      // of it
    bool unseen = false;               // slow: it asks for what the packet does not show
    std::vector<std::uint32_t> before; // rules with limits that may take it before
};

struct Diff {
    enum class Answer { equal, different, undecided } answer = Answer::undecided;
    std::optional<Packet> witness; // if different
    Fate a, b;                     // of the witness
    // How much differs as text: rules without a like one on the other side, or with it
    // in another place.
    std::uint32_t unlike_a = 0, unlike_b = 0;
};

struct DiffOptions {
    bool counts = false;                  // whether rules that count must be the same ones too
    std::uint64_t budget = 2'000'000'000; // steps altogether, see cover.hpp
    std::function<void(std::size_t done, std::size_t all)> progress = {};
};

Diff diff(const Ruleset &a, const Ruleset &b, const DiffOptions &options = {});

} // namespace evnf::efw::analysis
