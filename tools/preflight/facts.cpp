// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/facts.hpp"

namespace nlohmann
{

// null is what is not known.
template <class T>
struct adl_serializer<std::optional<T>> {
    static void to_json(json &out, const std::optional<T> &value)
    {
        out = value ? json(*value) : json();
    }
    static void from_json(const json &in, std::optional<T> &value)
    {
        value = in.is_null() ? std::nullopt : std::optional<T>(in.get<T>());
    }
};

} // namespace nlohmann

namespace evnf::preflight
{

#define FIELDS NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT
FIELDS(Missing, name, reason)
FIELDS(Host, kernel, cpus, cpus_possible, page_size, btf, jit, bpffs, clsact, capabilities, helpers,
       memory_available, memory_left, irqbalance)
FIELDS(Channels, combined, rx, tx, max_combined, max_rx, max_tx)
FIELDS(Offload, on, fixed)
FIELDS(Interrupt, number, name, cpus)
FIELDS(XdpProgram, id, name, mode, owner, dispatcher)
FIELDS(Peer, name, mtu, up, tx_queues, offloads)
FIELDS(Interface, name, present, up, ethernet, mtu, driver, kind, lower, master, members,
       xdp_features, channels, offloads, virtio_features, interrupts, rps_queues, programs, peer,
       forwarding4, forwarding6, rp_filter)
FIELDS(Trial, error, bytes)
FIELDS(Misplaced, text, may_pass)
FIELDS(ChainFacts, name, path, generic, receives, sends, routes, resumes)

namespace
{

struct Whole : Facts {
};
FIELDS(Whole, host, interfaces, chains, misfits, trial)

} // namespace
#undef FIELDS

nlohmann::json to_json(const Facts &facts)
{
    return Whole{facts};
}

Facts facts_from_json(const nlohmann::json &text)
{
    return text.get<Whole>();
}

} // namespace evnf::preflight
