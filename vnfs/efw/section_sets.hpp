// SPDX-License-Identifier: GPL-2.0-or-later
// The sets that efw's section declares:
//   {"NAME": {"type": "addr"|"port"|"addr_port", "size": 65536}, …}
// It does not have their elements, of which there are too many, and which change
// without the rules. A "file" has those that they get when the section is applied: who
// applies it reads the file, not the daemon, which must not read whatever it is told to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "match/match.hpp"
#include "vnfs/efw/set_element.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::efw
{

struct DeclaredSet {
    static constexpr std::uint32_t default_size = 65536;
    static constexpr std::uint32_t max_size = 4 * 1024 * 1024;

    std::string name;
    SetType type;
    std::uint32_t size;   // the most elements it may have
    std::uint16_t number; // of its elements, see abi/match.h
};

// Makes what a section says of its sets canonical, and numbers them; `running` is the section
// in force, or null. Errors carry `where` within them.
Result<json> check_sets(const json &sets, const json &running);
// Of a checked section, by name.
std::vector<DeclaredSet> declared_sets(const json &section);
// Whether the sets that a match in `text` uses are declared, and of the right types.
Result<> check_uses(const match::Match &match, std::string_view text, const json &sets);
// As VnfType::diff, of two sections' sets.
std::vector<std::string> diff_sets(const json &from, const json &to);

} // namespace evnf::efw
