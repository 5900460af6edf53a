// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace evnf::cli
{

// Scripts for shells, which ask `evnf` itself what may come next.
std::string bash_completion();
std::string zsh_completion();

// What may follow `words` (without the program's name; the last is being typed): read
// from the tree of commands, so that it is never out of date.
std::vector<std::string> complete(const CLI::App &app, const std::vector<std::string> &words);

} // namespace evnf::cli
