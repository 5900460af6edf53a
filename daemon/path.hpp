// SPDX-License-Identifier: GPL-2.0-or-later
// The chain language, as text:
//
//   in(eth0) -> efw -> { tcp dport 80 -> web; otherwise -> out };
//   in(eth1) -> web;
//   web: elb -> out
//
//   chain     = statement { ";" statement }
//   statement = [ LABEL ":" ] path            a label names a path that others lead to
//   path      = element { "->" element }
//   element   = "in(" INTERFACE { "," INTERFACE } ")"         first, and only there
//             | STAGE [ "{" arms by the stage's outputs "}" ] | LABEL
//             | "{" arms by conditions, in an efw rule's words "}"
//             | "out" | "wire(" INTERFACE ")" | "hairpin" | "host" | "drop"   last
//   arms      = arm { ";" arm };  arm = ( CONDITION | "otherwise" ) "->" path
//
// This is the text's form alone; what the names mean is the graph's business.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace evnf::path
{

struct Span { // in the text
    std::size_t offset = 0;
    std::size_t length = 0;
};

struct Arm;

struct Element {
    enum class Kind { in, name, block, out, wire, hairpin, host, drop };
    Kind kind = Kind::name;
    Span at;
    std::string name;                    // of a stage or label; the interface of a wire
    std::vector<std::string> interfaces; // of in()
    std::vector<Arm> arms;               // of a block, or by the outputs of a stage
};
using Path = std::vector<Element>;

struct Arm {
    std::string condition; // empty: otherwise
    Span at;
    Path path;
};

struct Statement {
    std::string label; // empty: it starts with in()
    Span at;
    Path path;
};

// Errors carry offset and length of what is at fault within `text`.
Result<std::vector<Statement>> parse(std::string_view text);

// The one way to write it: parse(text_of(s)) is s, but for the places in the text.
std::string text_of(const std::vector<Statement> &statements);

// What a chain may be called; a stage's instance or a label, moreover, must not be a word
// of the language.
bool is_chain_name(std::string_view s);
bool is_name(std::string_view s);
constexpr const char *chain_name_rule = "a name is up to 32 letters, digits, '-' and '_'";
constexpr const char *name_rule = "a name is up to 32 letters, digits, '-' and '_', and no word of "
                                  "the chain language";

} // namespace evnf::path
