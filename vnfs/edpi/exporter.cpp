// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/exporter.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "base/log.hpp"
#include "base/text.hpp"

namespace evnf::edpi
{

namespace
{

using namespace std::chrono_literals;

constexpr auto look_again = 1s; // for a file that was moved away, a listener that came

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

Result<Destination> Destination::parse(const std::string &text)
{
    if (text.empty())
        return Destination{};
    if (text == "stdout")
        return Destination{.kind = Kind::standard, .path = {}, .endpoint = {}};
    const auto colon = text.find(':');
    const std::string scheme = text.substr(0, colon);
    const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (scheme == "tcp") {
        auto endpoint = Endpoint::parse(rest);
        if (!endpoint)
            return bad_input(endpoint.error().what, "", colon + 1, rest.size());
        return Destination{.kind = Kind::tcp, .path = {}, .endpoint = *endpoint};
    }
    if (scheme != "file" && scheme != "unix")
        return bad_input(in_quotes(text) + " is no place for records: stdout, file:/PATH, "
                                           "unix:/PATH or tcp:ADDRESS:PORT",
                         "", 0, text.size());
    if (rest.empty() || rest[0] != '/')
        return bad_input("the path begins with /, as in " + scheme + ":/run/records", "",
                         scheme.size() + 1, rest.size());
    if (scheme == "unix" && rest.size() >= sizeof(sockaddr_un::sun_path))
        return bad_input("the path of a socket has at most " +
                             std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes",
                         "", scheme.size() + 1, rest.size());
    return Destination{
        .kind = scheme == "file" ? Kind::file : Kind::local, .path = rest, .endpoint = {}};
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
    fd_ = Fd(::socket(local ? AF_UNIX : v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
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
        return sys_error("connect to " + (local ? to_.path : to_.endpoint.text()) + " for records",
                         code);
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
    if (!begun_.empty())
        rest_ = begun_; // who listens now has not had its beginning
    complained_ = false;
    return true;
}

void Exporter::complain(const std::string &what)
{
    if (!std::exchange(complained_, true))
        log_error("edpi: " + what + ": records wait in the flow table");
}

bool Exporter::put(const nlohmann::json &record)
{
    if (to_.kind == Destination::Kind::none)
        return true;
    const std::string line = record.dump() + "\n";
    if (to_.kind == Destination::Kind::standard)
        return ::write(STDOUT_FILENO, line.data(), line.size()) ==
               static_cast<ssize_t>(line.size());
    if (Clock::now() - stalled_ < look_again || !ready())
        return false;
    return to_.kind == Destination::Kind::file ? write_file(line) : write_stream(line);
}

// All of it, or what was written is taken back.
bool Exporter::write_file(const std::string &line) const
{
    const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
    const ssize_t n = ::write(fd_.get(), line.data(), line.size());
    if (n == static_cast<ssize_t>(line.size()))
        return true;
    if (n > 0 && ::ftruncate(fd_.get(), end))
        log_error("edpi: " + to_.path + " has an unfinished line");
    return false;
}

bool Exporter::write_stream(std::string line)
{
    // A line that has begun must end before the next.
    for (bool own = false;; own = true) {
        while (!rest_.empty()) {
            const ssize_t n = ::send(fd_.get(), rest_.data(), rest_.size(), MSG_NOSIGNAL);
            if (n <= 0) {
                stalled_ = Clock::now();
                if (errno != EAGAIN && errno != EINTR) {
                    complain(sys_error("send records").message());
                    fd_ = Fd();
                }
                // Nobody has any of it: it is the caller's still.
                if (own && rest_.size() == begun_.size())
                    rest_.clear(), begun_.clear();
                return own && !begun_.empty();
            }
            rest_.erase(0, static_cast<std::size_t>(n));
        }
        begun_.clear();
        if (own)
            return true;
        begun_ = rest_ = std::move(line);
    }
}

} // namespace evnf::edpi
