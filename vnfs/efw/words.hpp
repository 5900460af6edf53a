// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a rule's text, and what somebody probably meant by a wrong one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace evnf::efw
{

struct Word {
    std::string text;   // without quotes
    std::size_t offset; // in bytes, with the quotes
    std::size_t length;
};

// By blanks, but for what stands between double quotes. Refused are control
// characters, quotes that do not end, and bytes that are not UTF-8.
Result<std::vector<Word>> split_words(std::string_view text);

// The number of a protocol that is a word of its own, such as tcp.
std::optional<std::uint8_t> named_protocol(std::string_view word);

// For an unknown word: "did you mean dport?", or what there is to choose from.
std::string meant(std::string_view word);

} // namespace evnf::efw
