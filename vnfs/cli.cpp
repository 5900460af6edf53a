// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/cli.hpp"

#include <algorithm>

namespace evnf::cli
{

namespace
{

std::vector<Verbs> &registered()
{
    static std::vector<Verbs> verbs;
    return verbs;
}

} // namespace

std::string table(const std::vector<std::vector<std::string>> &rows)
{
    std::vector<std::size_t> widths;
    for (const auto &row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i == widths.size())
                widths.push_back(0);
            widths[i] = std::max(widths[i], row[i].size());
        }
    std::string out;
    for (const auto &row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size())
                line.append(widths[i] - row[i].size() + 2, ' ');
        }
        out += line + "\n";
    }
    return out;
}

const std::vector<Verbs> &all_verbs()
{
    return registered();
}

VerbsRegistration::VerbsRegistration(Verbs verbs)
{
    auto &all = registered();
    auto at =
        std::find_if(all.begin(), all.end(), [&](const Verbs &v) { return v.vnf > verbs.vnf; });
    all.insert(at, std::move(verbs));
}

} // namespace evnf::cli
