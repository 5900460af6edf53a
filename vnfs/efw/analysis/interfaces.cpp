// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/interfaces.hpp"

#include <algorithm>
#include <string_view>

namespace evnf::efw::analysis
{

namespace
{

constexpr std::size_t max_name = 15; // IFNAMSIZ without its zero
constexpr std::string_view next_letters = "0123456789abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.@!#$%&()+,;<=>?[]^{|}~";

bool is_prefix(const std::string &asked)
{
    return asked.ends_with('*');
}

} // namespace

void Interfaces::cut(const match::Interfaces &asked)
{
    asked_.insert(asked_.end(), asked.names.begin(), asked.names.end());
}

std::string Interfaces::fresh(const std::string &prefix) const
{
    const auto known = [&](const std::string &name) {
        return std::any_of(asked_.begin(), asked_.end(), [&](const std::string &a) {
            const auto longer = a.substr(0, a.size() - 1);
            return is_prefix(a) ? longer.size() > prefix.size() && name.starts_with(longer)
                                : a == name;
        });
    };
    if (prefix.size() < max_name)
        for (const char letter : next_letters)
            if (const std::string name = prefix + letter; !known(name))
                return name;
    return known(prefix) ? std::string() : prefix;
}

void Interfaces::number()
{
    std::sort(asked_.begin(), asked_.end());
    asked_.erase(std::unique(asked_.begin(), asked_.end()), asked_.end());
    names_ = {""};
    for (const auto &a : asked_)
        names_.push_back(is_prefix(a) ? fresh(a.substr(0, a.size() - 1)) : a);
    std::sort(names_.begin(), names_.end());
    names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
}

Set Interfaces::whole() const
{
    return {{0, static_cast<Class>(names_.size() - 1)}};
}

Set Interfaces::of(const match::Interfaces &asked) const
{
    Set out;
    for (Class c = 0; c < names_.size(); ++c)
        if (asked.allows(names_[c]))
            out.push_back({c, c});
    return match::normalized(std::move(out));
}

const std::string &Interfaces::value(const Set &set) const
{
    return names_[set.front().first];
}

} // namespace evnf::efw::analysis
