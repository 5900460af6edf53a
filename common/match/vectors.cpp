// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/vectors.hpp"

#include <algorithm>
#include <cstring>

namespace evnf::match
{

std::uint32_t Cells::add(std::span<const std::byte> bytes)
{
    const std::size_t first = cells_.size();
    cells_.resize(first + (bytes.size() + sizeof(match_cell) - 1) / sizeof(match_cell));
    if (!bytes.empty())
        std::memcpy(&cells_[first], bytes.data(), bytes.size());
    return layout_ + static_cast<std::uint32_t>(first);
}

void Vector::set(std::size_t rule, bool to)
{
    const std::uint64_t bit = std::uint64_t{1} << rule % 64;
    auto &word = words_[rule / 64];
    word = to ? word | bit : word & ~bit;
    changed_[rule / 64 / MATCH_BLOCK_WORDS] = true;
}

void Vector::set_all(std::size_t rules)
{
    std::fill_n(words_.begin(), rules / 64, ~std::uint64_t{0});
    if (rules % 64)
        words_[rules / 64] |= ~(~std::uint64_t{0} << rules % 64);
    std::fill(changed_.begin(), changed_.end(), true);
}

std::size_t Vectors::Hash::operator()(const Block &b) const
{
    return std::hash<std::string_view>()({reinterpret_cast<const char *>(b.data()), sizeof(Block)});
}

std::uint32_t Vectors::store(Vector &vector)
{
    const auto &words = vector.words_;
    vector.cell_.resize(vector.changed_.size());
    for (std::size_t i = 0; i < vector.changed_.size(); ++i) {
        if (!vector.changed_[i])
            continue;
        Block block{};
        for (std::size_t w = 0; w < MATCH_BLOCK_WORDS && i * MATCH_BLOCK_WORDS + w < words_; ++w)
            block[w] = words[i * MATCH_BLOCK_WORDS + w];
        auto [it, fresh] = blocks_.try_emplace(block);
        if (fresh)
            it->second = cells_.add(std::as_bytes(std::span(block)));
        vector.cell_[i] = it->second;
        vector.changed_[i] = false;
    }

    std::vector<std::uint64_t> summary((words_ + 63) / 64);
    for (std::size_t w = 0; w < words_; ++w)
        if (words[w])
            summary[w / 64] |= std::uint64_t{1} << w % 64;
    std::string bytes(reinterpret_cast<const char *>(summary.data()), summary.size() * 8);
    bytes.append(reinterpret_cast<const char *>(vector.cell_.data()), vector.cell_.size() * 4);
    auto [it, fresh] = vectors_.try_emplace(std::move(bytes));
    if (fresh)
        it->second = cells_.add(std::as_bytes(std::span(it->first)));
    return it->second;
}

} // namespace evnf::match
