// SPDX-License-Identifier: GPL-2.0-or-later
// What netfilter would say of a packet, as people read it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace evnf::efw
{

// Of what explain answers as "netfilter".
std::string netfilter_text(const nlohmann::json &judged);
// A rule of netfilter: its table and chain, number and text.
std::string origin_text(const nlohmann::json &origin);

} // namespace evnf::efw
