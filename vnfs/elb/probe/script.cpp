// SPDX-License-Identifier: GPL-2.0-or-later
#include <csignal>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.hpp"
#include "vnfs/elb/probe/probe.hpp"

namespace evnf::elb
{

namespace
{

constexpr unsigned nobody = 65534;
constexpr int cannot_run = 127; // as shells have it
constexpr int cannot_drop = 126;

std::vector<char *> pointers(const std::vector<std::string> &texts)
{
    std::vector<char *> out;
    for (const auto &t : texts)
        out.push_back(const_cast<char *>(t.c_str())); // execve() does not write to them
    out.push_back(nullptr);
    return out;
}

// In the child of a process with threads: only what is safe in a signal handler. Who may
// steer the balancer must not become root by it, so the program is nobody's.
[[noreturn]] void become(char *const *command, char *const *environment)
{
    ::setsid(); // all that it starts can be ended with it
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    std::signal(SIGPIPE, SIG_DFL);
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2})
        ::dup2(null, fd);
    ::close_range(3, ~0U, 0);
    if (::chdir("/") || ::setgroups(0, nullptr) || ::setresgid(nobody, nobody, nobody) ||
        ::setresuid(nobody, nobody, nobody) || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        ::_exit(cannot_drop);
    ::execve(command[0], command, environment);
    ::_exit(cannot_run);
}

Check outcome(const siginfo_t &info)
{
    if (info.si_code != CLD_EXITED)
        return {false, "the script was ended by signal " + std::to_string(info.si_status)};
    if (info.si_status == cannot_run)
        return {false, "exit code 127: the script cannot be run"};
    return {info.si_status == 0, "exit code " + std::to_string(info.si_status)};
}

} // namespace

struct ScriptProbes::Child {
    pid_t pid = -1;
    Fd pidfd;
    Time until{};
    Done done;

    Child() = default;
    Child(const Child &) = delete;
    ~Child()
    {
        if (pid <= 0)
            return;
        ::kill(-pid, SIGKILL); // the session that it leads, if it has come so far
        ::kill(pid, SIGKILL);
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
    }
};

ScriptProbes::ScriptProbes() = default;
ScriptProbes::~ScriptProbes() = default;

void ScriptProbes::start(const std::vector<std::string> &command,
                         const std::vector<std::string> &environment, double timeout, Done done)
{
    const auto argv = pointers(command);
    const auto env = pointers(environment);
    auto child = std::make_unique<Child>();
    child->pid = ::fork();
    if (child->pid == 0)
        become(argv.data(), env.data());
    if (child->pid > 0)
        child->pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, child->pid, 0)));
    if (!child->pidfd)
        return done({false, sys_error("start the script").message()});
    child->until =
        std::chrono::steady_clock::now() +
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(Seconds(timeout));
    child->done = std::move(done);
    children_.push_back(std::move(child));
}

void ScriptProbes::add_descriptors(std::vector<curl_waitfd> &all) const
{
    for (const auto &c : children_)
        all.push_back({c->pidfd.get(), CURL_WAIT_POLLIN, 0});
}

std::optional<Time> ScriptProbes::deadline() const
{
    std::optional<Time> first;
    for (const auto &c : children_)
        first = std::min(first.value_or(c->until), c->until);
    return first;
}

void ScriptProbes::run(Time now)
{
    std::vector<std::unique_ptr<Child>> running;
    std::vector<std::pair<Done, Check>> ended;
    for (auto &c : children_) {
        siginfo_t info{};
        const bool asked =
            ::waitid(P_PID, static_cast<id_t>(c->pid), &info, WEXITED | WNOHANG) == 0;
        if (asked && info.si_pid == 0 && now < c->until) {
            running.push_back(std::move(c));
        } else if (asked && info.si_pid == 0) {
            ended.emplace_back(std::move(c->done), Check{false, "the script takes too long"});
        } else {
            ::kill(-c->pid, SIGKILL); // what it may have left behind
            c->pid = -1;
            ended.emplace_back(std::move(c->done), outcome(info));
        }
    }
    children_ = std::move(running);
    for (const auto &[done, check] : ended)
        done(check);
}

} // namespace evnf::elb
