// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

namespace evnf
{

namespace
{

LogSettings settings;
bool to_journal = false;

constexpr std::array words{"error", "warning", "info"};
constexpr std::array priorities{LOG_ERR, LOG_WARNING, LOG_INFO};

// systemd.exec(5): whoever has redirected stderr has left the variable as it was.
bool stderr_is_the_journal()
{
    const char *stream = std::getenv("JOURNAL_STREAM");
    struct stat at {
    };
    return stream && ::fstat(STDERR_FILENO, &at) == 0 &&
           std::to_string(at.st_dev) + ":" + std::to_string(at.st_ino) == stream;
}

std::string now_text()
{
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(
                            now - std::chrono::system_clock::from_time_t(seconds))
                            .count();
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    char date[32], out[48];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(out, sizeof out, "%s.%03dZ", date, static_cast<int>(millis));
    return out;
}

std::string text_line(LogLevel level, const std::string &message)
{
    const std::string word =
        level == LogLevel::info ? "" : std::string(words[static_cast<std::size_t>(level)]) + ": ";
    return settings.program + ": " + word + message;
}

std::string json_line(LogLevel level, const std::string &message, const LogFields &fields)
{
    nlohmann::ordered_json out{{"time", now_text()},
                               {"level", words[static_cast<std::size_t>(level)]},
                               {"program", settings.program},
                               {"daemon", settings.daemon},
                               {"message", message}};
    for (const auto &[name, value] : fields)
        out["fields"][name] = value;
    // What is no UTF-8 may come in from others.
    return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The journal's name of a field: it knows errors by number already.
std::string journal_name(const std::string &name)
{
    std::string out = name == "errno" ? "" : "EVNF_";
    for (const char c : name)
        out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return out;
}

bool write_to_journal(LogLevel level, const std::string &message, const LogFields &fields)
{
    std::vector<std::string> lines{
        "MESSAGE=" + message,
        "PRIORITY=" + std::to_string(priorities[static_cast<std::size_t>(level)]),
        "SYSLOG_IDENTIFIER=" + settings.program, "EVNF_DAEMON=" + settings.daemon};
    for (const auto &[name, value] : fields)
        lines.push_back(journal_name(name) + "=" + value);
    std::vector<iovec> parts;
    parts.reserve(lines.size());
    for (auto &line : lines)
        parts.push_back({line.data(), line.size()});
    return ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) >= 0;
}

void write_line(LogLevel level, const std::string &message, const LogFields &fields)
{
    if (level > settings.level)
        return;
    if (to_journal && write_to_journal(level, message, fields))
        return;
    const std::string out =
        (settings.format == LogFormat::json_lines ? json_line(level, message, fields)
                                                  : text_line(level, message)) +
        "\n";
    std::fputs(out.c_str(), stderr); // one write for each line: stderr is unbuffered
}

LogFields with_errno(const Error &why, LogFields fields)
{
    if (why.code)
        fields.emplace_back("errno", std::to_string(why.code));
    return fields;
}

} // namespace

void set_log(LogSettings given)
{
    settings = std::move(given);
    to_journal = settings.format == LogFormat::automatic && stderr_is_the_journal();
}

void log_info(const std::string &message, const LogFields &fields)
{
    write_line(LogLevel::info, message, fields);
}

void log_warning(const std::string &message, const LogFields &fields)
{
    write_line(LogLevel::warning, message, fields);
}

void log_error(const std::string &message, const LogFields &fields)
{
    write_line(LogLevel::error, message, fields);
}

void log_warning(const std::string &what, const Error &why, LogFields fields)
{
    log_warning(what + ": " + why.message(), with_errno(why, std::move(fields)));
}

void log_error(const std::string &what, const Error &why, LogFields fields)
{
    log_error(what + ": " + why.message(), with_errno(why, std::move(fields)));
}

} // namespace evnf
