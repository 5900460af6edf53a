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

struct Application {
    std::string category;
    Flows::Sum sum;
};

// By name: nDPI has more than one pair of numbers for some.
std::map<std::string, Application> by_name(const Flows &flows)
{
    std::map<std::string, Application> out;
    for (const auto &[application, sum] : flows.sums()) {
        auto &[category, all] = out[flows.name(application)];
        category = flows.category(application);
        all.flows += sum.flows;
        all.active += sum.active;
        all.exported += sum.exported;
        all.open += sum.open;
    }
    return out;
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
    add("records_lost_total", "Records written to a socket whose reader did not get them",
        load.lost);
    const counter open = flows.table().unaccounted(), told = flows.exported_unaccounted();
    add("unaccounted_packets_total", "Frames whose flow had no room in the table",
        open.packets + told.packets);
    add("unaccounted_bytes_total", "Their bytes", open.bytes + told.bytes);
    for (const auto &[name, application] : by_name(flows)) {
        const Labels labels{{"application", name}};
        const auto &sum = application.sum;
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
            {"lost_records", load.lost},
            {"unaccounted",
             {{"packets", open.packets + told.packets}, {"bytes", open.bytes + told.bytes}}}};
}

json applications_json(const Flows &flows)
{
    json rows = json::array();
    for (const auto &[name, application] : by_name(flows)) {
        const auto &sum = application.sum;
        rows.push_back({{"application", name},
                        {"category", application.category},
                        {"active", sum.active},
                        {"flows", sum.flows + sum.active},
                        {"packets", both(sum.exported.packets) + both(sum.open.packets)},
                        {"bytes", both(sum.exported.bytes) + both(sum.open.bytes)}});
    }
    json out = load_json(flows);
    out["applications"] = std::move(rows);
    return out;
}

} // namespace evnf::edpi
