// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/both_matches.hpp"

namespace evnf::efw
{

namespace
{

using match::Field;
using match::Interfaces;
using match::TcpFlags;

// Of the one that asks, or what both allow; false if that is nothing.
template <class Value>
bool join(Field<Value> &mine, const Field<Value> &other)
{
    if (!other.asked() || mine == other)
        return true;
    if (!mine.asked())
        mine = other;
    else if (mine.negated && other.negated) {
        auto all = mine.ranges;
        all.insert(all.end(), other.ranges.begin(), other.ranges.end());
        mine.ranges = match::normalized(std::move(all));
    } else {
        mine = {match::intersection(mine.values(), other.values()), false};
    }
    return mine.asked() && !mine.values().empty();
}

enum class Joined { some, none, unsaid };

Joined join(TcpFlags &mine, const TcpFlags &other)
{
    if (!other.asked() || mine == other)
        return Joined::some;
    if (!mine.asked()) {
        mine = other;
        return Joined::some;
    }
    if (mine.negated || other.negated)
        return Joined::unsaid;
    const auto common = static_cast<std::uint8_t>(mine.mask & other.mask);
    if ((mine.value & common) != (other.value & common))
        return Joined::none;
    mine.mask = static_cast<std::uint8_t>(mine.mask | other.mask);
    mine.value = static_cast<std::uint8_t>(mine.value | other.value);
    return Joined::some;
}

// Names of which one has a * mean more than they say; only plain ones are compared.
Joined join(Interfaces &mine, const Interfaces &other)
{
    if (!other.asked() || mine == other)
        return Joined::some;
    if (!mine.asked()) {
        mine = other;
        return Joined::some;
    }
    if (mine.negated && other.negated) {
        mine.names.insert(mine.names.end(), other.names.begin(), other.names.end());
        std::sort(mine.names.begin(), mine.names.end());
        mine.names.erase(std::unique(mine.names.begin(), mine.names.end()), mine.names.end());
        return Joined::some;
    }
    const Interfaces &wide = mine.negated ? mine : other;
    Interfaces narrow = mine.negated ? other : mine;
    for (const auto &name : narrow.names)
        if (name.ends_with('*'))
            return Joined::unsaid;
    std::erase_if(narrow.names, [&](const std::string &name) { return !wide.allows(name); });
    mine = narrow;
    return mine.names.empty() ? Joined::none : Joined::some;
}

} // namespace

std::optional<Both> both(const match::Match &a, const match::Match &b)
{
    Both out{false, a};
    match::Match &m = out.match;
    if (!b.sets.empty() || !a.sets.empty())
        return std::nullopt;
    bool some = !(a.family && b.family && a.family != b.family);
    m.family = a.family ? a.family : b.family;
    some = some && join(m.src, b.src) && join(m.dst, b.dst) && join(m.protocol, b.protocol) &&
           join(m.sport, b.sport) && join(m.dport, b.dport) && join(m.icmp, b.icmp) &&
           join(m.vlan, b.vlan) && join(m.dscp, b.dscp) && join(m.fragment, b.fragment) &&
           join(m.length, b.length);
    for (const Joined j : {join(m.tcp_flags, b.tcp_flags), join(m.in, b.in)}) {
        if (some && j == Joined::unsaid)
            return std::nullopt;
        some = some && j == Joined::some;
    }
    out.none = !some;
    return out;
}

} // namespace evnf::efw
