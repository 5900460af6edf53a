// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/xsk.hpp"

#include <dirent.h>
#include <linux/if_xdp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include <cstring>
#include <filesystem>

#include "abi/copy.h"
#include "base/log.hpp"

namespace evnf
{

namespace
{

constexpr std::uint32_t frames = 4096; // of each socket
constexpr std::uint32_t frame_size = XSK_UMEM__DEFAULT_FRAME_SIZE;
constexpr std::uint32_t batch = 64;

unsigned receive_queues(const std::string &interface)
{
    unsigned n = 0;
    std::error_code ec;
    for (const auto &entry :
         std::filesystem::directory_iterator("/sys/class/net/" + interface + "/queues", ec))
        n += entry.path().filename().string().starts_with("rx-");
    return n ? n : 1;
}

} // namespace

// One AF_XDP socket with memory of its own. It only receives.
class XskPort::Socket
{
public:
    static Result<std::unique_ptr<Socket>> open(const std::string &interface, unsigned queue)
    {
        auto s = std::make_unique<Socket>();
        constexpr std::size_t bytes = std::size_t{frames} * frame_size;
        s->area_ =
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (s->area_ == MAP_FAILED)
            return sys_error("make room for packets");
        xsk_umem_config memory{};
        memory.fill_size = frames;
        memory.comp_size = 64; // never used: nothing is sent
        memory.frame_size = frame_size;
        if (int err =
                xsk_umem__create(&s->umem_, s->area_, bytes, &s->fill_, &s->complete_, &memory))
            return sys_error("register memory for AF_XDP", err);
        xsk_socket_config config{};
        config.rx_size = frames;
        config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD; // the root is there
        if (int err = xsk_socket__create(&s->xsk_, interface.c_str(), queue, s->umem_, &s->rx_,
                                         nullptr, &config))
            return sys_error("open an AF_XDP socket on queue " + std::to_string(queue) + " of " +
                                 interface,
                             err);
        std::uint32_t at = 0;
        if (xsk_ring_prod__reserve(&s->fill_, frames, &at) != frames)
            return sys_error("give AF_XDP its frames", ENOSPC);
        for (std::uint32_t i = 0; i < frames; ++i)
            *xsk_ring_prod__fill_addr(&s->fill_, at + i) = std::uint64_t{i} * frame_size;
        xsk_ring_prod__submit(&s->fill_, frames);
        return s;
    }

    Socket() = default;
    ~Socket()
    {
        if (xsk_)
            xsk_socket__delete(xsk_);
        if (umem_)
            xsk_umem__delete(umem_);
        if (area_ != MAP_FAILED)
            ::munmap(area_, std::size_t{frames} * frame_size);
    }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;

    [[nodiscard]] int fd() const { return xsk_socket__fd(xsk_); }

    void read(const Handler &handler)
    {
        std::uint32_t at = 0;
        const std::uint32_t n = xsk_ring_cons__peek(&rx_, batch, &at);
        std::uint32_t back = 0;
        if (n == 0 || xsk_ring_prod__reserve(&fill_, n, &back) != n)
            return; // there is room: what is filled was taken out before
        for (std::uint32_t i = 0; i < n; ++i) {
            const xdp_desc *d = xsk_ring_cons__rx_desc(&rx_, at + i);
            const auto *frame = static_cast<const std::uint8_t *>(
                xsk_umem__get_data(area_, xsk_umem__add_offset_to_addr(d->addr)));
            xsk_meta meta{};
            std::memcpy(&meta, frame - sizeof meta, sizeof meta);
            if (meta.place.magic == PLACE_META_MAGIC)
                handler(meta, {frame, d->len});
            *xsk_ring_prod__fill_addr(&fill_, back + i) = xsk_umem__extract_addr(d->addr);
        }
        xsk_ring_cons__release(&rx_, n);
        xsk_ring_prod__submit(&fill_, n);
    }

    [[nodiscard]] std::uint64_t lost() const
    {
        xdp_statistics s{};
        socklen_t size = sizeof s;
        if (::getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &s, &size))
            return 0;
        return s.rx_dropped + s.rx_ring_full + s.rx_fill_ring_empty_descs;
    }

private:
    void *area_ = MAP_FAILED;
    xsk_umem *umem_ = nullptr;
    xsk_socket *xsk_ = nullptr;
    xsk_ring_prod fill_{};
    xsk_ring_cons complete_{}, rx_{};
};

XskPort::XskPort(std::vector<std::unique_ptr<Socket>> sockets, Fd end, Handler handler)
    : sockets_(std::move(sockets)),
      end_(std::move(end)),
      handler_(std::move(handler))
{
}

Result<std::unique_ptr<XskPort>> XskPort::open(const std::string &interface, Handler handler)
{
    const unsigned queues = receive_queues(interface);
    if (queues > EXIT_QUEUES)
        return bad_input(interface + " has " + std::to_string(queues) +
                         " receive queues, exit = \"xsk\" serves " + std::to_string(EXIT_QUEUES) +
                         ": ethtool -L " + interface + " combined " + std::to_string(EXIT_QUEUES));
    std::vector<std::unique_ptr<Socket>> sockets;
    for (unsigned q = 0; q < queues; ++q) {
        auto s = Socket::open(interface, q);
        if (!s)
            return s.error();
        sockets.push_back(*std::move(s));
    }
    Fd end(::eventfd(0, EFD_CLOEXEC));
    if (!end)
        return sys_error("make an eventfd");
    std::unique_ptr<XskPort> port(
        new XskPort(std::move(sockets), std::move(end), std::move(handler)));
    port->thread_ = std::thread([p = port.get()] { p->run(); });
    ::pthread_setname_np(port->thread_.native_handle(), "evnf-xsk");
    return port;
}

XskPort::~XskPort()
{
    const std::uint64_t one = 1;
    if (::write(end_.get(), &one, sizeof one) != sizeof one)
        log_error("end AF_XDP", sys_error("write"));
    if (thread_.joinable())
        thread_.join();
}

Result<> XskPort::enter(const bpf::MapSet &maps, unsigned port) const
{
    auto xsks = maps.fd("exit_xsks");
    if (!xsks)
        return xsks.error();
    for (std::size_t q = 0; q < sockets_.size(); ++q) {
        const auto key = static_cast<__u32>(port * EXIT_QUEUES + q);
        const int fd = sockets_[q]->fd();
        if (bpf_map_update_elem(*xsks, &key, &fd, BPF_ANY))
            return sys_error("enter an AF_XDP socket");
    }
    return Unit{};
}

std::uint64_t XskPort::lost() const
{
    std::uint64_t n = 0;
    for (const auto &s : sockets_)
        n += s->lost();
    return n;
}

void XskPort::run()
{
    std::vector<pollfd> fds;
    for (const auto &s : sockets_)
        fds.push_back({s->fd(), POLLIN, 0});
    fds.push_back({end_.get(), POLLIN, 0});
    while (::poll(fds.data(), fds.size(), -1) >= 0 || errno == EINTR) {
        if (fds.back().revents)
            return;
        for (std::size_t i = 0; i < sockets_.size(); ++i)
            if (fds[i].revents)
                sockets_[i]->read(handler_);
    }
}

} // namespace evnf
