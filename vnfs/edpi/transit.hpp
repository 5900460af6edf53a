// SPDX-License-Identifier: GPL-2.0-or-later
// What was sent on a stream and may not have arrived: how many records are lost with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace evnf::edpi
{

// By TCP what the other end's kernel has acknowledged has arrived. Of a local socket no more is
// known than whether all was read: then the loss is at most what is said.
class Transit
{
public:
    explicit Transit(bool local) : local_(local) {}

    // So many bytes were taken, with a record at their end or without.
    void sent(int fd, std::size_t bytes, bool record);
    // The connection is over, that had begun to take another `partly` bytes.
    std::uint64_t lost(int fd, std::size_t partly);

private:
    struct Piece {
        std::size_t bytes;
        bool record;
    };

    void forget_arrived(int fd);

    bool local_;
    std::deque<Piece> pieces_; // the oldest first
    std::size_t bytes_ = 0;    // of all
};

} // namespace evnf::edpi
