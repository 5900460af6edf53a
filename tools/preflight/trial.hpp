// SPDX-License-Identifier: GPL-2.0-or-later
// What is planned: which interfaces it needs, and whether this kernel takes it.
#pragma once

#include "base/result.hpp"
#include "tools/preflight/facts.hpp"

namespace evnf::preflight
{

// The chains of a checked document, and how its sections fit this host.
Result<> read_plan(const nlohmann::json &document, Facts &facts);

// Loads all that evnfd would load for it, without attaching anything, in a child process with a
// BPF file system of its own: whatever becomes of it, nothing is left. None without the privilege
// to do that.
std::optional<Trial> try_out(const nlohmann::json &document);

} // namespace evnf::preflight
