// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "tools/preflight/judge_native.hpp"

namespace evnf::preflight
{

namespace
{

// Of programs of others the interface is not free: evnfd attaches by a link of its own.
std::vector<Finding> judge_programs(const Interface &i, const Wanted &w)
{
    std::vector<Finding> out;
    for (const auto &p : i.programs) {
        const std::string which =
            "'" + p.name + "' (id " + std::to_string(p.id) + ", " + p.mode + ")";
        if (!p.owner.empty()) {
            out.push_back(
                {Level::ok, i.name, "programs", "evnfd '" + p.owner + "' is attached: " + which});
            continue;
        }
        Finding f{w.receives ? Level::error : Level::warning, i.name, "programs", ""};
        f.text = "another XDP program is attached, " + which + ", and an interface has one";
        if (p.dispatcher) {
            f.text += ": it is libxdp's dispatcher, which runs several of its own kind beside each "
                      "other, but evnfd is none of those";
            f.mend = {{"xdp-loader", "unload", i.name, "--all"}};
        } else {
            const char *flag = p.mode == "generic"     ? "xdpgeneric"
                               : p.mode == "offloaded" ? "xdpoffload"
                                                       : "xdpdrv";
            f.text += ": end what has attached it, or";
            f.mend = {{"ip", "link", "set", "dev", i.name, flag, "off"}};
        }
        out.push_back(std::move(f));
    }
    return out;
}

bool is_on(const std::map<std::string, Offload> &offloads, const std::string &name)
{
    const auto it = offloads.find(name);
    return it != offloads.end() && it->second.on;
}

// A tag that is taken off before XDP is seen by no rule.
void judge_tags(const Interface &i, std::vector<Finding> &out)
{
    if (i.peer) {
        if (!i.peer->name.empty() && is_on(i.peer->offloads, "tx-vlan-hw-insert"))
            out.push_back({Level::note,
                           i.name,
                           "vlan",
                           "XDP does not see VLAN tags that " + i.peer->name +
                               ", its far end, puts beside the frame; only if there are any:",
                           {{"ethtool", "-K", i.peer->name, "txvlan", "off"}}});
        return;
    }
    const auto it = i.offloads.find("rx-vlan-hw-parse");
    if (i.kind == "veth" || it == i.offloads.end() || !it->second.on)
        return;
    Finding f{Level::warning, i.name, "vlan",
              "the device takes VLAN tags off before XDP sees the frame: packets of all VLANs look "
              "untagged to the chain"};
    if (it->second.fixed) {
        f.text += ", and it cannot be turned off";
    } else {
        f.mend = {{"ethtool", "-K", i.name, "rxvlan", "off"}};
        f.safe = true;
    }
    out.push_back(std::move(f));
}

std::optional<unsigned> receive_queues(const Interface &i)
{
    if (!i.channels)
        return std::nullopt;
    return i.channels->combined + i.channels->rx;
}

Finding judge_queues(const Interface &i, const Host &h)
{
    Finding f{Level::ok, i.name, "queues", ""};
    const auto queues = receive_queues(i);
    if (!queues || *queues == 0 || h.cpus == 0) {
        f.level = Level::note;
        f.text = "how many queues it has is not known";
        return f;
    }
    const std::string cpus = std::to_string(h.cpus) + (h.cpus == 1 ? " CPU" : " CPUs");
    f.text = std::to_string(*queues) + (*queues == 1 ? " queue" : " queues") + " for " + cpus;
    if (*queues >= h.cpus)
        return f;
    f.text += ": the others do nothing for what it receives";
    const unsigned most = most_queues(i, h);
    if (most > *queues) {
        f.level = Level::warning;
        f.mend = {{"ethtool", "-L", i.name, i.channels->max_combined ? "combined" : "rx",
                   std::to_string(most)}};
        f.safe = queues_change_safely(i);
        return f;
    }
    f.level = Level::note;
    f.text += i.driver == "virtio_net"
                  ? ", and it has no more: give the guest more queues (libvirt: <driver "
                    "queues='" +
                        std::to_string(2 * h.cpus) +
                        "'/>; Nova: hw:vif_multiqueue_enabled=true gives one for each CPU)"
                  : ", and it can have no more";
    return f;
}

// Interrupts for what is received, as far as their names tell.
std::vector<Interrupt> receive_interrupts(const Interface &i)
{
    std::vector<Interrupt> out;
    for (const auto &irq : i.interrupts) {
        bool other = false;
        for (const char *word :
             {"config", "control", "async", "output", "-tx-", "mgmnt", "misc", "cmd", "event"})
            other = other || irq.name.find(word) != irq.name.npos;
        if (!other)
            out.push_back(irq);
    }
    return out;
}

void judge_interrupts(const Interface &i, const Host &h, std::vector<Finding> &out)
{
    const auto irqs = receive_interrupts(i);
    if (irqs.size() < 2 || h.cpus < 2)
        return;
    const bool same = std::all_of(irqs.begin(), irqs.end(), [&](const Interrupt &irq) {
        return irq.cpus.size() == 1 && irq.cpus == irqs.front().cpus;
    });
    if (!same) {
        out.push_back({Level::ok, i.name, "interrupts",
                       std::to_string(irqs.size()) + " interrupts on several CPUs"});
        return;
    }
    Finding f{Level::warning, i.name, "interrupts",
              "CPU " + std::to_string(irqs.front().cpus.front()) + " takes the interrupts of all " +
                  std::to_string(irqs.size()) + " queues, and so all packets"};
    if (h.irqbalance == true) {
        f.text += "; irqbalance runs, which may spread them once there are packets";
        f.level = Level::note;
    } else {
        unsigned cpu = 0;
        for (const auto &irq : irqs)
            f.mend.push_back({"sh", "-c",
                              "echo " + std::to_string(cpu++ % h.cpus) + " > /proc/irq/" +
                                  std::to_string(irq.number) + "/smp_affinity_list"});
        f.safe = h.irqbalance == false && h.cpus == h.cpus_possible; // so that they are numbered
    }
    out.push_back(std::move(f));
}

// What the kernel does with packets that are left to it.
void judge_routing(const Interface &i, std::vector<Finding> &out)
{
    if (i.forwarding4 == false)
        out.push_back({Level::warning,
                       i.name,
                       "forwarding",
                       "IPv4 forwarding is off, so nothing is routed from it",
                       {{"sysctl", "-w", "net.ipv4.conf." + i.name + ".forwarding=1"}}});
    if (i.forwarding6 == false)
        out.push_back({Level::note,
                       i.name,
                       "forwarding",
                       "IPv6 forwarding is off, so nothing of IPv6 is routed from it",
                       {{"sysctl", "-w", "net.ipv6.conf.all.forwarding=1"}}});
    if (i.rp_filter == 1)
        out.push_back({Level::note, i.name, "rp_filter",
                       "rp_filter does not see what the fast path forwards: use a rule of efw for "
                       "sources that may not come from there"});
}

void judge_link(const Interface &i, const Wanted &w, std::vector<Finding> &out)
{
    if (!i.up)
        out.push_back({Level::warning,
                       i.name,
                       "link",
                       "the interface is down",
                       {{"ip", "link", "set", "dev", i.name, "up"}}});
    if (!i.master.empty() && w.receives)
        out.push_back({Level::warning, i.name, "link",
                       "it is in " + i.master +
                           ", which no longer gets what the chain takes: usually the chain is to "
                           "be on " +
                           i.master});
    if (i.rps_queues.value_or(0) > 0)
        out.push_back({Level::note, i.name, "rps",
                       "RPS spreads over CPUs only what is left to the kernel: XDP runs on the CPU "
                       "that takes the interrupt"});
}

} // namespace

unsigned most_queues(const Interface &i, const Host &h)
{
    const Channels &c = *i.channels;
    const unsigned max = std::max(c.max_combined, c.max_rx);
    const Driver *driver = find_driver(i.driver);
    if (driver && driver->half_queues)
        return std::min(max / 2, h.cpus);
    // Each CPU sends by one of its own, if there are enough.
    if (i.driver == "virtio_net" && max > h.cpus_possible)
        return std::min(max - h.cpus_possible, h.cpus);
    const unsigned sent_by = i.peer ? i.peer->tx_queues : 0; // native XDP needs as many
    return std::min(max, std::max(h.cpus, sent_by));
}

bool queues_change_safely(const Interface &i)
{
    const Driver *driver = find_driver(i.driver);
    return !i.up || (driver && driver->keeps_link);
}

std::vector<Finding> judge_interface(const Interface &i, const Wanted &w, const Facts &facts)
{
    if (!i.present)
        return {{Level::error, i.name, "link", "there is no such interface"}};
    if (!i.ethernet)
        return {{w.receives || w.sends ? Level::error : Level::warning, i.name, "link",
                 "its frames have no Ethernet header, so no chain can be on it"}};
    std::vector<Finding> out;
    judge_link(i, w, out);
    if (w.receives || !w.sends)
        judge_xdp(i, w, facts.host, out);
    judge_sending(i, w, out);
    for (auto &f : judge_programs(i, w))
        out.push_back(std::move(f));
    if (w.receives || !w.sends) {
        out.push_back(judge_queues(i, facts.host));
        judge_interrupts(i, facts.host, out);
        judge_tags(i, out);
    }
    if (w.routes)
        judge_routing(i, out);
    return out;
}

} // namespace evnf::preflight
