// SPDX-License-Identifier: GPL-2.0-or-later
// The adapter to Net-SNMP's agent library: a subagent of snmpd (AgentX, RFC 2741). What it
// has is the whole process's, so there is one.
#pragma once

#include <functional>
#include <string>

#include "base/result.hpp"
#include "tools/agentx/snapshot.hpp"

namespace evnf::agentx
{

struct AgentSettings {
    std::string socket;  // of snmpd, as its agentXSocket; empty: Net-SNMP's own
    std::string context; // empty: the default one
};

// Serves until `ended`, which a signal sets. A connection that is lost, or not there yet, is
// tried again for ever.
Result<> serve(const AgentSettings &settings, std::function<const Snapshot &()> objects,
               const std::function<bool()> &ended);

} // namespace evnf::agentx
