// SPDX-License-Identifier: GPL-2.0-or-later
// A copy of the fast path beside the one in force: the root and efw's stage, the same rules
// and the same offload, and maps of its own. Frames run through it; what packets meet is not
// touched.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/rtnl.hpp"
#include "vnfs/efw/explain/decision.hpp"
#include "vnfs/efw/explain/live_sets.hpp"
#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw
{

// By which a frame comes in.
struct Arrival {
    std::string interface; // as the packet shall show it
    unsigned ifindex;
    Mac mac = {};
};

// What the copy has of the fast path in force, borrowed.
struct Live {
    LiveSets sets;
    // With an offload: the plan in force, which may not be there yet, and the maps that say
    // how long it holds and for frames to whom.
    std::shared_ptr<const offload::Plan> plan = {};
    int lease = -1; // efw_offload
    int links = -1; // efw_offload_links
};

struct Outcome {
    bool met = false;             // the rules; else the root kept it from them
    std::optional<Packet> packet; // as the root found it, with its sets
    Decision decision;
};

class Rehearsal
{
public:
    // Of the fast path in force these maps are only read. They must outlive this.
    static Result<Rehearsal> load(const json &section, const Live &live);
    ~Rehearsal();
    Rehearsal(Rehearsal &&other) noexcept;

    // Each frame finds every limit with all its tokens.
    Result<Outcome> run(std::span<const std::uint8_t> frame, const Arrival &arrival);
    [[nodiscard]] const std::vector<SectionRule> &rules() const;

private:
    class Copy;
    explicit Rehearsal(std::unique_ptr<Copy> copy);
    std::unique_ptr<Copy> copy_;
};

} // namespace evnf::efw
