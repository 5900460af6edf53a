// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/judge_native.hpp"

#include <algorithm>

namespace evnf::preflight
{

namespace
{

// Bits of virtio's network device (virtio specification, 5.1.3).
enum Virtio : unsigned {
    guest_csum = 1,
    ctrl_guest_offloads = 2,
    guest_tso4 = 7,
    guest_tso6 = 8,
    guest_ecn = 9,
    guest_ufo = 10,
};

bool has(const std::vector<std::string> &all, const char *one)
{
    return std::find(all.begin(), all.end(), one) != all.end();
}

struct Verdict {
    std::optional<bool> native; // none: not known
    std::string why;
};

// Does the driver take programs at all? The kernel says so since 6.3.
Verdict verdict_of(const Interface &i, const Host &h)
{
    const std::string driver = i.driver.empty() ? "its driver" : "driver " + i.driver;
    if (i.xdp_features) {
        if (has(*i.xdp_features, "basic"))
            return {true, driver + ": the kernel says that it has native XDP"};
        if (i.kind == "veth")
            return {false, "the kernel says that it cannot have native XDP now: its far end sends "
                           "by more queues than it receives by"};
        if (i.kind == "bond") {
            std::string members;
            for (const auto &name : i.members)
                members += (members.empty() ? " (" : ", ") + name;
            return {false, "the kernel says that the bond has no native XDP: each of its members" +
                               (members.empty() ? "" : members + ")") +
                               " must have it, and its mode be balance-rr, active-backup, "
                               "balance-xor or 802.3ad"};
        }
        return {false, driver + ": the kernel says that it has no native XDP"};
    }
    if (is_generic_kind(i.kind))
        return {false, "a " + i.kind + " has no native XDP"};
    const Driver *known = find_driver(i.driver);
    const auto version = parse_version(h.kernel);
    if (!known || !version)
        return {std::nullopt, driver + ": it is not known whether it has native XDP (Linux 6.3 and "
                                       "later would say so)"};
    if (known->native_since.major == 0)
        return {false, driver + " is known to have no native XDP"};
    if (*version < known->native_since)
        return {false, driver + " has native XDP since Linux " + text_of(known->native_since)};
    return {true,
            driver + " is known to have native XDP since Linux " + text_of(known->native_since)};
}

// The one thing that native XDP fails for, or several.
class Refusals
{
public:
    Refusals(const Interface &i, const Wanted &w, std::vector<Finding> &out)
        : name_(i.name),
          level_(w.receives ? Level::error : Level::warning),
          out_(out)
    {
    }
    void add(const std::string &check, std::string text, const std::vector<Command> &mend = {},
             bool safe = false)
    {
        out_.push_back({level_, name_, check, std::move(text), mend, safe && !mend.empty()});
        any_ = true;
    }
    [[nodiscard]] bool any() const { return any_; }

private:
    std::string name_;
    Level level_;
    std::vector<Finding> &out_;
    bool any_ = false;
};

// What the device merges on its own is no longer what came over the wire.
void refuse_merging(const Interface &i, const Driver *driver, Refusals &refusals,
                    std::vector<Finding> &out)
{
    struct Merging {
        const char *feature, *option, *text;
    };
    for (const auto &[feature, option, text] :
         {Merging{"rx-lro", "lro", "LRO is on: the device merges packets before XDP sees them"},
          Merging{"rx-gro-hw", "rx-gro-hw",
                  "hardware GRO is on: the device merges packets before XDP sees them"}}) {
        const auto it = i.offloads.find(feature);
        if (it == i.offloads.end() || !it->second.on)
            continue;
        if (i.driver == "virtio_net" && std::string_view(feature) == "rx-gro-hw")
            continue; // see refuse_virtio()
        std::string what = text;
        std::vector<Command> mend;
        if (it->second.fixed)
            what += ", and it cannot be turned off here";
        else
            mend = {{"ethtool", "-K", i.name, option, "off"}};
        if (driver && driver->refuses_lro)
            refusals.add("offloads", what + "; " + i.driver + " then takes no program", mend, true);
        else
            out.push_back({Level::warning, i.name, "offloads", what, mend, !mend.empty()});
    }
}

// The driver turns them off itself if the device has an order for that, else it refuses.
void refuse_virtio(const Interface &i, Refusals &refusals, std::vector<Finding> &out)
{
    if (!i.virtio_features) {
        out.push_back(
            {Level::note, i.name, "offloads", "which guest offloads the device has is not known"});
        return;
    }
    const auto agreed = [&](Virtio bit) {
        return std::find(i.virtio_features->begin(), i.virtio_features->end(), bit) !=
               i.virtio_features->end();
    };
    std::string on;
    for (const auto &[bit, name] :
         {std::pair{guest_tso4, "tso4"}, std::pair{guest_tso6, "tso6"}, std::pair{guest_ecn, "ecn"},
          std::pair{guest_ufo, "ufo"}, std::pair{guest_csum, "csum"}})
        if (agreed(bit))
            on += std::string(on.empty() ? "" : " ") + name + "='off'";
    if (on.empty()) {
        out.push_back({Level::ok, i.name, "offloads", "the device has no guest offloads"});
        return;
    }
    if (agreed(ctrl_guest_offloads)) {
        out.push_back({Level::ok, i.name, "offloads",
                       "the driver turns guest offloads off when a program is attached"});
        return;
    }
    refusals.add("offloads",
                 "the device gives the guest merged or unsummed packets and has no order to end "
                 "that (ctrl_guest_offloads), so virtio_net takes no program: turn it off at the "
                 "hypervisor (libvirt, in the interface's <driver>: <guest " +
                     on + "/>)");
}

// Each CPU sends by a queue of its own, beside those that are in use.
void judge_virtio_queues(const Interface &i, const Host &h, Refusals &refusals,
                         std::vector<Finding> &out)
{
    if (!i.channels || h.cpus_possible == 0)
        return;
    const Channels &c = *i.channels;
    if (c.combined + h.cpus_possible <= c.max_combined) {
        out.push_back({Level::ok, i.name, "xdp-queues",
                       "each CPU has a queue of its own for what XDP sends"});
        return;
    }
    std::string text = "XDP sends by " + std::to_string(h.cpus_possible) +
                       " queues more than the " + std::to_string(c.combined) +
                       " in use, one for each CPU, but there are " +
                       std::to_string(c.max_combined) + " in all";
    std::vector<Command> mend;
    if (c.max_combined > h.cpus_possible)
        mend = {{"ethtool", "-L", i.name, "combined",
                 std::to_string(c.max_combined - h.cpus_possible)}};
    else
        text += ": give the guest " + std::to_string(2 * h.cpus_possible) +
                " (libvirt: <driver queues='" + std::to_string(2 * h.cpus_possible) +
                "'/>; Nova gives no more than one for each CPU)";
    const auto version = parse_version(h.kernel);
    if (version && *version < Version{5, 13}) {
        refusals.add("xdp-queues", "virtio_net takes no program before Linux 5.13: " + text, mend,
                     true);
        return;
    }
    out.push_back(
        {Level::warning, i.name, "xdp-queues",
         "it works, but slower, as queues are shared under a lock: " + text, mend,
         !mend.empty() && c.max_combined - h.cpus_possible >= std::min(c.combined, h.cpus)});
}

void refuse_queues(const Interface &i, const Host &h, const Driver &driver, Refusals &refusals)
{
    if (!i.channels)
        return;
    const Channels &c = *i.channels;
    const bool has_combined = c.max_combined > 0;
    if (driver.half_queues) {
        const unsigned now = std::max(c.combined, c.rx), max = std::max(c.max_combined, c.max_rx);
        if (max > 1 && now > max / 2)
            refusals.add("xdp-queues",
                         i.driver + " takes a program only with at most half of its " +
                             std::to_string(max) + " queues in use, now " + std::to_string(now),
                         {{"ethtool", "-L", i.name, has_combined ? "combined" : "rx",
                           std::to_string(std::max(1U, most_queues(i, h)))}},
                         queues_change_safely(i));
    }
    if (driver.only_combined && c.rx > 0)
        refusals.add("xdp-queues",
                     i.driver + " takes a program only if queues both receive and send",
                     {{"ethtool", "-L", i.name, "rx", "0", "tx", "0", "combined",
                       std::to_string(std::max(1U, most_queues(i, h)))}},
                     queues_change_safely(i));
}

// The fast path sees a frame in one piece.
void refuse_mtu(const Interface &i, const Host &h, const Driver *driver, Refusals &refusals,
                std::vector<Finding> &out)
{
    const bool veth = i.kind == "veth";
    const bool far = veth && i.peer; // what comes in is as long as the far end may send
    const unsigned mtu = far ? i.peer->mtu : i.mtu;
    const std::string whose = far ? "the MTU of its far end" : "its MTU";
    std::optional<unsigned> limit;
    if (driver && driver->max_mtu && h.page_size == 4096)
        limit = driver->max_mtu;
    const unsigned page = h.page_size ? one_page_mtu(h.page_size) : 0;
    const std::string here = far ? i.peer->name : i.name;
    const auto mend = [&](unsigned to) {
        return here.empty() ? std::vector<Command>{}
                            : std::vector<Command>{
                                  {"ip", "link", "set", "dev", here, "mtu", std::to_string(to)}};
    };
    const auto version = parse_version(h.kernel);
    constexpr unsigned virtio_header = 32; // as the driver pads it
    if (limit && mtu > *limit && i.driver == "virtio_net" && version && *version < Version{6, 3} &&
        mtu <= h.page_size - virtio_header)
        out.push_back({Level::warning, i.name, "mtu",
                       whose + ", " + std::to_string(mtu) + ", is more than the " +
                           std::to_string(*limit) +
                           " that fit one page: before Linux 6.3 virtio_net takes a program all "
                           "the same, and drops longer frames",
                       mend(*limit)});
    else if (limit && mtu > *limit)
        refusals.add("mtu",
                     whose + ", " + std::to_string(mtu) + ", is more than the " +
                         std::to_string(*limit) + " at which " + i.driver +
                         " takes a program; all others on the link must have the new one too",
                     mend(*limit));
    else if (!limit && page && mtu > page)
        out.push_back({Level::warning, i.name, "mtu",
                       whose + ", " + std::to_string(mtu) +
                           ", does not fit one page of memory, and most drivers then take no "
                           "program",
                       mend(page)});
    else
        out.push_back({Level::ok, i.name, "mtu", whose + ", " + std::to_string(mtu) + ", fits"});
}

} // namespace

void judge_xdp(const Interface &i, const Wanted &w, const Host &h, std::vector<Finding> &out)
{
    const Verdict verdict = verdict_of(i, h);
    if (w.receives && w.generic) {
        out.push_back({Level::note, i.name, "xdp",
                       "generic mode, as the chain asks for, is slow" +
                           (verdict.native == true
                                ? "; " + verdict.why + ": without xdp = \"generic\" it is used"
                                : "; " + verdict.why)});
        return;
    }
    const std::string generic =
        "; xdp = \"generic\" in the chain works with any driver, but slowly";
    if (verdict.native == false) {
        Finding f{w.receives ? Level::error : Level::warning, i.name, "xdp", verdict.why};
        if (!i.lower.empty() && is_generic_kind(i.kind))
            f.text += ": put the chain on " + i.lower + ", where it is";
        if (i.kind == "veth" && i.peer && i.channels && i.peer->tx_queues > i.channels->rx)
            f.mend = {{"ethtool", "-L", i.name, "rx", std::to_string(most_queues(i, h))}};
        f.safe = !f.mend.empty();
        f.text += generic;
        out.push_back(std::move(f));
        return;
    }
    const Driver *driver = find_driver(i.driver);
    const std::size_t at = out.size();
    Refusals refusals(i, w, out);
    refuse_mtu(i, h, driver, refusals, out);
    refuse_merging(i, driver, refusals, out);
    if (i.driver == "virtio_net") {
        refuse_virtio(i, refusals, out);
        judge_virtio_queues(i, h, refusals, out);
    }
    if (driver)
        refuse_queues(i, h, *driver, refusals);
    Finding f{Level::ok, i.name, "xdp", "native: " + verdict.why};
    if (!verdict.native) {
        f.level = Level::warning;
        f.text = verdict.why + generic;
    } else if (refusals.any()) {
        f.level = w.receives ? Level::error : Level::warning;
        f.text = "not native as it is now, for what is said below" + generic;
    }
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), std::move(f));
}

void judge_sending(const Interface &i, const Wanted &w, std::vector<Finding> &out)
{
    if (i.kind != "veth" || !(w.receives || w.sends))
        return;
    // Of a veth the kernel says whether its far end can take what XDP sends.
    std::optional<bool> arrives;
    if (i.xdp_features && !i.xdp_features->empty())
        arrives = has(*i.xdp_features, "ndo-xmit");
    else if (i.peer && i.peer->offloads.contains("rx-gro"))
        arrives = i.peer->offloads.at("rx-gro").on;
    const std::string text = "frames that XDP sends out of it arrive only if its far end has GRO "
                             "on or an XDP program";
    const std::string there = i.peer && !i.peer->name.empty() ? i.peer->name : "";
    if (arrives == true)
        out.push_back({Level::ok, i.name, "far-end", "it takes frames that XDP sends"});
    else if (!there.empty())
        out.push_back({arrives ? Level::warning : Level::note,
                       i.name,
                       "far-end",
                       text + (arrives ? ", and it has not" : ", which is not known"),
                       {{"ethtool", "-K", there, "gro", "on"}},
                       true});
    else
        out.push_back({arrives ? Level::warning : Level::note, i.name, "far-end",
                       text + (arrives ? ", and it has not" : ", which is not known") +
                           ": in the network namespace where it is, ethtool -K its name gro on"});
    if (i.peer && !i.peer->up)
        out.push_back({Level::warning, i.name, "far-end", "its far end is down"});
}

} // namespace evnf::preflight
