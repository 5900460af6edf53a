// SPDX-License-Identifier: GPL-2.0-or-later
// Pages of the manual, out of the same commands and options that a program reads its words by.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace evnf::cli
{

// The pages that a command line makes: its own, as "evnf", and one for each of its commands, as
// "evnf-chain".
std::vector<std::string> manual_pages(const CLI::App &app);

// One of them for man(1), in `section` such as "1"; empty if there is no such page.
std::string manual_page(const CLI::App &app, const std::string &page, const std::string &section);

} // namespace evnf::cli
