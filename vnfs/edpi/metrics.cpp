// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/metrics.hpp"

namespace evnf::edpi
{

namespace
{

std::uint64_t both(const std::uint64_t (&ends)[2])
{
    return ends[0] + ends[1];
}

} // namespace

std::vector<Metric> metrics(const Flows &flows)
{
    std::vector<Metric> out;
    using Labels = decltype(Metric::labels);
    const auto add = [&](const char *name, const char *help, std::uint64_t value,
                         const Labels &labels = {}) {
        out.push_back({std::string("evnf_edpi_") + name, help, labels, static_cast<double>(value)});
    };
    const auto load = flows.load();
    add("flows", "Flows in the table", load.used);
    add("flows_inspected", "Flows of which packets are being inspected", load.inspected);
    add("records_total", "Records written", load.records);
    const counter open = flows.table().unaccounted(), told = flows.exported_unaccounted();
    add("unaccounted_packets_total", "Frames whose flow had no room in the table",
        open.packets + told.packets);
    add("unaccounted_bytes_total", "Their bytes", open.bytes + told.bytes);
    for (const auto &[application, sum] : flows.sums()) {
        const Labels labels{{"application", flows.name(application)}};
        add("application_flows_total", "Flows that have ended", sum.flows, labels);
        add("application_packets_total", "Frames in records", both(sum.exported.packets), labels);
        add("application_bytes_total", "Bytes in records", both(sum.exported.bytes), labels);
    }
    return out;
}

json load_json(const Flows &flows)
{
    const auto load = flows.load();
    const counter open = flows.table().unaccounted(), told = flows.exported_unaccounted();
    return {{"flows", load.used},
            {"inspected", load.inspected},
            {"records", load.records},
            {"unaccounted",
             {{"packets", open.packets + told.packets}, {"bytes", open.bytes + told.bytes}}}};
}

json applications_json(const Flows &flows)
{
    json rows = json::array();
    for (const auto &[application, sum] : flows.sums())
        rows.push_back({{"application", flows.name(application)},
                        {"category", flows.category(application)},
                        {"active", sum.active},
                        {"flows", sum.flows + sum.active},
                        {"packets", both(sum.exported.packets) + both(sum.open.packets)},
                        {"bytes", both(sum.exported.bytes) + both(sum.open.bytes)}});
    json out = load_json(flows);
    out["applications"] = std::move(rows);
    return out;
}

} // namespace evnf::edpi
