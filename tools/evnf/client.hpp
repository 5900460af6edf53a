// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.hpp"

namespace evnf::cli
{

// The socket of the daemon that is meant: the one named, or the only one that runs.
Result<std::string> find_socket(const std::string &run_dir, const std::string &name);

// One call of the control API. Errors are the daemon's own, with their place, or say why
// there was no answer. A change may have to load programs, which takes a while.
Result<nlohmann::json> call_api(const std::string &socket, const std::string &method,
                                const std::string &path, const nlohmann::json &body,
                                std::chrono::seconds patience = std::chrono::seconds(60));

// As one word of a URL.
std::string encoded(const std::string &word);

// A GET whose answer is one JSON object to a line, without end: `take` gets each, and
// says whether it wants more.
Result<> stream_api(const std::string &socket, const std::string &path,
                    const std::function<bool(const nlohmann::json &)> &take,
                    const std::function<bool()> &begun = {});

} // namespace evnf::cli
