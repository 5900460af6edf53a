// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/rtnl.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <fstream>

#include "base/attributes.hpp"

namespace evnf
{

namespace
{

constexpr std::size_t buffer_size = 32768; // what the kernel fills a dump with at most

using Buffer = std::array<char, buffer_size>;

int kernel_family(const Address &a)
{
    return a.is_v4() ? AF_INET : AF_INET6;
}

void put_address(nlmsghdr *h, std::uint16_t type, const Address &a)
{
    if (a.is_v4())
        mnl_attr_put(h, type, 4, &a.raw().w[3]);
    else
        mnl_attr_put(h, type, 16, &a.raw());
}

std::optional<Address> read_address(const void *bytes, std::size_t size)
{
    ip_addr raw{};
    if (size == 4) {
        raw.w[2] = htonl(0xffff);
        std::memcpy(&raw.w[3], bytes, 4);
    } else if (size == 16) {
        std::memcpy(&raw, bytes, 16);
    } else {
        return std::nullopt;
    }
    return Address(raw);
}

std::optional<Address> read_address(const nlattr *a)
{
    return a ? read_address(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a)) : std::nullopt;
}

template <class T>
T *request(Buffer &buffer, std::uint16_t type, std::uint16_t flags)
{
    nlmsghdr *h = mnl_nlmsg_put_header(buffer.data());
    h->nlmsg_type = type;
    h->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    return static_cast<T *>(mnl_nlmsg_put_extra_header(h, sizeof(T)));
}

const nlmsghdr *header_of(const void *message)
{
    return static_cast<const nlmsghdr *>(message);
}

RouteAnswer read_route(const nlmsghdr *h)
{
    const auto *rt = static_cast<const rtmsg *>(mnl_nlmsg_get_payload(h));
    const Attributes<RTA_MAX + 1> attr(h, sizeof *rt);
    RouteAnswer r;
    if (rt->rtm_type == RTN_UNICAST)
        r.kind = RouteAnswer::Kind::unicast;
    if (rt->rtm_type == RTN_BROADCAST)
        r.kind = RouteAnswer::Kind::broadcast;
    r.ifindex = attr.u32(RTA_OIF);
    r.gateway = read_address(attr[RTA_GATEWAY]);
    if (const auto *via = attr[RTA_VIA]; via && mnl_attr_get_payload_len(via) > sizeof(rtvia)) {
        const auto *v = static_cast<const rtvia *>(mnl_attr_get_payload(via));
        r.gateway = read_address(v->rtvia_addr, mnl_attr_get_payload_len(via) - sizeof *v);
    }
    r.multipath = attr[RTA_MULTIPATH] != nullptr;
    if (attr[RTA_METRICS])
        r.mtu = Attributes<RTAX_MAX + 1>(attr[RTA_METRICS]).u32(RTAX_MTU);
    return r;
}

} // namespace

int interface_setting(const std::string &family, const std::string &interface,
                      const std::string &name)
{
    std::ifstream in("/proc/sys/net/" + family + "/conf/" + interface + "/" + name);
    int value = 0;
    return in >> value ? value : 0;
}

void Rtnl::Close::operator()(mnl_socket *s) const
{
    mnl_socket_close(s);
}

void RtnlMonitor::Close::operator()(mnl_socket *s) const
{
    mnl_socket_close(s);
}

Result<Rtnl> Rtnl::open()
{
    Socket s(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
    if (!s || mnl_socket_bind(s.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return sys_error("open rtnetlink");
    return Rtnl(std::move(s));
}

// Sends one request and passes each message of the answer on. The kernel's refusal
// comes back as an error.
Result<> Rtnl::exchange(void *message, const std::function<void(const void *)> &on_message)
{
    auto *h = static_cast<nlmsghdr *>(message);
    h->nlmsg_seq = ++sequence_;
    const bool many = (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    const bool ack_only = (h->nlmsg_flags & NLM_F_ACK) != 0;
    if (mnl_socket_sendto(socket_.get(), h, h->nlmsg_len) < 0)
        return sys_error("send to rtnetlink");
    Buffer answer;
    for (bool more = true; more;) {
        const ssize_t got = mnl_socket_recvfrom(socket_.get(), answer.data(), answer.size());
        if (got < 0)
            return sys_error("receive from rtnetlink");
        int left = static_cast<int>(got);
        for (auto *m = reinterpret_cast<nlmsghdr *>(answer.data()); mnl_nlmsg_ok(m, left);
             m = mnl_nlmsg_next(m, &left)) {
            if (m->nlmsg_seq != sequence_)
                continue; // the end of an answer that was given up
            if (m->nlmsg_type == NLMSG_ERROR) {
                const auto *e = static_cast<const nlmsgerr *>(mnl_nlmsg_get_payload(m));
                if (e->error)
                    return sys_error("rtnetlink", e->error);
                return Unit{};
            }
            if (m->nlmsg_type == NLMSG_DONE)
                return Unit{};
            on_message(m);
            more = many || ack_only;
        }
    }
    return Unit{};
}

Result<std::vector<Link>> Rtnl::links()
{
    Buffer buffer;
    request<ifinfomsg>(buffer, RTM_GETLINK, NLM_F_DUMP);
    std::vector<Link> out;
    auto r = exchange(buffer.data(), [&](const void *message) {
        const auto *h = header_of(message);
        const auto *info = static_cast<const ifinfomsg *>(mnl_nlmsg_get_payload(h));
        const Attributes<IFLA_MAX + 1> attr(h, sizeof *info);
        Link link;
        link.ifindex = static_cast<unsigned>(info->ifi_index);
        if (attr[IFLA_IFNAME])
            link.name = mnl_attr_get_str(attr[IFLA_IFNAME]);
        if (const auto *a = attr[IFLA_ADDRESS]; a && mnl_attr_get_payload_len(a) == 6)
            std::memcpy(link.mac.data(), mnl_attr_get_payload(a), 6);
        link.mtu = attr.u32(IFLA_MTU);
        link.up = (info->ifi_flags & IFF_UP) != 0;
        link.loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
        link.ethernet = info->ifi_type == ARPHRD_ETHER;
        out.push_back(std::move(link));
    });
    if (!r)
        return std::move(r).context("list interfaces").error();
    return out;
}

Result<RouteAnswer> Rtnl::route_to(const Address &destination)
{
    return route(destination, [](void *) {});
}

Result<RouteAnswer> Rtnl::route_of(const Arriving &packet)
{
    return route(packet.dst, [&](void *request) {
        auto *h = static_cast<nlmsghdr *>(request);
        auto *rt = static_cast<rtmsg *>(mnl_nlmsg_get_payload(h));
        rt->rtm_src_len = packet.src.is_v4() ? 32 : 128;
        rt->rtm_tos = packet.tos;
        put_address(h, RTA_SRC, packet.src);
        mnl_attr_put_u32(h, RTA_IIF, packet.ifindex);
        const bool ports = packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP;
        const int icmp = packet.dst.is_v4() ? +IPPROTO_ICMP : +IPPROTO_ICMPV6;
        if (ports || packet.protocol == icmp) // the kernel takes no others
            mnl_attr_put_u8(h, RTA_IP_PROTO, packet.protocol);
        if (!ports)
            return;
        mnl_attr_put_u16(h, RTA_SPORT, htons(packet.sport));
        mnl_attr_put_u16(h, RTA_DPORT, htons(packet.dport));
    });
}

Result<RouteAnswer> Rtnl::route(const Address &destination,
                                const std::function<void(void *request)> &complete)
{
    RouteAnswer answer;
    // The route as it is used, with what path MTU discovery has learned; then the
    // route as it is configured, which alone shows that there are several ways.
    for (const unsigned flags : {0U, static_cast<unsigned>(RTM_F_FIB_MATCH)}) {
        Buffer buffer;
        auto *rt = request<rtmsg>(buffer, RTM_GETROUTE, 0);
        rt->rtm_family = static_cast<unsigned char>(kernel_family(destination));
        rt->rtm_dst_len = destination.is_v4() ? 32 : 128;
        rt->rtm_flags = flags;
        put_address(reinterpret_cast<nlmsghdr *>(buffer.data()), RTA_DST, destination);
        complete(buffer.data());
        auto r = exchange(buffer.data(), [&](const void *message) {
            const RouteAnswer one = read_route(header_of(message));
            if (flags)
                answer.multipath = one.multipath;
            else
                answer = one;
        });
        if (!r && !flags)
            return r.error();
        if (answer.kind != RouteAnswer::Kind::unicast)
            break;
    }
    return answer;
}

Result<Neighbour> Rtnl::neighbour(unsigned ifindex, const Address &address)
{
    Buffer buffer;
    auto *nd = request<ndmsg>(buffer, RTM_GETNEIGH, 0);
    nd->ndm_family = static_cast<unsigned char>(kernel_family(address));
    nd->ndm_ifindex = static_cast<int>(ifindex);
    put_address(reinterpret_cast<nlmsghdr *>(buffer.data()), NDA_DST, address);
    Neighbour out;
    auto r = exchange(buffer.data(), [&](const void *message) {
        const auto *h = header_of(message);
        const auto *got = static_cast<const ndmsg *>(mnl_nlmsg_get_payload(h));
        const Attributes<NDA_MAX + 1> attr(h, sizeof *got);
        constexpr int usable = NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;
        const auto *mac = attr[NDA_LLADDR];
        if ((got->ndm_state & usable) && mac && mnl_attr_get_payload_len(mac) == 6) {
            std::memcpy(out.mac.data(), mnl_attr_get_payload(mac), 6);
            out.valid = true;
        }
    });
    if (!r && r.error().code != ENOENT)
        return r.error();
    return out;
}

Result<> Rtnl::probe(unsigned ifindex, const Address &address)
{
    Buffer buffer;
    auto *nd = request<ndmsg>(buffer, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK);
    nd->ndm_family = static_cast<unsigned char>(kernel_family(address));
    nd->ndm_ifindex = static_cast<int>(ifindex);
    nd->ndm_flags = NTF_USE;
    put_address(reinterpret_cast<nlmsghdr *>(buffer.data()), NDA_DST, address);
    return exchange(buffer.data(), [](const void *) {});
}

Result<bool> Rtnl::has_policy_rules()
{
    bool found = false;
    for (const int family : {AF_INET, AF_INET6}) {
        Buffer buffer;
        request<fib_rule_hdr>(buffer, RTM_GETRULE, NLM_F_DUMP)->family = static_cast<__u8>(family);
        auto r = exchange(buffer.data(), [&](const void *message) {
            const auto *h = header_of(message);
            const auto *rule = static_cast<const fib_rule_hdr *>(mnl_nlmsg_get_payload(h));
            // The kernel's own three look in local, main and default for everything.
            const bool plain = rule->action == FR_ACT_TO_TBL && !rule->src_len && !rule->dst_len &&
                               !rule->tos &&
                               (rule->table == RT_TABLE_LOCAL || rule->table == RT_TABLE_MAIN ||
                                rule->table == RT_TABLE_DEFAULT);
            const Attributes<FRA_MAX + 1> attr(h, sizeof *rule);
            found = found || !plain || attr[FRA_IIFNAME] || attr[FRA_OIFNAME] || attr[FRA_FWMARK] ||
                    attr[FRA_L3MDEV] || attr[FRA_UID_RANGE] || attr[FRA_IP_PROTO] ||
                    attr[FRA_SPORT_RANGE] || attr[FRA_DPORT_RANGE] || attr[FRA_TUN_ID];
        });
        if (!r)
            return r.error();
    }
    return found;
}

Result<RtnlMonitor> RtnlMonitor::open()
{
    std::unique_ptr<mnl_socket, Close> s(
        mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!s || mnl_socket_bind(s.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return sys_error("open rtnetlink");
    for (int group : {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                      RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_RULE,
                      RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF})
        if (mnl_socket_setsockopt(s.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group))
            return sys_error("subscribe to rtnetlink");
    return RtnlMonitor(std::move(s));
}

int RtnlMonitor::fd() const
{
    return mnl_socket_get_fd(socket_.get());
}

Result<> RtnlMonitor::read(const Handlers &handlers)
{
    bool routing = false;
    Buffer buffer;
    for (;;) {
        const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got < 0 && errno == ENOBUFS) {
            handlers.lost();
            continue;
        }
        if (got < 0)
            return sys_error("receive from rtnetlink");
        int left = static_cast<int>(got);
        for (auto *m = reinterpret_cast<nlmsghdr *>(buffer.data()); mnl_nlmsg_ok(m, left);
             m = mnl_nlmsg_next(m, &left)) {
            if (m->nlmsg_type != RTM_NEWNEIGH && m->nlmsg_type != RTM_DELNEIGH) {
                routing = true;
                continue;
            }
            const auto *nd = static_cast<const ndmsg *>(mnl_nlmsg_get_payload(m));
            const Attributes<NDA_MAX + 1> attr(m, sizeof *nd);
            if (auto address = read_address(attr[NDA_DST]))
                handlers.neighbour(static_cast<unsigned>(nd->ndm_ifindex), *address);
        }
    }
    if (routing)
        handlers.routing();
    return Unit{};
}

} // namespace evnf
