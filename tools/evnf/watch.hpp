// SPDX-License-Identifier: GPL-2.0-or-later
// evnf trace and evnf capture: packets as they pass.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.hpp"

namespace evnf::cli
{

// What the commands work with; given by `evnf`.
struct Watcher {
    std::function<bool()> as_json;
    std::function<Result<std::string>()> socket;
    std::function<void(const Error &error, const std::string &input)> fail;
};

void add_watch_commands(CLI::App &app, Watcher watcher);

} // namespace evnf::cli
