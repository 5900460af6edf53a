// SPDX-License-Identifier: GPL-2.0-or-later
// What netfilter would say of packets: its rules here, as they are now, and a model of what it
// does with them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "vnfs/efw/offload/judge.hpp"
#include "vnfs/efw/packet.hpp"

namespace evnf::efw
{

class Netfilter
{
public:
    Netfilter(); // reads the live rules

    // judgement_json(), also if the rules cannot be read, and the route that the kernel has for
    // the packet, or the interface `out` instead.
    [[nodiscard]] nlohmann::json judge(const Packet &packet, const std::string &out) const;

private:
    std::optional<offload::Judge> judge_;
    std::string error_; // why not
};

} // namespace evnf::efw
