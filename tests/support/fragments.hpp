// SPDX-License-Identifier: GPL-2.0-or-later
// Cuts datagrams into fragments, as RFC 791 and RFC 8200 say.
#pragma once

#include "support/frame.hpp"

namespace evnf::test
{

// The fragments of a whole frame made by build(f), without padding; `cuts` are the offsets, in
// ascending order, of all but the first: multiples of eight, and less than the data's size.
inline std::vector<Bytes> fragments(const Frame &f, const Bytes &whole, std::uint32_t id,
                                    const std::vector<std::size_t> &cuts)
{
    const Layout at = layout(f);
    const bool six = whole[at.l3] >> 4 == 6;
    std::vector<Bytes> out;
    const auto set16 = [](Bytes &b, std::size_t where, std::size_t value) {
        b[where] = static_cast<std::uint8_t>(value >> 8);
        b[where + 1] = static_cast<std::uint8_t>(value);
    };
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t from = i ? cuts[i - 1] : 0;
        const std::size_t to = i < cuts.size() ? cuts[i] : at.end - at.l4;
        const bool more = i < cuts.size();
        Bytes b(whole.begin(), whole.begin() + static_cast<long>(at.l4));
        if (six) { // its number is in the last header before it
            std::size_t number = at.l3 + 6, start = at.l3 + 40;
            for (const auto &e : f.ext) {
                number = start;
                start += e.size;
            }
            b.insert(b.end(), {b[number], 0, 0, 0, static_cast<std::uint8_t>(id >> 24),
                               static_cast<std::uint8_t>(id >> 16),
                               static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id)});
            b[number] = 44;
            set16(b, at.l4 + 2, from | more);
        } else {
            set16(b, at.l3 + 4, id);
            set16(b, at.l3 + 6, from / 8 | (more ? 0x2000U : 0U));
        }
        b.insert(b.end(), whole.begin() + static_cast<long>(at.l4 + from),
                 whole.begin() + static_cast<long>(at.l4 + to));
        set16(b, at.l3 + (six ? 4 : 2), b.size() - at.l3 - (six ? 40 : 0));
        if (!six) {
            set16(b, at.l3 + 10, 0);
            set16(b, at.l3 + 10, plain_checksum(plain_sum(&b[at.l3], at.l4 - at.l3)));
        }
        out.push_back(std::move(b));
    }
    return out;
}

// Where to cut `size` bytes, of which the first fragment has at least `header`.
inline std::vector<std::size_t> random_cuts(Random &random, std::size_t header, std::size_t size)
{
    std::vector<std::size_t> out;
    for (std::size_t at = (header + 7) / 8 * 8; at < size;
         at += 8 * (1 + roll(random, static_cast<unsigned>(160 / (1 + roll(random, 12))))))
        if (!out.empty() || roll(random, 3) == 0)
            out.push_back(at);
    if (out.empty() && size > (header + 7) / 8 * 8)
        out.push_back((header + 7) / 8 * 8);
    return out;
}

// What is fragmented, put together again: the data after the IP header (IPv4) or the fragment
// header (IPv6) at `data`.
inline Bytes reassembled(const std::vector<Bytes> &parts, std::size_t l3, std::size_t data)
{
    const bool six = parts.at(0)[l3] >> 4 == 6;
    Bytes out;
    for (const auto &p : parts) {
        const std::size_t word = six ? data - 6 : l3 + 6;
        const std::size_t field = static_cast<std::size_t>(p[word]) << 8 | p[word + 1];
        const std::size_t offset = six ? field & 0xfff8 : (field & 0x1fff) * 8;
        out.resize(std::max(out.size(), offset + p.size() - data));
        std::copy(p.begin() + static_cast<long>(data), p.end(),
                  out.begin() + static_cast<long>(offset));
    }
    return out;
}

} // namespace evnf::test
