// SPDX-License-Identifier: GPL-2.0-or-later
// All packets, as the rules of some rulesets see them.
//
// Each kind of packets is a world. In one world all packets have the same fields, so that a
// rule is a box there, or matches nothing. What a packet hides (a fragment its ports) does
// not keep a rule from meaning it: that rule then leaves it to the slow path, see unseen().
// Named sets are opaque: that a packet is in one is a field of its own, and nothing is
// assumed of what they hold.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vnfs/efw/analysis/box.hpp"
#include "vnfs/efw/analysis/classes.hpp"
#include "vnfs/efw/analysis/interfaces.hpp"
#include "vnfs/efw/analysis/kinds.hpp"
#include "vnfs/efw/packet.hpp"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw::analysis
{

// The fields of a packet; one for each use of a named set follows them.
enum FieldId : unsigned {
    f_src,
    f_dst,
    f_protocol,
    f_sport,
    f_dport,
    f_icmp,
    f_flags,
    f_in,
    f_vlan,
    f_dscp,
    f_fragment,
    f_length,
    f_sets
};

struct World {
    Kind kind;
    std::vector<Set> whole; // by field: all that it can be
};

class Space
{
public:
    explicit Space(std::span<const Rule *const> rules);

    [[nodiscard]] const World &world(std::size_t i) const { return worlds_[i]; }
    // The packets of the world that the match means; none if it means none of them. It
    // may ask for what the rules ask for, and for parts of it that are ranges there.
    [[nodiscard]] std::optional<Box> box(const match::Match &match, std::size_t world) const;
    // Whether the match asks packets of the world for what nobody can see.
    [[nodiscard]] bool unseen(const match::Match &match, std::size_t world) const;
    // Whether it can be seen there, if it is there.
    [[nodiscard]] bool sees(FieldId field, std::size_t world) const;
    // One packet of the box, of values that people are used to where it has them.
    [[nodiscard]] Packet packet(const Box &box, std::size_t world) const;

private:
    using SetId = std::pair<match::SetKey, std::string>;
    void cut(const match::Match &match);
    void number_flags(std::span<const Rule *const> rules);
    void number();
    [[nodiscard]] World make_world(const Kind &kind) const;
    [[nodiscard]] std::optional<Box> add_sets(Box box, const match::Match &match, bool hidden,
                                              bool ports) const;
    [[nodiscard]] Set flags(const match::TcpFlags &asked) const;

    Classes<Address> src_, dst_;
    Classes<std::uint16_t> sport_, dport_, icmp_, vlan_, length_;
    Classes<std::uint8_t> protocol_, dscp_, fragment_;
    Interfaces in_;
    std::vector<std::uint8_t> flags_; // by class: flags that stand for their like
    std::vector<SetId> sets_;         // sorted
    std::array<World, worlds> worlds_;
};

} // namespace evnf::efw::analysis
