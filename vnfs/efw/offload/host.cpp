// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/host.hpp"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>

#include "base/rtnl.hpp"

namespace evnf::efw::offload
{

namespace
{

struct CloseSocket {
    void operator()(mnl_socket *s) const { mnl_socket_close(s); }
};

using OnMessage = std::function<void(const nlmsghdr *)>;

int call(const nlmsghdr *h, void *on_message)
{
    (*static_cast<const OnMessage *>(on_message))(h);
    return MNL_CB_OK;
}

// All objects of a kind; `header` is the request's own, of one family.
template <class Header>
Result<> dump(int bus, std::uint16_t type, const Header &header, const OnMessage &on_message)
{
    const std::unique_ptr<mnl_socket, CloseSocket> s(mnl_socket_open(bus));
    std::array<char, 32768> buffer{};
    if (!s || mnl_socket_bind(s.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return sys_error("open a netlink socket");
    auto *h = mnl_nlmsg_put_header(buffer.data());
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    std::memcpy(mnl_nlmsg_put_extra_header(h, sizeof header), &header, sizeof header);
    if (mnl_socket_sendto(s.get(), h, h->nlmsg_len) < 0)
        return sys_error("ask the kernel by netlink");
    for (int r = MNL_CB_OK; r > MNL_CB_STOP;) {
        const auto n = mnl_socket_recvfrom(s.get(), buffer.data(), buffer.size());
        if (n < 0)
            return sys_error("read what the kernel answers by netlink");
        r = mnl_cb_run(buffer.data(), static_cast<std::size_t>(n), 0, 0, call,
                       const_cast<OnMessage *>(&on_message));
        if (r < 0)
            return sys_error("read what the kernel answers by netlink");
    }
    return Unit{};
}

// The attributes of a message by type.
std::map<std::uint16_t, const nlattr *> attributes(const nlmsghdr *h, unsigned header)
{
    std::map<std::uint16_t, const nlattr *> out;
    auto keep = [](const nlattr *a, void *to) {
        (*static_cast<decltype(out) *>(to))[mnl_attr_get_type(a)] = a;
        return MNL_CB_OK;
    };
    mnl_attr_parse(h, header, keep, &out);
    return out;
}

Result<Prefix> prefix_of(const nlattr *a, unsigned length)
{
    ip_addr raw{};
    auto *bytes = reinterpret_cast<std::uint8_t *>(&raw);
    const bool v4 = mnl_attr_get_payload_len(a) == 4;
    if (v4)
        bytes[10] = bytes[11] = 0xff;
    std::memcpy(bytes + (v4 ? 12 : 0), mnl_attr_get_payload(a), v4 ? 4 : 16);
    return Prefix::parse(Address(raw).text() + "/" + std::to_string(length));
}

Result<> read_addresses(Host &host, std::uint8_t family)
{
    return dump(NETLINK_ROUTE, RTM_GETROUTE, rtmsg{.rtm_family = family}, [&](const nlmsghdr *h) {
        const auto *r = static_cast<const rtmsg *>(mnl_nlmsg_get_payload(h));
        const auto found = attributes(h, sizeof *r);
        const auto to = found.find(RTA_DST);
        const bool local = r->rtm_type == RTN_LOCAL;
        const bool broadcast = r->rtm_type == RTN_BROADCAST || r->rtm_type == RTN_ANYCAST;
        if (to == found.end() || (!local && !broadcast))
            return;
        if (const auto prefix = prefix_of(to->second, r->rtm_dst_len))
            (local ? host.local : host.broadcast).push_back(match::range_of(*prefix));
    });
}

// The first of the rules of ip-rule(8) leads to the table local, whatever the packet.
Result<> read_rules(Host &host, std::uint8_t family)
{
    bool first = false, others = false;
    auto r = dump(NETLINK_ROUTE, RTM_GETRULE, rtmsg{.rtm_family = family}, [&](const nlmsghdr *h) {
        const auto *rule = static_cast<const fib_rule_hdr *>(mnl_nlmsg_get_payload(h));
        const auto found = attributes(h, sizeof *rule);
        const auto priority = found.find(FRA_PRIORITY);
        if (priority != found.end() && mnl_attr_get_u32(priority->second) != 0)
            return;
        const bool selects = std::any_of(found.begin(), found.end(), [](const auto &a) {
            return a.first == FRA_SRC || a.first == FRA_DST || a.first == FRA_IIFNAME ||
                   a.first == FRA_OIFNAME || a.first == FRA_FWMARK || a.first == FRA_IP_PROTO ||
                   a.first == FRA_L3MDEV;
        });
        const bool local = rule->table == RT_TABLE_LOCAL && rule->action == FR_ACT_TO_TBL;
        (local && !selects && !(rule->flags & FIB_RULE_INVERT) ? first : others) = true;
    });
    host.local_table_first = host.local_table_first && first && !others;
    return r;
}

Result<> read_policies(Host &host)
{
    auto r = dump(NETLINK_XFRM, XFRM_MSG_GETPOLICY, xfrm_userpolicy_id{},
                  [&](const nlmsghdr *) { host.ipsec = true; });
    // A kernel without IPsec has no policies.
    if (!r && r.error().code != EPROTONOSUPPORT)
        return r;
    return Unit{};
}

Result<> read_masters(Host &host)
{
    return dump(NETLINK_ROUTE, RTM_GETLINK, ifinfomsg{}, [&](const nlmsghdr *h) {
        const auto found = attributes(h, sizeof(ifinfomsg));
        const auto name = found.find(IFLA_IFNAME);
        for (auto &i : host.interfaces)
            if (name != found.end() && i.name == mnl_attr_get_str(name->second))
                i.enslaved = found.contains(IFLA_MASTER);
    });
}

long number_in(const char *path, long otherwise)
{
    std::ifstream in(path);
    long value = 0;
    return in >> value ? value : otherwise;
}

} // namespace

Result<Host> read_host(const std::vector<std::string> &interfaces)
{
    Host out;
    const bool all6 = interface_setting("ipv6", "all", "forwarding") > 0;
    for (const auto &name : interfaces)
        out.interfaces.push_back(
            {.name = name,
             .forwarding4 = interface_setting("ipv4", name, "forwarding") > 0,
             .forwarding6 = all6 && interface_setting("ipv6", name, "forwarding") > 0,
             .rp_filter = std::max(interface_setting("ipv4", name, "rp_filter"),
                                   interface_setting("ipv4", "all", "rp_filter"))});
    for (const auto family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}})
        for (const auto &r : {read_addresses(out, family), read_rules(out, family)})
            if (!r)
                return r.error();
    for (const auto &r : {read_policies(out), read_masters(out)})
        if (!r)
            return r.error();
    out.local = match::normalized(std::move(out.local));
    out.broadcast = match::normalized(std::move(out.broadcast));
    out.conntrack = number_in("/proc/sys/net/netfilter/nf_conntrack_count", 0) > 0;
    out.conntrack_checksum = number_in("/proc/sys/net/netfilter/nf_conntrack_checksum", 1) != 0;
    std::ifstream expected("/proc/thread-self/net/nf_conntrack_expect");
    out.expectations = expected.peek() != std::ifstream::traits_type::eof();
    return out;
}

} // namespace evnf::efw::offload
