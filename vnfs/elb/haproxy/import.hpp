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

struct ImportOptions {
    std::vector<Address> addresses; // what a bind to all is for
    bool unlimited = false;         // take servers without their limits of connections
};

// `name` is for errors, which say name:line:column.
Result<Import> import_services(const std::string &text, const std::string &name,
                               const ImportOptions &options);

} // namespace evnf::elb::haproxy
