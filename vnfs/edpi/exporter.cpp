// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/exporter.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "base/log.hpp"

namespace evnf::edpi
{

namespace
{

using namespace std::chrono_literals;

constexpr auto look_again = 1s;  // for a file that was moved away, a listener that came
constexpr auto tell_again = 20s; // templates, to a collector that may have been started anew

bool is_stream(Destination::Kind kind)
{
    return kind == Destination::Kind::tcp || kind == Destination::Kind::local;
}

// A line that was begun when an evnfd was killed: its flow is exported again, whole.
Result<> cut_torn_line(int fd)
{
    struct stat info {
    };
    if (::fstat(fd, &info) || !S_ISREG(info.st_mode))
        return Unit{};
    char c = 0;
    off_t end = info.st_size;
    while (end > 0 && ::pread(fd, &c, 1, end - 1) == 1 && c != '\n')
        --end;
    if (end != info.st_size && ::ftruncate(fd, end))
        return sys_error("cut an unfinished line");
    return Unit{};
}

} // namespace

Exporter::Exporter(Destination to)
    : to_(std::move(to)),
      ipfix_(to_.ipfix ? std::make_unique<IpfixEncoder>() : nullptr),
      transit_(to_.kind == Destination::Kind::local)
{
}

Result<> Exporter::check()
{
    return to_.kind == Destination::Kind::file ? open_file() : Result<>(Unit{});
}

Result<> Exporter::open_file()
{
    fd_ = Fd(::open(to_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!fd_)
        return sys_error("open " + to_.path + " for records");
    looked_ = Clock::now();
    return cut_torn_line(fd_.get()).context(to_.path);
}

Result<> Exporter::connect()
{
    const bool local = to_.kind == Destination::Kind::local;
    const bool v4 = to_.endpoint.address.is_v4();
    const int type = to_.kind == Destination::Kind::udp ? SOCK_DGRAM : SOCK_STREAM;
    fd_ = Fd(::socket(local ? AF_UNIX : v4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
    if (!fd_)
        return sys_error("make a socket for records");
    const timeval patience{.tv_sec = 1, .tv_usec = 0}; // also of connect()
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_storage to{};
    socklen_t size = 0;
    if (local) {
        auto &un = reinterpret_cast<sockaddr_un &>(to);
        un.sun_family = AF_UNIX;
        std::memcpy(un.sun_path, to_.path.c_str(), to_.path.size() + 1);
        size = sizeof un;
    } else if (v4) {
        auto &in = reinterpret_cast<sockaddr_in &>(to);
        in.sin_family = AF_INET;
        in.sin_port = htons(to_.endpoint.port);
        in.sin_addr.s_addr = to_.endpoint.address.raw().w[3];
        size = sizeof in;
    } else {
        auto &in6 = reinterpret_cast<sockaddr_in6 &>(to);
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(to_.endpoint.port);
        std::memcpy(&in6.sin6_addr, to_.endpoint.address.raw().w, sizeof in6.sin6_addr);
        size = sizeof in6;
    }
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr *>(&to), size)) {
        const int code = errno;
        fd_ = Fd();
        return sys_error("connect to " + to_.text() + " for records", code);
    }
    return Unit{};
}

// What is at the destination's path may have been moved away, to begin a new file.
bool Exporter::ready()
{
    const auto now = Clock::now();
    const bool due = now - looked_ >= look_again;
    if (to_.kind == Destination::Kind::file && fd_ && due) {
        looked_ = now;
        struct stat open {
        };
        struct stat there {
        };
        if (::stat(to_.path.c_str(), &there) || ::fstat(fd_.get(), &open) ||
            open.st_ino != there.st_ino || open.st_dev != there.st_dev)
            fd_ = Fd();
    }
    if (fd_ && is_stream(to_.kind) && peer_has_gone())
        hang_up(to_.text() + " has hung up");
    if (fd_)
        return true;
    if (!due && looked_ != Clock::time_point{})
        return false;
    looked_ = now;
    auto opened = to_.kind == Destination::Kind::file ? open_file() : connect();
    if (!opened) {
        complain(opened.error().message());
        return false;
    }
    if (is_stream(to_.kind))
        begin_stream();
    complained_ = false;
    return true;
}

void Exporter::complain(const std::string &what)
{
    if (!std::exchange(complained_, true))
        log_error("edpi: " + what + ": records wait in the flow table", {{"vnf", "edpi"}});
}

// Who listens now has had nothing of it.
void Exporter::begin_stream()
{
    sequence_ = 0;
    rest_.clear();
    for (const auto &message : preamble())
        rest_ += message.bytes;
    stamp(begun_);
    sequence_ += begun_.records;
    rest_ += begun_.bytes;
    begun_size_ = rest_.size();
}

void Exporter::stamp(Message &message) const
{
    if (ipfix_ && !message.bytes.empty())
        message.set_sequence(sequence_);
}

Message Exporter::encode(const nlohmann::json &record) const
{
    return ipfix_ ? ipfix_->encode(record) : Message{record.dump() + "\n"};
}

std::vector<Message> Exporter::preamble()
{
    if (!ipfix_)
        return {};
    auto messages = ipfix_->preamble();
    for (auto &message : messages) {
        stamp(message);
        sequence_ += message.records;
    }
    return messages;
}

bool Exporter::put(const nlohmann::json &record)
{
    if (to_.kind == Destination::Kind::none)
        return true;
    if (to_.kind == Destination::Kind::standard) {
        const std::string line = encode(record).bytes;
        return ::write(STDOUT_FILENO, line.data(), line.size()) ==
               static_cast<ssize_t>(line.size());
    }
    if (Clock::now() - stalled_ < look_again || !ready())
        return false;
    Message message = encode(record);
    const std::uint32_t records = message.records;
    const bool taken = to_.kind == Destination::Kind::file  ? write_file(message.bytes)
                       : to_.kind == Destination::Kind::udp ? write_datagram(std::move(message))
                                                            : write_stream(std::move(message));
    if (taken && ipfix_) {
        ipfix_->taken();
        sequence_ += records;
    }
    return taken;
}

// All of it, or what was written is taken back.
bool Exporter::write_file(const std::string &line) const
{
    const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
    const ssize_t n = ::write(fd_.get(), line.data(), line.size());
    if (n == static_cast<ssize_t>(line.size()))
        return true;
    if (n > 0 && ::ftruncate(fd_.get(), end))
        log_error("edpi: " + to_.path + " has an unfinished line",
                  {{"vnf", "edpi"}, {"file", to_.path}});
    return false;
}

// Templates go out again from time to time, and after a refusal, which they find out before a
// record does.
bool Exporter::write_datagram(Message message)
{
    const auto send = [&](const Message &m) {
        return ::send(fd_.get(), m.bytes.data(), m.bytes.size(), MSG_DONTWAIT) >= 0;
    };
    bool all = true;
    if (Clock::now() - told_ > tell_again) {
        for (const auto &m : preamble())
            all = all && send(m);
        told_ = Clock::now();
    }
    stamp(message);
    if (all && send(message)) {
        if (std::exchange(under_way_, true))
            complained_ = false; // the one before has not been refused
        return true;
    }
    const int code = errno;
    stalled_ = Clock::now();
    told_ = {};
    // It is the datagram before that was refused; this one was not sent.
    lost_ += std::exchange(under_way_, false) && code == ECONNREFUSED;
    complain(sys_error("send records to " + to_.text(), code).message());
    return false;
}

bool Exporter::write_stream(Message message)
{
    // What has begun must end before the next.
    for (bool own = false;; own = true) {
        while (!rest_.empty()) {
            const ssize_t n = ::send(fd_.get(), rest_.data(), rest_.size(), MSG_NOSIGNAL);
            if (n <= 0) {
                const int code = errno;
                stalled_ = Clock::now();
                // Nobody has any of it: it is the caller's still.
                if (own && rest_.size() == begun_size_) {
                    rest_.clear();
                    begun_ = {};
                    begun_size_ = 0;
                }
                if (code != EAGAIN && code != EINTR)
                    hang_up(sys_error("send records to " + to_.text(), code).message());
                return own && !begun_.bytes.empty();
            }
            rest_.erase(0, static_cast<std::size_t>(n));
        }
        if (begun_size_)
            transit_.sent(fd_.get(), std::exchange(begun_size_, 0), !begun_.bytes.empty());
        begun_ = {};
        if (own)
            return true;
        begun_ = std::move(message);
        stamp(begun_);
        rest_ = begun_.bytes;
        begun_size_ = rest_.size();
    }
}

bool Exporter::peer_has_gone() const
{
    pollfd p{.fd = fd_.get(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&p, 1, 0) > 0;
}

// What it has begun to take goes, whole, to whom it is connected with next.
void Exporter::hang_up(const std::string &why)
{
    complain(why);
    lost_ += transit_.lost(fd_.get(), begun_size_ - rest_.size());
    fd_ = Fd();
}

} // namespace evnf::edpi
