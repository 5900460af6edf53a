// SPDX-License-Identifier: GPL-2.0-or-later
// What rules are to decide, written as plainly as can be: rule after rule, range after
// range. It shares nothing with the compiler and the fast path but the layout of struct pkt.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "abi/pkt.h"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw::model
{

// Of a named set: what of an address and of a port it means. What an element does not
// give does not matter.
struct Element {
    std::optional<match::Range<Address>> address;
    std::optional<match::Range<std::uint16_t>> port;
};
using Set = std::vector<Element>;

// What rules speak of by name.
struct World {
    std::map<__u32, std::string> interfaces; // by ifindex
    std::map<std::string, Set> sets;
};

// Unseen: it may match, but the packet does not show what the rule asks for.
enum class Seen { no, yes, unseen };

Seen look(const match::Match &match, const pkt &p, const World &world = {});

constexpr int by_default = -1; // no rule matched
constexpr int cannot_tell = -2;

struct Answer {
    std::vector<std::size_t> counted; // rules that count and let the packet go on
    int rule;                         // the one that decides, or one of the two above

    friend bool operator==(const Answer &, const Answer &) = default;
};

// Rules in force. Answers name them by their places in `rules`. Their limits are left out.
class Model
{
public:
    Model(const std::vector<Rule> &rules, World world);
    [[nodiscard]] Answer decide(const pkt &p) const;

private:
    std::vector<Rule> rules_; // in order of evaluation
    std::vector<std::size_t> place_;
    World world_;
};

} // namespace evnf::efw::model
