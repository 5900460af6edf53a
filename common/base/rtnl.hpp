// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's links, routes and neighbours, by rtnetlink(7).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/net.hpp"
#include "base/result.hpp"

struct mnl_socket;

namespace evnf
{

using Mac = std::array<std::uint8_t, 6>;

struct Link {
    unsigned ifindex = 0;
    std::string name;
    Mac mac{};
    std::uint32_t mtu = 0;
    bool up = false;
    bool loopback = false;
    bool ethernet = false; // frames have an Ethernet header
    friend bool operator==(const Link &, const Link &) = default;
};

// Where the kernel sends a packet for a destination.
struct RouteAnswer {
    // other: local, blackhole, …
    enum class Kind { unicast, broadcast, other } kind = Kind::other;
    unsigned ifindex = 0;
    std::optional<Address> gateway; // none: the destination is on the link
    std::uint32_t mtu = 0;          // 0: the link's
    bool multipath = false;         // the kernel chooses by flow
};

// A packet that comes in by an interface; ports as far as it has them.
struct Arriving {
    Address src, dst;
    unsigned ifindex = 0;
    std::uint8_t protocol = 0, tos = 0;
    std::uint16_t sport = 0, dport = 0;
};

struct Neighbour {
    bool valid = false; // it has a link-layer address that the kernel would use
    Mac mac{};
};

// A setting of an interface, /proc/sys/net/FAMILY/conf/INTERFACE/NAME, with family "ipv4"
// or "ipv6"; 0 if it cannot be read.
int interface_setting(const std::string &family, const std::string &interface,
                      const std::string &name);

// Asks the kernel. One request at a time; each takes microseconds.
class Rtnl
{
public:
    static Result<Rtnl> open();

    Result<std::vector<Link>> links();
    Result<RouteAnswer> route_to(const Address &destination);
    // As the kernel routes what it receives: rp_filter and ip-rule(8) have their say. It
    // answers what has no way with an error.
    Result<RouteAnswer> route_of(const Arriving &packet);
    Result<Neighbour> neighbour(unsigned ifindex, const Address &address);
    // Makes the kernel confirm or resolve a neighbour, as if a packet were waiting.
    Result<> probe(unsigned ifindex, const Address &address);
    // Whether routing depends on more than the destination (ip-rule(8)).
    Result<bool> has_policy_rules();

private:
    struct Close {
        void operator()(mnl_socket *s) const;
    };
    using Socket = std::unique_ptr<mnl_socket, Close>;

    explicit Rtnl(Socket socket) : socket_(std::move(socket)) {}
    Result<RouteAnswer> route(const Address &destination,
                              const std::function<void(void *request)> &complete);
    Result<> exchange(void *request, const std::function<void(const void *)> &on_message);

    Socket socket_;
    std::uint32_t sequence_ = 0;
};

// What changes, told on a descriptor.
class RtnlMonitor
{
public:
    struct Handlers {
        std::function<void(unsigned ifindex, const Address &)> neighbour;
        std::function<void()> routing; // a route, address, rule, link or setting changed
        std::function<void()> lost;    // the kernel dropped news: assume anything changed
    };

    static Result<RtnlMonitor> open();
    [[nodiscard]] int fd() const;
    // Reads all that is waiting.
    Result<> read(const Handlers &handlers);

private:
    struct Close {
        void operator()(mnl_socket *s) const;
    };
    explicit RtnlMonitor(std::unique_ptr<mnl_socket, Close> s) : socket_(std::move(s)) {}
    std::unique_ptr<mnl_socket, Close> socket_;
};

} // namespace evnf
