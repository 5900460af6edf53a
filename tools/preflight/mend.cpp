// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/mend.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/fd.hpp"

namespace evnf::preflight
{

namespace
{

// What it had to say, in one line.
std::string said(const Fd &from)
{
    std::string out;
    std::array<char, 512> part;
    for (ssize_t n = 0; (n = ::read(from.get(), part.data(), part.size())) > 0;)
        if (out.size() < part.size()) // the rest is read, for it to end
            out.append(part.data(), static_cast<std::size_t>(n));
    const auto end = out.find_last_not_of("\n ");
    out.resize(end == out.npos ? 0 : end + 1);
    for (char &c : out)
        c = c == '\n' ? ' ' : c;
    return out;
}

// Empty if it was done.
std::string run(const Command &command)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC))
        return std::strerror(errno);
    const Fd from(ends[0]);
    Fd to(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, to.get(), STDERR_FILENO);
    std::vector<char *> words;
    for (const auto &word : command)
        words.push_back(const_cast<char *>(word.c_str()));
    words.push_back(nullptr);
    pid_t pid = 0;
    const int err = ::posix_spawnp(&pid, words[0], &actions, nullptr, words.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    to = Fd();
    if (err == ENOENT)
        return command[0] + " is not installed";
    if (err)
        return std::strerror(err);
    const std::string text = said(from);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return "";
    return text.empty() ? command[0] + " failed" : text;
}

} // namespace

std::vector<Mended> mend(const std::vector<Finding> &findings)
{
    std::vector<Mended> out;
    for (const auto &f : findings) {
        if (!f.safe)
            continue;
        for (const auto &command : f.mend) {
            if (std::any_of(out.begin(), out.end(),
                            [&](const Mended &m) { return m.command == command; }))
                continue; // of another finding, too
            out.push_back({command, run(command)});
            if (!out.back().error.empty())
                break;
        }
    }
    return out;
}

} // namespace evnf::preflight
