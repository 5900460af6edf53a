// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/transit.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace evnf::edpi
{

namespace
{

// More than the buffer of a socket holds.
constexpr std::size_t most_pieces = 1 << 16;

// TCP: not acknowledged. Local: zero if all was read, but also when the reader has gone.
std::size_t unacknowledged(int fd)
{
    int bytes = 0;
    return ::ioctl(fd, SIOCOUTQ, &bytes) || bytes < 0 ? 0 : static_cast<std::size_t>(bytes);
}

bool reader_left_some(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNRESET;
}

} // namespace

void Transit::sent(int fd, std::size_t bytes, bool record)
{
    forget_arrived(fd);
    pieces_.push_back({bytes, record});
    bytes_ += bytes;
    if (pieces_.size() > most_pieces) {
        bytes_ -= pieces_.front().bytes;
        pieces_.pop_front();
    }
}

void Transit::forget_arrived(int fd)
{
    const std::size_t away = unacknowledged(fd);
    if (local_ && away)
        return;
    while (!pieces_.empty() && bytes_ - pieces_.front().bytes >= away) {
        bytes_ -= pieces_.front().bytes;
        pieces_.pop_front();
    }
}

std::uint64_t Transit::lost(int fd, std::size_t partly)
{
    std::size_t away = local_ ? reader_left_some(fd) ? bytes_ : 0 : unacknowledged(fd);
    if (!local_)
        away -= away < partly ? away : partly;
    std::uint64_t out = 0;
    for (auto piece = pieces_.rbegin(); piece != pieces_.rend() && away; ++piece) {
        out += piece->record;
        away -= away < piece->bytes ? away : piece->bytes;
    }
    pieces_.clear();
    bytes_ = 0;
    return out;
}

} // namespace evnf::edpi
