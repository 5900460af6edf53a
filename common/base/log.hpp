// SPDX-License-Identifier: GPL-2.0-or-later
// The log of a program: each line is a message for people, with fields for programs. Lines go
// to stderr as text or JSON, or to the journal with the fields as its own (EVNF_SERVICE=…).
// Any thread may write.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace evnf
{

enum class LogLevel { error, warning, info };
enum class LogFormat {
    automatic, // the journal if that is what stderr leads to, text if not
    text,
    json_lines, // an object to a line
};

struct LogSettings {
    std::string program = "evnfd";
    std::string daemon = {}; // its name
    LogFormat format = LogFormat::automatic;
    LogLevel level = LogLevel::info; // and what is worse
};
// Before there are threads.
void set_log(LogSettings settings);

// Names are lower-case words, each with one meaning in the whole program.
using LogFields = std::vector<std::pair<std::string, std::string>>;

void log_info(const std::string &message, const LogFields &fields = {});
void log_warning(const std::string &message, const LogFields &fields = {});
void log_error(const std::string &message, const LogFields &fields = {});
// What was to be done, and why it was not: "detach from eth0: Device or resource busy".
void log_warning(const std::string &what, const Error &why, LogFields fields = {});
void log_error(const std::string &what, const Error &why, LogFields fields = {});

} // namespace evnf
