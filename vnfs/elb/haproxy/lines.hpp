// SPDX-License-Identifier: GPL-2.0-or-later
// A configuration of HAProxy as lines of words, with quotes and comments taken off.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf::elb::haproxy
{

struct Place {
    unsigned line = 0, column = 0; // from 1
    friend auto operator<=>(const Place &, const Place &) = default;
};

struct Word {
    std::string text;
    unsigned column = 0;
};

struct Line {
    unsigned number = 0;
    std::vector<Word> words; // at least one
    std::string text;        // as it is written

    [[nodiscard]] Place place(std::size_t word = 0) const { return {number, words[word].column}; }
    // The word, or nothing if there are not so many.
    [[nodiscard]] std::string word(std::size_t i) const
    {
        return i < words.size() ? words[i].text : "";
    }
};

// The lines that have words. `name` is for errors, which say name:line:column.
Result<std::vector<Line>> read_lines(const std::string &text, const std::string &name);

// The error that says where.
Error at(const std::string &name, Place place, const std::string &what);

} // namespace evnf::elb::haproxy
