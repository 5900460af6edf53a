// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.hpp"

#include <systemd/sd-daemon.h>

#include <cstdio>
#include <cstdlib>

namespace evnf
{

namespace
{

void write_line(const char *prefix, const char *word, const std::string &line)
{
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    const std::string out =
        (journal ? std::string(prefix) : "evnfd: " + std::string(word)) + line + "\n";
    std::fputs(out.c_str(), stderr); // one write for each line: stderr is unbuffered
}

} // namespace

void log_info(const std::string &line)
{
    write_line(SD_INFO, "", line);
}

void log_warning(const std::string &line)
{
    write_line(SD_WARNING, "warning: ", line);
}

void log_error(const std::string &line)
{
    write_line(SD_ERR, "error: ", line);
}

} // namespace evnf
