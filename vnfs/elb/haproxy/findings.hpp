// SPDX-License-Identifier: GPL-2.0-or-later
// What is to be said of a configuration that is imported: why something stays with HAProxy,
// and what is different for what does not.
#pragma once

#include <string>
#include <vector>

#include "vnfs/elb/haproxy/lines.hpp"

namespace evnf::elb::haproxy
{

struct Finding {
    Place place;
    std::string proxy; // "frontend web"
    std::string text;  // the line, as it is written
    std::string what;
};

// Of one proxy, or one part of it: with a refusal it stays with HAProxy.
struct Findings {
    std::vector<Finding> refused, different;

    void refuse(const std::string &proxy, const Line &line, std::size_t word,
                const std::string &why)
    {
        refused.push_back({line.place(word), proxy, line.text, why});
    }
    void differ(const std::string &proxy, const Line &line, std::size_t word,
                const std::string &how)
    {
        different.push_back({line.place(word), proxy, line.text, how});
    }
};

} // namespace evnf::elb::haproxy
