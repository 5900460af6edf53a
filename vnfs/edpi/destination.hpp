// SPDX-License-Identifier: GPL-2.0-or-later
// Where records go, as the configuration says it.
#pragma once

#include <string>

#include "base/net.hpp"
#include "base/result.hpp"

namespace evnf::edpi
{

// "stdout", "file:/PATH", "unix:/PATH", "tcp:ADDRESS:PORT": lines of JSON;
// "ipfix-udp:ADDRESS:PORT" or "ipfix-tcp:ADDRESS:PORT": IPFIX.
struct Destination {
    enum class Kind { none, standard, file, local, tcp, udp };

    Kind kind = Kind::none;
    bool ipfix = false;
    std::string path;  // of a file or a local socket
    Endpoint endpoint; // of TCP and UDP

    static Result<Destination> parse(const std::string &text);
    // For messages: the path or the address.
    [[nodiscard]] std::string text() const { return path.empty() ? endpoint.text() : path; }
};

} // namespace evnf::edpi
