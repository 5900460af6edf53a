// SPDX-License-Identifier: GPL-2.0-or-later
#include <regex.h>

#include <algorithm>
#include <cstdio>

#include "base/text.hpp"
#include "vnfs/elb/probe/probe.hpp"

namespace evnf::elb
{

namespace
{

// Compiled before, when the section was checked: a regex is good.
bool matches(const std::string &text, const std::string &regex)
{
    regex_t compiled;
    if (::regcomp(&compiled, regex.c_str(), REG_EXTENDED | REG_NOSUB))
        return false;
    const bool found = ::regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    ::regfree(&compiled);
    return found;
}

std::string duration(double seconds)
{
    char out[32];
    std::snprintf(out, sizeof out, "%.1f ms", seconds * 1000);
    return out;
}

} // namespace

Check judge(const HttpAnswer &answer, const HealthSettings &settings)
{
    if (!answer.error.empty())
        return {false, answer.error};
    const std::string took = " in " + duration(answer.seconds);
    if (settings.type == HealthSettings::Type::tcp)
        return {true, "connected" + took};
    const std::string status = "status " + std::to_string(answer.status);
    const bool wanted =
        std::any_of(settings.status.begin(), settings.status.end(), [&](const auto &range) {
            return answer.status >= static_cast<long>(range.first) &&
                   answer.status <= static_cast<long>(range.second);
        });
    if (!wanted)
        return {false, status + " is not one that is good"};
    if (answer.body.find(settings.body) == std::string::npos)
        return {false, status + ", but " + in_quotes(settings.body) + " is not in the body"};
    if (!settings.body_regex.empty() && !matches(answer.body, settings.body_regex))
        return {false,
                status + ", but " + in_quotes(settings.body_regex) + " does not match in the body"};
    return {true, status + took};
}

} // namespace evnf::elb
