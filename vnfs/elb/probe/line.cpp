// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/fd.hpp"
#include "vnfs/elb/probe/probe.hpp"

namespace evnf::elb
{

namespace
{

constexpr std::size_t longest = 256;

Result<Fd> connect_to(const Endpoint &to)
{
    const bool v4 = to.address.is_v4();
    Fd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return sys_error("make a socket");
    sockaddr_storage storage{};
    socklen_t size = 0;
    const std::string text = to.address.text();
    if (v4) {
        auto &a = reinterpret_cast<sockaddr_in &>(storage);
        a.sin_family = AF_INET;
        a.sin_port = htons(to.port);
        ::inet_pton(AF_INET, text.c_str(), &a.sin_addr);
        size = sizeof a;
    } else {
        auto &a = reinterpret_cast<sockaddr_in6 &>(storage);
        a.sin6_family = AF_INET6;
        a.sin6_port = htons(to.port);
        ::inet_pton(AF_INET6, text.c_str(), &a.sin6_addr);
        size = sizeof a;
    }
    if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&storage), size) &&
        errno != EINPROGRESS)
        return sys_error("connect to " + to.text());
    return fd;
}

} // namespace

struct LineProbes::Connection {
    Fd fd;
    Endpoint to;
    Time until{};
    Done done;
    std::string text;

    // A line, or why there will be none; nothing yet.
    std::optional<Result<std::string>> read(Time now)
    {
        char buffer[longest];
        const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
        if (n > 0)
            text.append(buffer, static_cast<std::size_t>(n));
        const auto end = text.find_first_of("\r\n");
        if (end != text.npos || (n == 0 && !text.empty()))
            return text.substr(0, end);
        if (n == 0)
            return bad_input(to.text() + " closed without a line");
        if (text.size() > longest)
            return bad_input(to.text() + " says no line, but more than " + std::to_string(longest) +
                             " bytes");
        if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN)
            return sys_error("read from " + to.text());
        if (now >= until)
            return bad_input(to.text() + " says no line in time");
        return {};
    }
};

LineProbes::LineProbes() = default;
LineProbes::~LineProbes() = default;

void LineProbes::start(const Endpoint &to, double timeout, Done done)
{
    auto fd = connect_to(to);
    if (!fd)
        return done(fd.error());
    auto c = std::make_unique<Connection>();
    c->fd = *std::move(fd);
    c->to = to;
    c->until = std::chrono::steady_clock::now() +
               std::chrono::duration_cast<std::chrono::steady_clock::duration>(Seconds(timeout));
    c->done = std::move(done);
    connections_.push_back(std::move(c));
}

void LineProbes::add_descriptors(std::vector<curl_waitfd> &all) const
{
    for (const auto &c : connections_)
        all.push_back({c->fd.get(), CURL_WAIT_POLLIN, 0});
}

std::optional<Time> LineProbes::deadline() const
{
    std::optional<Time> first;
    for (const auto &c : connections_)
        first = std::min(first.value_or(c->until), c->until);
    return first;
}

void LineProbes::run(Time now)
{
    std::vector<std::unique_ptr<Connection>> waiting;
    std::vector<std::pair<Done, Result<std::string>>> ended;
    for (auto &c : connections_) {
        if (auto line = c->read(now))
            ended.emplace_back(std::move(c->done), *std::move(line));
        else
            waiting.push_back(std::move(c));
    }
    connections_ = std::move(waiting);
    for (const auto &[done, line] : ended)
        done(line);
}

} // namespace evnf::elb
