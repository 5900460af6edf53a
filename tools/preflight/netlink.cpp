// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/netlink.hpp"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include <functional>
#include <memory>

#include "base/attributes.hpp"

namespace evnf::preflight
{

namespace
{

// The family "netdev", which came with Linux 6.3: its header may be older here than the kernel.
constexpr unsigned char netdev_dev_get = 1;
constexpr std::uint16_t netdev_ifindex = 1, netdev_xdp_features = 3;
constexpr std::array xdp_feature_names{"basic",      "redirect", "ndo-xmit",   "xsk-zerocopy",
                                       "hw-offload", "rx-sg",    "ndo-xmit-sg"};

using OnMessage = std::function<void(const nlmsghdr *)>;

struct Close {
    void operator()(mnl_socket *s) const { mnl_socket_close(s); }
};

int pass_on(const nlmsghdr *h, void *to)
{
    (*static_cast<const OnMessage *>(to))(h);
    return MNL_CB_OK;
}

class Request
{
public:
    Request(std::uint16_t type, std::uint16_t flags) : h_(mnl_nlmsg_put_header(bytes_.data()))
    {
        h_->nlmsg_type = type;
        h_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    }
    template <class T>
    T *extra()
    {
        return static_cast<T *>(mnl_nlmsg_put_extra_header(h_, sizeof(T)));
    }
    [[nodiscard]] nlmsghdr *header() { return h_; }

    // Passes each message of the answer on.
    Result<> send(int protocol, const OnMessage &on_message)
    {
        const std::unique_ptr<mnl_socket, Close> socket(mnl_socket_open2(protocol, SOCK_CLOEXEC));
        if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
            return sys_error("open netlink");
        if (mnl_socket_sendto(socket.get(), h_, h_->nlmsg_len) < 0)
            return sys_error("send to netlink");
        std::array<char, 32768> answer; // what the kernel fills a dump with at most
        int more = MNL_CB_OK;
        while (more > MNL_CB_STOP) {
            const ssize_t got = mnl_socket_recvfrom(socket.get(), answer.data(), answer.size());
            if (got < 0)
                return sys_error("receive from netlink");
            more = mnl_cb_run(answer.data(), static_cast<std::size_t>(got), 0,
                              mnl_socket_get_portid(socket.get()), pass_on,
                              const_cast<OnMessage *>(&on_message));
        }
        if (more < 0)
            return sys_error("netlink");
        return Unit{};
    }

private:
    std::array<char, 1024> bytes_{};
    nlmsghdr *h_;
};

std::string text_of_address(const nlattr *a)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    const auto *bytes = a ? static_cast<const std::uint8_t *>(mnl_attr_get_payload(a)) : nullptr;
    for (unsigned i = 0; a && i < mnl_attr_get_payload_len(a); ++i) {
        out += out.empty() ? "" : ":";
        out += {digits[bytes[i] >> 4], digits[bytes[i] & 0xf]};
    }
    return out;
}

LinkState link_of(const nlmsghdr *h)
{
    LinkState l;
    if (mnl_nlmsg_get_payload_len(h) < sizeof(ifinfomsg))
        return l;
    const auto *info = static_cast<const ifinfomsg *>(mnl_nlmsg_get_payload(h));
    const Attributes<IFLA_MAX + 1> attr(h, sizeof *info);
    l.ifindex = static_cast<unsigned>(info->ifi_index);
    l.name = attr.text(IFLA_IFNAME);
    l.up = (info->ifi_flags & IFF_UP) != 0;
    l.ethernet = info->ifi_type == ARPHRD_ETHER;
    l.mtu = attr.u32(IFLA_MTU);
    l.lower = attr.u32(IFLA_LINK);
    if (attr[IFLA_LINK_NETNSID])
        l.lower_network = static_cast<int>(attr.u32(IFLA_LINK_NETNSID));
    l.master = attr.u32(IFLA_MASTER);
    l.address = text_of_address(attr[IFLA_ADDRESS]);
    if (attr[IFLA_LINKINFO])
        l.kind = Attributes<IFLA_INFO_MAX + 1>(attr[IFLA_LINKINFO]).text(IFLA_INFO_KIND);
    return l;
}

// Its number is the kernel's choice; 0 if it has none.
std::uint16_t family(const char *name)
{
    Request request(GENL_ID_CTRL, 0);
    auto *g = request.extra<genlmsghdr>();
    g->cmd = CTRL_CMD_GETFAMILY;
    g->version = 1;
    mnl_attr_put_strz(request.header(), CTRL_ATTR_FAMILY_NAME, name);
    std::uint16_t id = 0;
    const auto r = request.send(NETLINK_GENERIC, [&](const nlmsghdr *h) {
        const auto *a = Attributes<CTRL_ATTR_MAX + 1>(h, sizeof(genlmsghdr))[CTRL_ATTR_FAMILY_ID];
        if (a && mnl_attr_get_payload_len(a) >= 2)
            id = mnl_attr_get_u16(a);
    });
    return r ? id : std::uint16_t{0};
}

} // namespace

Result<std::vector<LinkState>> read_links()
{
    Request request(RTM_GETLINK, NLM_F_DUMP);
    request.extra<ifinfomsg>();
    std::vector<LinkState> out;
    auto r = request.send(NETLINK_ROUTE, [&](const nlmsghdr *h) { out.push_back(link_of(h)); });
    if (!r)
        return std::move(r).context("list interfaces").error();
    return out;
}

std::optional<LinkState> read_link(unsigned ifindex, int network)
{
    Request request(RTM_GETLINK, 0);
    request.extra<ifinfomsg>()->ifi_index = static_cast<int>(ifindex);
    mnl_attr_put_u32(request.header(), IFLA_TARGET_NETNSID, static_cast<std::uint32_t>(network));
    std::optional<LinkState> out;
    const auto r = request.send(NETLINK_ROUTE, [&](const nlmsghdr *h) { out = link_of(h); });
    return r ? out : std::nullopt;
}

std::optional<std::vector<std::string>> read_xdp_features(unsigned ifindex)
{
    const auto netdev = family("netdev");
    if (netdev == 0)
        return std::nullopt;
    Request request(netdev, 0);
    auto *g = request.extra<genlmsghdr>();
    g->cmd = netdev_dev_get;
    g->version = 1;
    mnl_attr_put_u32(request.header(), netdev_ifindex, ifindex);
    std::optional<std::uint64_t> bits;
    const auto r = request.send(NETLINK_GENERIC, [&](const nlmsghdr *h) {
        bits = Attributes<netdev_xdp_features + 1>(h, sizeof(genlmsghdr)).u64(netdev_xdp_features);
    });
    if (!r || !bits)
        return std::nullopt;
    std::vector<std::string> out;
    for (std::size_t i = 0; i < xdp_feature_names.size(); ++i)
        if (*bits >> i & 1)
            out.emplace_back(xdp_feature_names[i]);
    return out;
}

} // namespace evnf::preflight
