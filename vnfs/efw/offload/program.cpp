// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <csignal>

#include "base/fd.hpp"

extern char **environ;

namespace evnf::efw::offload
{

namespace
{

// Only so that one that hangs is found: a list of many rules takes long on a small, busy machine.
constexpr std::chrono::seconds patience(60);

struct Actions {
    Actions() { posix_spawn_file_actions_init(&raw); }
    Actions(const Actions &) = delete;
    Actions &operator=(const Actions &) = delete;
    ~Actions() { posix_spawn_file_actions_destroy(&raw); }
    posix_spawn_file_actions_t raw{};
};

// Reads both until they are closed. False: time is up.
bool read_all(std::array<Fd, 2> &from, std::array<std::string, 2> &to)
{
    const auto end = std::chrono::steady_clock::now() + patience;
    while (from[0] || from[1]) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        std::array<pollfd, 2> polls{pollfd{from[0] ? from[0].get() : -1, POLLIN, 0},
                                    pollfd{from[1] ? from[1].get() : -1, POLLIN, 0}};
        if (left.count() <= 0 || ::poll(polls.data(), 2, static_cast<int>(left.count())) == 0)
            return false;
        for (std::size_t i = 0; i < 2; ++i) {
            std::array<char, 65536> part{};
            if (!from[i] || polls[i].revents == 0)
                continue;
            const auto n = ::read(from[i].get(), part.data(), part.size());
            if (n > 0)
                to[i].append(part.data(), static_cast<std::size_t>(n));
            else if (n == 0 || errno != EINTR)
                from[i] = Fd();
        }
    }
    return true;
}

} // namespace

Result<std::string> run_program(const std::vector<std::string> &words)
{
    std::array<Fd, 2> ours, theirs; // its output, its complaints
    for (std::size_t i = 0; i < 2; ++i) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0)
            return sys_error("run " + words[0]);
        ours[i] = Fd(ends[0]);
        theirs[i] = Fd(ends[1]);
    }
    Actions actions;
    posix_spawn_file_actions_addopen(&actions.raw, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions.raw, theirs[0].get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions.raw, theirs[1].get(), STDERR_FILENO);
    std::vector<char *> argv;
    for (const auto &w : words)
        argv.push_back(const_cast<char *>(w.c_str()));
    argv.push_back(nullptr);
    pid_t pid = 0;
    if (const int e = ::posix_spawnp(&pid, argv[0], &actions.raw, nullptr, argv.data(), environ))
        return sys_error(e == ENOENT ? words[0] + " is not installed" : "run " + words[0], e);
    theirs = {};
    std::array<std::string, 2> texts;
    const bool in_time = read_all(ours, texts);
    if (!in_time)
        ::kill(pid, SIGKILL);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!in_time)
        return sys_error(words[0] + " did not end", ETIMEDOUT);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return bad_input(words[0] + " failed: " + texts[1].substr(0, 400));
    return std::move(texts[0]);
}

} // namespace evnf::efw::offload
