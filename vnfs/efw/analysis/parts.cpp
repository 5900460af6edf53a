// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/parts.hpp"

namespace evnf::efw::analysis
{

namespace
{

// A prefix, where the range is one.
std::string range_text(const match::Range<Address> &r)
{
    const unsigned bits = r.first.is_v4() ? 32 : 128;
    for (unsigned length = 0; length <= bits; ++length)
        if (const Prefix p{r.first, length}; match::range_of(p) == r)
            return p.text();
    return r.first.text() + "-" + r.last.text();
}

template <class Value>
std::string range_text(const match::Range<Value> &r)
{
    const std::string first = std::to_string(r.first);
    return r.first == r.last ? first : first + "-" + std::to_string(r.last);
}

template <class Value>
void add(std::vector<ListedValue> &out, const match::Match &match,
         match::Field<Value> match::Match::*field, FieldId id, const std::string &name)
{
    const auto &listed = match.*field;
    if (listed.negated || listed.ranges.size() < 2)
        return;
    for (const auto &r : listed.ranges) {
        out.push_back({name + " " + range_text(r), id, match});
        (out.back().match.*field).ranges = {r};
    }
}

} // namespace

std::vector<ListedValue> listed_values(const match::Match &m)
{
    std::vector<ListedValue> out;
    add(out, m, &match::Match::src, f_src, "saddr");
    add(out, m, &match::Match::dst, f_dst, "daddr");
    add(out, m, &match::Match::protocol, f_protocol, "protocol");
    add(out, m, &match::Match::sport, f_sport, "sport");
    add(out, m, &match::Match::dport, f_dport, "dport");
    add(out, m, &match::Match::vlan, f_vlan, "vlan");
    add(out, m, &match::Match::dscp, f_dscp, "dscp");
    add(out, m, &match::Match::length, f_length, "length");
    if (!m.in.negated && m.in.names.size() > 1)
        for (const auto &name : m.in.names) {
            out.push_back({"in " + name, f_in, m});
            out.back().match.in.names = {name};
        }
    return out;
}

} // namespace evnf::efw::analysis
