// SPDX-License-Identifier: GPL-2.0-or-later
// The vectors of a ruleset: which rules a value of a field does not exclude, stored once
// for each content. See abi/match.h for their layout.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "abi/match.h"

namespace evnf::match
{

// The cells of a ruleset as they are written, the layout's first, which has the number
// `layout`.
class Cells
{
public:
    explicit Cells(std::uint32_t layout = 0) : cells_(1), layout_(layout) {}

    // Appends bytes, filled with zeroes to whole cells; gives the first one's number.
    std::uint32_t add(std::span<const std::byte> bytes);
    template <class T>
    std::uint32_t add(const std::vector<T> &values)
    {
        return add(std::as_bytes(std::span(values)));
    }

    match_layout &layout() { return cells_.front().layout; }
    std::vector<match_cell> take() { return std::move(cells_); }

private:
    std::vector<match_cell> cells_;
    std::uint32_t layout_;
};

// A set of rules that changes while a field's values are passed in order.
class Vector
{
public:
    explicit Vector(std::size_t words) : words_(words), changed_(blocks_of(words), true) {}

    void set(std::size_t rule, bool to);
    void set_all(std::size_t rules); // those below

private:
    friend class Vectors;
    static std::size_t blocks_of(std::size_t words)
    {
        return (words + MATCH_BLOCK_WORDS - 1) / MATCH_BLOCK_WORDS;
    }
    std::vector<std::uint64_t> words_;
    std::vector<bool> changed_;       // blocks, since they were stored
    std::vector<std::uint32_t> cell_; // of each block
};

class Vectors
{
public:
    Vectors(Cells &cells, std::size_t words) : cells_(cells), words_(words) {}

    [[nodiscard]] Vector empty() const { return Vector(words_); }
    // The cell where the vector, as it is now, begins.
    std::uint32_t store(Vector &vector);

private:
    using Block = std::array<std::uint64_t, MATCH_BLOCK_WORDS>;
    struct Hash {
        std::size_t operator()(const Block &b) const;
    };

    Cells &cells_;
    std::size_t words_;
    std::unordered_map<Block, std::uint32_t, Hash> blocks_;
    std::unordered_map<std::string, std::uint32_t> vectors_; // by their bytes
};

} // namespace evnf::match
