// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/set_file.hpp"

#include <fstream>
#include <iostream>

namespace evnf::efw
{

namespace
{

constexpr std::string_view blanks = " \t\r";

Result<std::vector<match_set_element>> read(std::istream &in, const std::string &name, SetType type)
{
    std::vector<match_set_element> out;
    std::string line;
    for (std::size_t number = 1; std::getline(in, line); ++number) {
        const std::string_view text = std::string_view(line).substr(0, line.find('#'));
        const auto first = text.find_first_not_of(blanks);
        if (first == text.npos)
            continue;
        auto e = parse_element(text.substr(first, text.find_last_not_of(blanks) + 1 - first), type);
        if (!e)
            return bad_input(name + ":" + std::to_string(number) + ":" + std::to_string(first + 1) +
                             ": " + e.error().what);
        out.push_back(*e);
    }
    if (in.bad())
        return sys_error("read " + name);
    return out;
}

} // namespace

Result<std::vector<match_set_element>> read_set_file(const std::string &path, SetType type)
{
    if (path == "-")
        return read(std::cin, "standard input", type);
    std::ifstream in(path);
    if (!in)
        return sys_error("read " + path);
    return read(in, path, type);
}

std::string set_file_text(const std::vector<match_set_element> &elements, SetType type)
{
    std::string out;
    for (const auto &e : elements)
        out += element_text(e, type) + "\n";
    return out;
}

} // namespace evnf::efw
