// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/judge.hpp"

#include <algorithm>
#include <array>

namespace evnf::preflight
{

namespace
{

Wanted wanted_of(const std::string &interface, const std::vector<ChainFacts> &chains)
{
    Wanted w;
    for (const auto &chain : chains) {
        const auto has = [&](const std::vector<std::string> &names) {
            return std::find(names.begin(), names.end(), interface) != names.end();
        };
        if (has(chain.receives)) {
            w.receives = true;
            w.generic = chain.generic;
            w.routes = w.routes || chain.routes;
        }
        w.sends = w.sends || has(chain.sends);
    }
    return w;
}

} // namespace

std::string text_of(const Command &command)
{
    static constexpr std::string_view plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:@%+,";
    std::string out;
    for (const auto &word : command) {
        out += out.empty() ? "" : " ";
        if (!word.empty() && word.find_first_not_of(plain) == word.npos) {
            out += word;
            continue;
        }
        out += '\'';
        for (const char c : word)
            out += c == '\'' ? std::string("'\\''") : std::string(1, c);
        out += '\'';
    }
    return out;
}

std::string text_of(Level level)
{
    static constexpr std::array names{"ok", "note", "warning", "error"};
    return names[static_cast<std::size_t>(level)];
}

std::vector<Finding> judge(const Facts &facts)
{
    std::vector<Finding> out = judge_host(facts.host);
    const auto take = [&](std::vector<Finding> &&more) {
        out.insert(out.end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
    };
    for (const auto &interface : facts.interfaces)
        take(judge_interface(interface, wanted_of(interface.name, facts.chains), facts));
    take(judge_chains(facts));
    return out;
}

} // namespace evnf::preflight
