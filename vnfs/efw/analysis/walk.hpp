// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of the packets of a box under two rulesets, rule after rule.
#pragma once

#include <optional>
#include <vector>

#include "vnfs/efw/analysis/align.hpp"
#include "vnfs/efw/analysis/cover.hpp"
#include "vnfs/efw/analysis/diff.hpp"

namespace evnf::efw::analysis
{

struct Sides {
    const Boxes &a, &b;
    Alignment alignment;
    bool counts; // rules that count matter
};

class Walk
{
public:
    enum class Answer { same, different, undecided };

    Walk(const Sides &sides, const Space &space, std::size_t world, Budget &budget)
        : sides_(sides),
          space_(space),
          world_(world),
          budget_(budget)
    {
    }

    // Whether all packets of the box fare alike; else packet(), a() and b() say how one
    // does not.
    Answer run(const Box &box);

    [[nodiscard]] const Packet &packet() const { return packet_; }
    [[nodiscard]] const Fate &a() const { return a_; }
    [[nodiscard]] const Fate &b() const { return b_; }

private:
    using Items = std::vector<const Item *>;
    // One ruleset, as far as it is clear for the packets of a box.
    struct Progress {
        const Boxes *boxes;
        const Side *side;
        Items items; // to come, those that matter
        Fate fate;
        bool decided = false;
    };

    Progress start(const Boxes &boxes, const Side &side, const Box &box) const;
    Answer go(const Box &box, Progress a, Progress b);
    Answer end(const Box &box, const Progress &a, const Progress &b);
    static void advance(const Box &box, Progress &p);
    static bool same_so_far(const Progress &a, const Progress &b);
    static bool same_to_come(const Progress &a, const Progress &b);
    static std::vector<std::uint32_t> kinds_that_matter(const Progress &p);

    const Sides &sides_;
    const Space &space_;
    std::size_t world_;
    Budget &budget_;
    Packet packet_;
    Fate a_, b_;
};

} // namespace evnf::efw::analysis
