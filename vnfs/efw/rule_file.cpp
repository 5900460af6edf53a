// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/rule_file.hpp"

#include <algorithm>
#include <fstream>

namespace evnf::efw
{

namespace
{

std::string without_comment(const std::string &line)
{
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '"')
            quoted = !quoted;
        if (line[i] == '#' && !quoted)
            return line.substr(0, i);
    }
    return line;
}

} // namespace

Result<std::vector<FileRule>> read_rule_file(const std::string &path)
{
    std::ifstream in(path);
    if (!in)
        return sys_error("read " + path);
    std::vector<FileRule> out;
    std::string line;
    for (std::size_t number = 1; std::getline(in, line); ++number) {
        std::string text = without_comment(line);
        text.erase(text.find_last_not_of(" \t\r") + 1);
        if (text.find_first_not_of(" \t") != text.npos)
            out.push_back({number, std::move(text)});
    }
    if (in.bad())
        return sys_error("read " + path);
    return out;
}

Error in_file(const std::string &path, const FileRule &rule, Error error)
{
    error.length = std::max<std::size_t>(error.length, 1); // what is missing is missing there
    error.what = path + ":" + std::to_string(rule.line) + ":" + std::to_string(error.offset + 1) +
                 ": " + error.what;
    return error;
}

} // namespace evnf::efw
