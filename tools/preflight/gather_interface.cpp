// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/libbpf.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/net.hpp"
#include "daemon/attachment.hpp"
#include "daemon/pins.hpp"
#include "tools/preflight/ethtool.hpp"
#include "tools/preflight/gather.hpp"
#include "tools/preflight/netlink.hpp"

namespace evnf::preflight
{

namespace fs = std::filesystem;

namespace
{

std::string sysfs(const std::string &interface)
{
    return "/sys/class/net/" + interface;
}

// /sys shows the interfaces of the network namespace in which it was mounted, which may have
// another of this name.
bool sysfs_has(const LinkState &link)
{
    return line_of(sysfs(link.name) + "/ifindex") == std::to_string(link.ifindex) &&
           line_of(sysfs(link.name) + "/address") == link.address;
}

std::vector<std::string> names_in(const std::string &folder)
{
    std::vector<std::string> out;
    std::error_code ec;
    for (const auto &entry : fs::directory_iterator(folder, ec))
        out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
}

std::vector<std::string> words_of(const std::string &line)
{
    std::istringstream in(line);
    std::vector<std::string> out;
    for (std::string word; in >> word;)
        out.push_back(word);
    return out;
}

const LinkState *find(const std::vector<LinkState> &links, unsigned ifindex)
{
    const auto it = std::find_if(links.begin(), links.end(),
                                 [&](const LinkState &l) { return l.ifindex == ifindex; });
    return it == links.end() || ifindex == 0 ? nullptr : &*it;
}

// A file of '0' and '1', the bit of the first feature first. Of other buses there is none.
std::optional<std::vector<unsigned>> virtio_features(const std::string &interface)
{
    const std::string bits = line_of(sysfs(interface) + "/device/features");
    if (bits.empty() || bits.find_first_not_of("01") != bits.npos)
        return std::nullopt;
    std::vector<unsigned> out;
    for (std::size_t i = 0; i < bits.size(); ++i)
        if (bits[i] == '1')
            out.push_back(static_cast<unsigned>(i));
    return out;
}

// Its device's interrupts; a virtio device has those of the PCI device that it is on.
std::vector<Interrupt> interrupts(const std::string &interface)
{
    std::error_code ec;
    const fs::path device = fs::canonical(sysfs(interface) + "/device", ec);
    if (ec)
        return {};
    const bool virtio = device.filename().string().starts_with("virtio");
    const auto numbers = names_in((virtio ? device.parent_path() : device).string() + "/msi_irqs");
    std::vector<Interrupt> out;
    std::ifstream in("/proc/interrupts");
    for (std::string line; std::getline(in, line);) {
        const auto words = words_of(line);
        if (words.size() < 2 || words[0].back() != ':')
            continue;
        const std::string number = words[0].substr(0, words[0].size() - 1);
        const auto n = parse_number(number, 0, UINT32_MAX, "interrupt");
        if (!n || std::find(numbers.begin(), numbers.end(), number) == numbers.end())
            continue;
        Interrupt irq{static_cast<unsigned>(*n), words.back(), {}};
        // Where it goes; but one that has been sent elsewhere moves only with the next interrupt.
        const auto allowed = parse_cpus(line_of("/proc/irq/" + number + "/smp_affinity_list"));
        const auto now = parse_cpus(line_of("/proc/irq/" + number + "/effective_affinity_list"));
        const bool settled = std::includes(allowed.begin(), allowed.end(), now.begin(), now.end());
        irq.cpus = settled && !now.empty() ? now : allowed;
        out.push_back(std::move(irq));
    }
    return out;
}

std::optional<unsigned> rps_queues(const std::string &interface)
{
    std::optional<unsigned> out;
    for (const auto &queue : names_in(sysfs(interface) + "/queues")) {
        if (!queue.starts_with("rx-"))
            continue;
        const std::string mask = line_of(sysfs(interface) + "/queues/" + queue + "/rps_cpus");
        if (!mask.empty())
            out = out.value_or(0) + (mask.find_first_not_of("0,") != mask.npos ? 1U : 0U);
    }
    return out;
}

std::vector<XdpProgram> programs(unsigned ifindex, const std::string &pin_root)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, found);
    if (bpf_xdp_query(static_cast<int>(ifindex), 0, &found))
        return {};
    __u32 drv = found.drv_prog_id, skb = found.skb_prog_id;
    std::vector<XdpProgram> out;
    for (const auto &[id, mode] : {std::pair{drv, "native"}, std::pair{skb, "generic"},
                                   std::pair{found.hw_prog_id, "offloaded"}}) {
        if (id == 0)
            continue;
        XdpProgram p{id, program_name(id), mode, Pins::owner_of(pin_root, id), false};
        p.dispatcher = p.name == "xdp_dispatcher";
        out.push_back(std::move(p));
    }
    return out;
}

std::optional<Peer> peer_of(const LinkState &link, const std::vector<LinkState> &links,
                            const Ethtool &ethtool)
{
    if (link.kind != "veth" || link.lower == 0)
        return std::nullopt;
    Peer p;
    if (link.lower_network) {
        // Its name is of use only there.
        const auto there = read_link(link.lower, *link.lower_network);
        if (!there)
            return std::nullopt;
        p.mtu = there->mtu;
        p.up = there->up;
        return p;
    }
    const LinkState *here = find(links, link.lower);
    if (!here)
        return std::nullopt;
    p.name = here->name;
    p.mtu = here->mtu;
    p.up = here->up;
    p.offloads = ethtool.offloads(p.name);
    if (const auto channels = ethtool.channels(p.name))
        p.tx_queues = channels->tx + channels->combined;
    return p;
}

std::optional<int> setting(const std::string &family, const std::string &interface,
                           const std::string &name)
{
    const auto n = parse_number(
        line_of("/proc/sys/net/" + family + "/conf/" + interface + "/" + name), 0, 2, name);
    return n ? std::optional(static_cast<int>(*n)) : std::nullopt;
}

std::optional<bool> is_set(std::optional<int> value)
{
    return value ? std::optional(*value != 0) : std::nullopt;
}

Interface read_interface(const LinkState &link, const std::vector<LinkState> &links,
                         const Ethtool &ethtool, const std::string &pin_root)
{
    Interface i;
    i.name = link.name;
    i.present = true;
    i.up = link.up;
    i.ethernet = link.ethernet;
    i.mtu = link.mtu;
    i.kind = link.kind;
    i.driver = ethtool.driver(i.name);
    if (const auto *master = find(links, link.master))
        i.master = master->name;
    if (const auto *lower = link.lower_network ? nullptr : find(links, link.lower);
        lower && link.kind != "veth")
        i.lower = lower->name;
    for (const auto &one : links)
        if (link.kind == "bond" && one.master == link.ifindex)
            i.members.push_back(one.name);
    i.xdp_features = read_xdp_features(link.ifindex);
    i.channels = ethtool.channels(i.name);
    i.offloads = ethtool.offloads(i.name);
    if (sysfs_has(link)) {
        if (i.driver == "virtio_net")
            i.virtio_features = virtio_features(i.name);
        i.interrupts = interrupts(i.name);
        i.rps_queues = rps_queues(i.name);
    }
    i.programs = programs(link.ifindex, pin_root);
    i.peer = peer_of(link, links, ethtool);
    i.forwarding4 = is_set(setting("ipv4", i.name, "forwarding"));
    i.forwarding6 = is_set(setting("ipv6", i.name, "forwarding"));
    const auto own = setting("ipv4", i.name, "rp_filter"),
               all = setting("ipv4", "all", "rp_filter");
    if (own && all) // the kernel takes the greater
        i.rp_filter = std::max(*own, *all);
    return i;
}

} // namespace

std::vector<Interface> read_interfaces(const std::vector<std::string> &names,
                                       const std::string &pin_root)
{
    const auto links = read_links();
    const Ethtool ethtool;
    std::vector<Interface> out;
    if (!links)
        return out;
    for (const auto &link : *links)
        if (names.empty() && link.ethernet && link.up)
            out.push_back(read_interface(link, *links, ethtool, pin_root));
    for (const auto &name : names) {
        const auto it = std::find_if(links->begin(), links->end(),
                                     [&](const LinkState &l) { return l.name == name; });
        if (it != links->end()) {
            out.push_back(read_interface(*it, *links, ethtool, pin_root));
            continue;
        }
        Interface missing;
        missing.name = name;
        out.push_back(std::move(missing));
    }
    return out;
}

} // namespace evnf::preflight
