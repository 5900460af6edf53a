// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "abi/place.h"
#include "base/bpf.hpp"

namespace evnf
{

// The AF_XDP sockets of one interface, one for each receive queue, and the thread that
// reads them. They outlast generations: an interface has them once.
class XskPort
{
public:
    // A packet, and what is known of it.
    using Handler = std::function<void(const xsk_meta &meta, std::span<const std::uint8_t> frame)>;

    static Result<std::unique_ptr<XskPort>> open(const std::string &interface, Handler handler);
    ~XskPort();
    XskPort(const XskPort &) = delete;
    XskPort &operator=(const XskPort &) = delete;

    // Lets programs send packets of interface number `port` here.
    Result<> enter(const bpf::MapSet &maps, unsigned port) const;
    // Packets that the kernel could not put into a socket's ring.
    [[nodiscard]] std::uint64_t lost() const;

private:
    class Socket;

    XskPort(std::vector<std::unique_ptr<Socket>> sockets, Fd end, Handler handler);
    void run();

    std::vector<std::unique_ptr<Socket>> sockets_; // by queue
    Fd end_;
    Handler handler_;
    std::thread thread_;
};

} // namespace evnf
