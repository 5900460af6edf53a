// SPDX-License-Identifier: GPL-2.0-or-later
// A TOML file as JSON, and the way back: where in the file each value stands.
#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace evnf::config
{

struct Position {
    std::size_t line = 0;   // from 1
    std::size_t column = 0; // from 1, in bytes
};

struct Document {
    nlohmann::json value; // null if made from no file
    std::string name;     // of the file, as given
    std::vector<std::string> lines;
    std::map<std::string, Position> positions; // by JSON pointer

    // Where the value at a JSON pointer stands, or the nearest parent that is there.
    [[nodiscard]] Position find(const std::string &pointer) const;
};

Result<Document> read_toml(std::string_view text, const std::string &name);
Result<Document> read_toml_file(const std::string &path);

// The error at its place, with the line and a caret under the word:
//   web.toml:12:14: 'dportt' is not a word of a rule
//     rules = ["tcp dportt 80 accept"]
//                   ^^^^^^
std::string explain(const Document &file, const Error &error);

// The line, and a second one with carets under `length` bytes from `offset`.
std::string underline(const std::string &line, std::size_t offset, std::size_t length);

} // namespace evnf::config
