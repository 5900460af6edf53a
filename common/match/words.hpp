// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a text that matches packets, and what somebody probably meant by a wrong
// one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace evnf::match
{

struct Word {
    std::string text;   // without quotes
    std::size_t offset; // in bytes, with the quotes
    std::size_t length;
};

// A fault of one word.
inline Error at(const Word &word, std::string what)
{
    return bad_input(std::move(what), "", word.offset, word.length);
}

// A word of other firewalls for what ours calls otherwise.
struct Synonym {
    std::string_view theirs, ours;
};

// A word of other firewalls for which ours has no single other, and what to do.
struct Hint {
    std::string_view theirs, mend;
};

// What a kind of text is called, and what it may have besides the words of a match.
struct Language {
    std::string_view name; // "rule"
    std::span<const std::string_view> words = {};
    std::span<const Synonym> synonyms = {};
    std::span<const Hint> hints = {};
    std::string_view expected = {}; // ends the list of what there is to choose from
};

// By blanks, but for what stands between double quotes. Refused are control
// characters, quotes that do not end, and bytes that are not UTF-8.
Result<std::vector<Word>> split_words(std::string_view text, const Language &language);

// Whether it can name a set, or an owner of rules: a letter, and up to 62 letters, digits,
// _, - or .
bool is_name(std::string_view word);

// "@NAME" in a text that uses the set: the first, for an error about it.
Word set_in(std::string_view text, std::string_view name);

// The number of a protocol that is a word of its own, such as tcp.
std::optional<std::uint8_t> named_protocol(std::string_view word);

// For an unknown word: "did you mean dport?", or what there is to choose from.
std::string meant(std::string_view word, const Language &language);

} // namespace evnf::match
