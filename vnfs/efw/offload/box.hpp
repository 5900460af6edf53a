// SPDX-License-Identifier: GPL-2.0-or-later
// A region of all packets of one family: each field is one of a set of values, whatever
// the others are. What a match leaves of a region is one again.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

#include "match/match.hpp"
#include "vnfs/efw/offload/host.hpp"

namespace evnf::efw::offload
{

// A set of values, or all. Copies share their values.
template <class Value>
class Set
{
public:
    Set() = default; // all
    explicit Set(match::Ranges<Value> ranges)
        : ranges_(std::make_shared<const match::Ranges<Value>>(std::move(ranges)))
    {
    }

    [[nodiscard]] bool all() const { return !ranges_; }
    [[nodiscard]] bool empty() const { return ranges_ && ranges_->empty(); }
    [[nodiscard]] const match::Ranges<Value> &ranges() const { return *ranges_; }

    // Keeps what the other has too; says whether that is less than before.
    bool narrow(const Set &other)
    {
        if (other.all() || ranges_ == other.ranges_)
            return false;
        if (all()) {
            *this = other;
            return true;
        }
        auto both = match::intersection(*ranges_, *other.ranges_);
        if (both == *ranges_)
            return false;
        ranges_ = std::make_shared<const match::Ranges<Value>>(std::move(both));
        return true;
    }

private:
    std::shared_ptr<const match::Ranges<Value>> ranges_;
};

using TcpFlagSet = std::bitset<256>; // byte 13 of the TCP header

enum class Narrowed { same, less, none };

struct Box {
    int family = 4;
    Set<Address> src, dst;
    Set<std::uint8_t> protocol;
    Set<std::uint16_t> sport, dport, icmp;
    TcpFlagSet tcp_flags = TcpFlagSet().set();
    std::uint64_t in = ~0ULL; // of Host::interfaces, by bit
    Set<std::uint8_t> dscp;
    Set<std::uint16_t> length;

    // All packets of a family that come in by these interfaces.
    static Box whole(int family, std::size_t interfaces);
    // The packets that a match means, of those that efw decides on: no fragments, no
    // VLAN tags. None in the family: an empty box.
    static Box of(const match::Match &match, int family, const std::vector<Interface> &interfaces);
    [[nodiscard]] bool empty() const;

    Narrowed narrow(const Box &other);
    [[nodiscard]] bool meets(const Box &other) const;

    // The box as matches that together mean it.
    [[nodiscard]] std::vector<match::Match> matches(const std::vector<Interface> &interfaces) const;
};

// The flags as few masks with a value each; none has to be negated, but one alone may be.
std::vector<match::TcpFlags> cubes_of(const TcpFlagSet &flags);

} // namespace evnf::efw::offload
