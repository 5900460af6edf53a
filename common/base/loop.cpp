// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <future>

namespace evnf
{

struct Loop::Call {
    std::function<void()> job;
    std::promise<bool> done; // false: the loop ended first
};

Result<std::unique_ptr<Loop>> Loop::create()
{
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll)
        return sys_error("epoll_create1");
    Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake)
        return sys_error("eventfd");
    std::unique_ptr<Loop> loop(new Loop(std::move(epoll), std::move(wake)));
    auto watch = loop->watch(loop->wake_.get(), [l = loop.get()]() -> Result<> {
        l->run_calls();
        return Unit{};
    });
    if (!watch)
        return watch.error();
    loop->wake_watch_ = *std::move(watch);
    return loop;
}

Result<Loop::Watch> Loop::watch(int fd, Handler on_readable)
{
    epoll_event ev{};
    ev.events = EPOLLIN; // level-triggered: a handler may leave work behind
    ev.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &ev))
        return sys_error("epoll_ctl add");
    handlers_[fd] = std::make_shared<Handler>(std::move(on_readable));
    return Watch(*this, fd);
}

void Loop::forget(int fd)
{
    handlers_.erase(fd);
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

bool Loop::call(std::function<void()> job)
{
    auto one = std::make_shared<Call>();
    one->job = std::move(job);
    auto done = one->done.get_future();
    {
        const std::lock_guard lock(mutex_);
        if (ended_)
            return false;
        calls_.push_back(std::move(one));
    }
    const std::uint64_t n = 1;
    if (::write(wake_.get(), &n, sizeof n) < 0) {
        // EAGAIN only: the counter is full, so the loop has been woken already.
    }
    return done.get();
}

void Loop::run_calls()
{
    std::uint64_t n = 0;
    if (::read(wake_.get(), &n, sizeof n) < 0)
        return;
    std::vector<std::shared_ptr<Call>> calls;
    {
        const std::lock_guard lock(mutex_);
        calls.swap(calls_);
    }
    for (const auto &one : calls) {
        one->job();
        one->done.set_value(true);
    }
}

void Loop::end_calls()
{
    const std::lock_guard lock(mutex_);
    ended_ = true;
    for (const auto &one : calls_)
        one->done.set_value(false);
    calls_.clear();
}

Result<> Loop::run()
{
    Result<> result = Unit{};
    std::array<epoll_event, 16> ready;
    while (running_ && result) {
        const int n = ::epoll_wait(epoll_.get(), ready.data(), ready.size(), -1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            result = sys_error("epoll_wait");
        for (int i = 0; i < n && result; ++i) {
            auto it = handlers_.find(ready[static_cast<unsigned>(i)].data.fd);
            if (it == handlers_.end())
                continue;              // forgotten earlier in this batch
            auto handler = it->second; // survives its own removal
            result = (*handler)();
        }
    }
    end_calls();
    return result;
}

Result<Fd> signal_fd(std::initializer_list<int> signals)
{
    sigset_t set;
    sigemptyset(&set);
    for (int s : signals)
        sigaddset(&set, s);
    if (int e = ::pthread_sigmask(SIG_BLOCK, &set, nullptr))
        return sys_error("block signals", e);
    Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd)
        return sys_error("signalfd");
    return fd;
}

Result<Fd> timer_fd(std::chrono::milliseconds every)
{
    Fd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!fd)
        return sys_error("timerfd_create");
    itimerspec t{};
    t.it_value.tv_sec = t.it_interval.tv_sec = every.count() / 1000;
    t.it_value.tv_nsec = t.it_interval.tv_nsec = every.count() % 1000 * 1'000'000;
    if (::timerfd_settime(fd.get(), 0, &t, nullptr))
        return sys_error("timerfd_settime");
    return fd;
}

void read_timer(const Fd &timer)
{
    std::uint64_t missed = 0;
    if (::read(timer.get(), &missed, sizeof missed) < 0) {
        // EAGAIN: it has been read already.
    }
}

} // namespace evnf
