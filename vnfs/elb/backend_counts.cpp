// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/backend_counts.hpp"

namespace evnf::elb
{

namespace
{

json counter_json(const counter &c)
{
    return {{"packets", c.packets}, {"bytes", c.bytes}};
}

} // namespace

Result<BackendCounts> BackendCounts::bind(const bpf::MapSet &maps)
{
    auto counters = Counters::bind(maps, "elb_backend_counters");
    if (!counters)
        return counters.error();
    auto events = Events::bind(maps, "elb_backend_events");
    if (!events)
        return events.error();
    auto choices = Choices::bind(maps, "elb_backend_choices");
    if (!choices)
        return choices.error();
    return BackendCounts(*counters, *events, *choices);
}

Result<> BackendCounts::clear(unsigned backend)
{
    if (auto r = counters_.clear(backend); !r)
        return r;
    if (auto r = events_.clear(backend); !r)
        return r;
    return choices_.clear(backend);
}

json BackendCounts::describe(unsigned backend) const
{
    const auto c = counters_.sum(backend);
    const auto e = events_.sum(backend);
    return {{"connections", c.connections},
            {"established", c.established},
            {"moved", e.moved},
            {"resets", {{"by_client", e.client_resets}, {"by_backend", e.backend_resets}}},
            {"to_backend", counter_json(c.to_backend)},
            {"to_client", counter_json(c.to_client)}};
}

json BackendCounts::describe_affinity(unsigned backend) const
{
    const auto c = choices_.sum(backend);
    return {{"followed", c.followed}, {"not_kept", c.not_kept}};
}

std::vector<Metric> BackendCounts::metrics(unsigned backend, bool affinity) const
{
    const auto c = counters_.sum(backend);
    const auto e = events_.sum(backend);
    std::vector<Metric> out;
    const auto add = [&](const char *name, const char *help, std::uint64_t value) {
        out.push_back({name, help, {}, static_cast<double>(value)});
    };
    add("connections_total", "Connections placed on a backend", c.connections);
    add("established_total", "Of them, those that both sides spoke on", c.established);
    add("moved_total", "Of them, those that were opening on another backend before", e.moved);
    add("client_resets_total", "Frames with a RST from clients", e.client_resets);
    add("resets_total", "Frames with a RST from a backend", e.backend_resets);
    add("to_packets_total", "Frames sent to a backend", c.to_backend.packets);
    add("to_bytes_total", "Bytes sent to a backend", c.to_backend.bytes);
    add("from_packets_total", "Frames from a backend", c.to_client.packets);
    add("from_bytes_total", "Bytes from a backend", c.to_client.bytes);
    if (!affinity)
        return out;
    const auto of_choice = choices_.sum(backend);
    add("followed_total", "Connections placed where their client had been", of_choice.followed);
    add("not_kept_total", "Connections whose client found no room to be remembered",
        of_choice.not_kept);
    return out;
}

} // namespace evnf::elb
