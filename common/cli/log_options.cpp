// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/log_options.hpp"

#include <map>
#include <string>
#include <vector>

namespace evnf::cli
{

namespace
{

// An option whose value is one of a few words.
template <class T>
void add_choice(CLI::App &app, const char *option, T &value, const std::string &initial,
                const std::map<std::string, T> &words, const char *help)
{
    std::vector<std::string> known;
    for (const auto &[word, _] : words)
        known.push_back(word);
    app.add_option_function<std::string>(
           option, [&value, words](const std::string &word) { value = words.at(word); }, help)
        ->check(CLI::IsMember(known))
        ->default_str(initial);
}

} // namespace

void add_log_options(CLI::App &app, LogSettings &settings)
{
    add_choice<LogFormat>(
        app, "--log-format", settings.format, "auto",
        {{"auto", LogFormat::automatic},
         {"text", LogFormat::text},
         {"json", LogFormat::json_lines}},
        "How the log is written to stderr; auto: text, or with its fields to the journal if "
        "that is where stderr leads");
    add_choice<LogLevel>(
        app, "--log-level", settings.level, "info",
        {{"error", LogLevel::error}, {"warning", LogLevel::warning}, {"info", LogLevel::info}},
        "What is logged: this, and what is worse");
}

} // namespace evnf::cli
