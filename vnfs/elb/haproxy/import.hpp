// SPDX-License-Identifier: GPL-2.0-or-later
// Services of elb that balance what frontends of HAProxy do, as far as that is balancing of
// TCP connections alone. All else stays with HAProxy, whose sockets get what no service of
// elb takes.
#pragma once

#include <nlohmann/json.hpp>

#include "vnfs/elb/haproxy/findings.hpp"
#include "vnfs/elb/haproxy/words.hpp"

namespace evnf::elb::haproxy
{

using json = nlohmann::json;

struct Import {
    json services = json::array(); // as elb's section has them
    struct Origin {
        Place place; // of the bind
        std::string proxy;
    };
    std::vector<Origin> origins; // of each service
    Findings findings;           // refused: what stays with HAProxy
};

// `name` is for errors, which say name:line:column. `addresses` are those that a bind to all
// is for.
Result<Import> import_services(const std::string &text, const std::string &name,
                               const std::vector<Address> &addresses);

} // namespace evnf::elb::haproxy
