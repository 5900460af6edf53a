// SPDX-License-Identifier: GPL-2.0-or-later
// What the API's answers look like to people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace evnf::cli
{

std::string status_view(const nlohmann::json &status);
std::string chains_view(const nlohmann::json &chains);
std::string counters_view(const nlohmann::json &counters);
std::string changes_view(const nlohmann::json &reply);
std::string history_view(const nlohmann::json &history);
std::string good_view(const nlohmann::json &checked);

} // namespace evnf::cli
