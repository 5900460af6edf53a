// SPDX-License-Identifier: GPL-2.0-or-later
// The proxies of a configuration of HAProxy, each with the directives that count for it:
// first those of its defaults, then its own.
#pragma once

#include <string>
#include <vector>

#include "vnfs/elb/haproxy/lines.hpp"

namespace evnf::elb::haproxy
{

struct Directive {
    Line line;              // without "no" before it
    bool no = false;        // "no option …"
    bool inherited = false; // of the defaults
};

struct Proxy {
    enum class Kind { frontend, backend, listen };
    Kind kind = Kind::listen;
    std::string name;
    Line line; // of its heading
    std::vector<Directive> directives;

    [[nodiscard]] std::string text() const; // "frontend web"
    // The last that says so, as HAProxy takes it; null if none does. "no …" takes it back.
    [[nodiscard]] const Directive *last(const std::string &word,
                                        const std::string &second = {}) const;
};

// Whether this is one of the options that say how servers are checked.
bool is_check_option(const std::string &word);

Result<std::vector<Proxy>> read_proxies(const std::string &text, const std::string &name);

} // namespace evnf::elb::haproxy
