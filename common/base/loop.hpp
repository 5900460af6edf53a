// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace evnf
{

// One thread, one epoll set. Everything the daemon waits for is a descriptor:
// signals, timers, netlink, the BPF ring buffer, calls from other threads.
class Loop
{
public:
    using Handler = std::function<Result<>()>;

    // A registration. Destroy it before closing the descriptor it names.
    class Watch
    {
    public:
        Watch() = default;
        Watch(Loop &loop, int fd) : loop_(&loop), fd_(fd) {}
        Watch(Watch &&o) noexcept : loop_(std::exchange(o.loop_, nullptr)), fd_(o.fd_) {}
        Watch &operator=(Watch &&o) noexcept
        {
            std::swap(loop_, o.loop_);
            std::swap(fd_, o.fd_);
            return *this;
        }
        ~Watch()
        {
            if (loop_)
                loop_->forget(fd_);
        }

    private:
        Loop *loop_ = nullptr;
        int fd_ = -1;
    };

    static Result<std::unique_ptr<Loop>> create();

    // Calls `on_readable` whenever `fd` is readable (level-triggered). An error that
    // it returns ends the loop: what was survivable it has handled itself.
    Result<Watch> watch(int fd, Handler on_readable);

    // Runs `job` on the loop's thread and waits for it; for other threads. False if
    // the loop has ended, and then the job has not run.
    bool call(std::function<void()> job);

    Result<> run();
    void stop() { running_ = false; }

private:
    struct Call;

    Loop(Fd epoll, Fd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
    void forget(int fd);
    void run_calls();
    void end_calls();

    Fd epoll_;
    Fd wake_; // eventfd: a call waits
    std::map<int, std::shared_ptr<Handler>> handlers_;
    Watch wake_watch_;
    bool running_ = true;

    std::mutex mutex_; // guards the two below
    std::vector<std::shared_ptr<Call>> calls_;
    bool ended_ = false;
};

// Blocks `signals` for the process and turns them into reads. Call it before any
// thread exists, or a thread will receive them the old way.
Result<Fd> signal_fd(std::initializer_list<int> signals);

// Readable every `every`; read_timer() makes it wait again.
Result<Fd> timer_fd(std::chrono::milliseconds every);
void read_timer(const Fd &timer);

} // namespace evnf
