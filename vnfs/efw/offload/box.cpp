// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/box.hpp"

#include <algorithm>

#include "abi/pkt.h"

namespace evnf::efw::offload
{

namespace
{

template <class Value>
Set<Value> set_of(const match::Field<Value> &field)
{
    return field.asked() ? Set<Value>(field.values()) : Set<Value>();
}

match::Ranges<Address> addresses_of(int family)
{
    const match::Range<Address> v4 = match::range_of({*Address::parse("0.0.0.0"), 0});
    return family == 4 ? match::Ranges<Address>{v4} : match::complement(match::Ranges<Address>{v4});
}

Set<Address> addresses(const match::Field<Address> &field, int family)
{
    if (!field.asked())
        return {};
    const auto space = addresses_of(family);
    auto both = match::intersection(field.values(), space);
    return both == space ? Set<Address>() : Set<Address>(std::move(both));
}

bool named(const std::string &pattern, const std::string &name)
{
    return pattern.ends_with('*')
               ? name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1))
               : pattern == name;
}

// Adds the cubes of the flags whose bits from `bit` on are free, the others `value`.
void add_cubes(const TcpFlagSet &flags, unsigned bit, match::TcpFlags cube,
               std::vector<match::TcpFlags> &out)
{
    bool any = false, all = true;
    for (unsigned v = 0; v < flags.size(); ++v) {
        if ((v & cube.mask) != cube.value)
            continue;
        any = any || flags[v];
        all = all && flags[v];
    }
    if (!any)
        return;
    if (all) {
        out.push_back(cube);
        return;
    }
    const auto one = static_cast<std::uint8_t>(1U << bit);
    // A bit that makes no difference is left out.
    bool matters = false;
    for (unsigned v = 0; v < flags.size() && !matters; ++v)
        matters = (v & cube.mask) == cube.value && flags[v] != flags[v ^ one];
    if (!matters)
        return add_cubes(flags, bit + 1, cube, out);
    cube.mask = static_cast<std::uint8_t>(cube.mask | one);
    add_cubes(flags, bit + 1, cube, out);
    cube.value = static_cast<std::uint8_t>(cube.value | one);
    add_cubes(flags, bit + 1, cube, out);
}

} // namespace

std::vector<match::TcpFlags> cubes_of(const TcpFlagSet &flags)
{
    std::vector<match::TcpFlags> inside, outside;
    if (flags.all())
        return {{}};
    add_cubes(flags, 0, {}, inside);
    add_cubes(~flags, 0, {}, outside);
    if (inside.size() > 1 && outside.size() == 1) {
        outside[0].negated = true;
        return outside;
    }
    return inside;
}

Box Box::whole(int family, std::size_t interfaces)
{
    Box box;
    box.family = family;
    box.in = interfaces >= 64 ? ~0ULL : (1ULL << interfaces) - 1;
    return box;
}

Box Box::of(const match::Match &m, int family, const std::vector<Interface> &interfaces)
{
    Box box = whole(family, interfaces.size());
    if (m.in.asked())
        for (std::size_t i = 0; i < interfaces.size() && i < 64; ++i) {
            const bool in = std::any_of(m.in.names.begin(), m.in.names.end(), [&](const auto &n) {
                return named(n, interfaces[i].name);
            });
            if (in == m.in.negated)
                box.in &= ~(1ULL << i);
        }
    const bool none = (m.family && m.family != family) || m.vlan.asked() || !m.sets.empty() ||
                      !m.fragment.allows(PKT_FRAG_NONE);
    if (none)
        box.in = 0;
    box.src = addresses(m.src, family);
    box.dst = addresses(m.dst, family);
    box.protocol = set_of(m.protocol);
    box.sport = set_of(m.sport);
    box.dport = set_of(m.dport);
    box.icmp = set_of(m.icmp);
    box.dscp = set_of(m.dscp);
    box.length = set_of(m.length);
    if (m.tcp_flags.asked())
        for (unsigned v = 0; v < 256; ++v)
            box.tcp_flags[v] = m.tcp_flags.allows(static_cast<std::uint8_t>(v));
    return box;
}

bool Box::empty() const
{
    return in == 0 || src.empty() || dst.empty() || protocol.empty() || sport.empty() ||
           dport.empty() || icmp.empty() || tcp_flags.none() || dscp.empty() || length.empty();
}

Narrowed Box::narrow(const Box &other)
{
    // The fields that most often leave nothing come first.
    bool less = src.narrow(other.src);
    if (src.empty())
        return Narrowed::none;
    less = dst.narrow(other.dst) || less;
    if (dst.empty())
        return Narrowed::none;
    less = protocol.narrow(other.protocol) || less;
    less = sport.narrow(other.sport) || less;
    less = dport.narrow(other.dport) || less;
    less = icmp.narrow(other.icmp) || less;
    less = dscp.narrow(other.dscp) || less;
    less = length.narrow(other.length) || less;
    const auto flags = tcp_flags & other.tcp_flags;
    less = less || flags != tcp_flags || (in & other.in) != in;
    tcp_flags = flags;
    in &= other.in;
    return empty() ? Narrowed::none : less ? Narrowed::less : Narrowed::same;
}

bool Box::meets(const Box &other) const
{
    Box both = *this;
    return family == other.family && both.narrow(other) != Narrowed::none;
}

std::vector<match::Match> Box::matches(const std::vector<Interface> &interfaces) const
{
    match::Match m{.family = family};
    auto set = [](auto &field, const auto &values) {
        if (!values.all())
            field = {values.ranges(), false};
    };
    set(m.src, src);
    set(m.dst, dst);
    set(m.protocol, protocol);
    set(m.sport, sport);
    set(m.dport, dport);
    set(m.icmp, icmp);
    set(m.dscp, dscp);
    set(m.length, length);
    if (in != whole(family, interfaces.size()).in) {
        for (std::size_t i = 0; i < interfaces.size() && i < 64; ++i)
            if (in >> i & 1)
                m.in.names.push_back(interfaces[i].name);
        std::sort(m.in.names.begin(), m.in.names.end());
    }
    std::vector<match::Match> out;
    for (const auto &flags : cubes_of(tcp_flags)) {
        out.push_back(m);
        out.back().tcp_flags = flags;
    }
    return out;
}

} // namespace evnf::efw::offload
