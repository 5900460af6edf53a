// SPDX-License-Identifier: GPL-2.0-or-later
// What ethtool(8) shows of an interface, asked of the kernel by ioctl.
#pragma once

#include "base/fd.hpp"
#include "tools/preflight/facts.hpp"

namespace evnf::preflight
{

class Ethtool
{
public:
    Ethtool();
    // Each without a value where the driver does not say.
    [[nodiscard]] std::string driver(const std::string &interface) const;
    [[nodiscard]] std::optional<Channels> channels(const std::string &interface) const;
    // Those that matter to XDP.
    [[nodiscard]] std::map<std::string, Offload> offloads(const std::string &interface) const;

private:
    bool ask(const std::string &interface, void *request) const;
    Fd socket_;
};

} // namespace evnf::preflight
