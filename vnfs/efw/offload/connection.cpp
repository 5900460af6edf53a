// SPDX-License-Identifier: GPL-2.0-or-later
// Asks the kernel's table of connections for a packet's.
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "vnfs/efw/offload/judge.hpp"

namespace evnf::efw::offload
{

namespace
{

constexpr std::uint8_t any_state = CT_NEW | CT_ESTABLISHED | CT_RELATED | CT_INVALID;
constexpr std::uint8_t tcp = 6, udp = 17;
constexpr std::uint8_t flags_that_count = 0x17, only_syn = 0x02; // FIN, SYN, RST, ACK

struct CloseSocket {
    void operator()(mnl_socket *s) const { mnl_socket_close(s); }
};

void put_address(nlmsghdr *h, const Address &a, unsigned v4, unsigned v6)
{
    const auto *raw = reinterpret_cast<const std::uint8_t *>(&a.raw());
    if (a.is_v4())
        mnl_attr_put(h, static_cast<std::uint16_t>(v4), 4, raw + 12);
    else
        mnl_attr_put(h, static_cast<std::uint16_t>(v6), 16, raw);
}

void put_tuple(nlmsghdr *h, const Packet &p)
{
    auto *tuple = mnl_attr_nest_start(h, CTA_TUPLE_ORIG);
    auto *ip = mnl_attr_nest_start(h, CTA_TUPLE_IP);
    put_address(h, p.src, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
    put_address(h, p.dst, CTA_IP_V4_DST, CTA_IP_V6_DST);
    mnl_attr_nest_end(h, ip);
    auto *proto = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(h, CTA_PROTO_NUM, p.protocol);
    mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(p.sport));
    mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(p.dport));
    mnl_attr_nest_end(h, proto);
    mnl_attr_nest_end(h, tuple);
}

// Of the answer: what the connection has seen, and whether the packet is of those that go
// the way of its first.
struct Connection {
    std::uint32_t status = 0;
    const Packet *packet;
    bool original = false;
};

int read_addresses(const nlattr *a, void *to)
{
    auto &c = *static_cast<Connection *>(to);
    const auto type = mnl_attr_get_type(a);
    const Address &src = c.packet->src;
    const auto *raw = reinterpret_cast<const std::uint8_t *>(&src.raw());
    const std::size_t size = src.is_v4() ? 4 : 16;
    if (type == (src.is_v4() ? CTA_IP_V4_SRC : CTA_IP_V6_SRC) &&
        mnl_attr_get_payload_len(a) == size)
        c.original = std::memcmp(mnl_attr_get_payload(a), raw + 16 - size, size) == 0;
    return MNL_CB_OK;
}

// The ports of the original direction; after the addresses, which it corrects.
int read_ports(const nlattr *a, void *to)
{
    auto &c = *static_cast<Connection *>(to);
    if (mnl_attr_get_type(a) == CTA_PROTO_SRC_PORT && mnl_attr_get_payload_len(a) == 2)
        c.original = c.original && ntohs(mnl_attr_get_u16(a)) == c.packet->sport;
    return MNL_CB_OK;
}

int read_part(const nlattr *a, void *to)
{
    if (mnl_attr_get_type(a) == CTA_TUPLE_IP)
        return mnl_attr_parse_nested(a, read_addresses, to);
    if (mnl_attr_get_type(a) == CTA_TUPLE_PROTO)
        return mnl_attr_parse_nested(a, read_ports, to);
    return MNL_CB_OK;
}

int read_connection(const nlattr *a, void *to)
{
    auto &c = *static_cast<Connection *>(to);
    if (mnl_attr_get_type(a) == CTA_STATUS && mnl_attr_get_payload_len(a) == 4)
        c.status = ntohl(mnl_attr_get_u32(a));
    if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG)
        return mnl_attr_parse_nested(a, read_part, to);
    return MNL_CB_OK;
}

enum class Known { yes, no, unsure };

Known look_up(Connection &out)
{
    std::unique_ptr<mnl_socket, CloseSocket> socket(mnl_socket_open(NETLINK_NETFILTER));
    if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return Known::unsure;
    std::array<char, 8192> buffer{};
    auto *h = mnl_nlmsg_put_header(buffer.data());
    h->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
    h->nlmsg_flags = NLM_F_REQUEST;
    auto *family = static_cast<nfgenmsg *>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)));
    family->nfgen_family = out.packet->family == 4 ? AF_INET : AF_INET6;
    family->version = NFNETLINK_V0;
    put_tuple(h, *out.packet);
    if (mnl_socket_sendto(socket.get(), h, h->nlmsg_len) < 0)
        return Known::unsure;
    const auto got = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    const auto *answer = reinterpret_cast<const nlmsghdr *>(buffer.data());
    if (got < 0 || !mnl_nlmsg_ok(answer, static_cast<int>(got)))
        return Known::unsure;
    if (answer->nlmsg_type == NLMSG_ERROR) {
        const auto *e = static_cast<const nlmsgerr *>(mnl_nlmsg_get_payload(answer));
        return e->error == -ENOENT ? Known::no : Known::unsure;
    }
    mnl_attr_parse(answer, sizeof(nfgenmsg), read_connection, &out);
    return Known::yes;
}

} // namespace

// As resolve_normal_ct() of the kernel has it.
std::uint8_t possible_ct_states(const Packet &p, bool expectations)
{
    if (p.protocol != tcp && p.protocol != udp)
        return any_state;
    Connection c{.packet = &p};
    const Known known = look_up(c);
    if (known == Known::unsure)
        return any_state;
    if (known == Known::no) {
        const bool begins = p.protocol == udp || (p.tcp_flags & flags_that_count) == only_syn;
        return static_cast<std::uint8_t>(CT_NEW | (begins ? 0 : CT_INVALID) |
                                         (expectations ? CT_RELATED : 0));
    }
    std::uint8_t state = CT_ESTABLISHED;
    if (c.original && !(c.status & IPS_SEEN_REPLY))
        state = c.status & IPS_EXPECTED ? CT_RELATED : CT_NEW;
    // TCP's sequence numbers and flags may contradict the connection.
    return p.protocol == tcp ? static_cast<std::uint8_t>(state | CT_INVALID) : state;
}

} // namespace evnf::efw::offload
