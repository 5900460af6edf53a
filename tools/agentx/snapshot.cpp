// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/agentx/snapshot.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>

#include "base/net.hpp"

namespace evnf::agentx
{

namespace
{

constexpr std::size_t text_limit = 255;    // of a DisplayString
constexpr std::size_t index_limit = 64;    // of names that are the last of an index
constexpr std::size_t instance_limit = 40; // of evnfInstanceName

enum Table : unsigned long {
    daemon_scalars = 1,
    warnings,
    interfaces,
    chains,
    slots,
    reasons,
    instances,
    efw,
    efw_rules,
    edpi,
    edpi_applications,
    elb_services,
    elb_backends,
};

Value counter(const json &n)
{
    return Counter{n.get<std::uint64_t>()};
}

Value gauge(std::uint64_t n)
{
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    return Gauge{static_cast<std::uint32_t>(std::min(n, most))};
}

Value gauge(const json &n)
{
    return gauge(n.get<std::uint64_t>());
}

Value thousandths(const json &n)
{
    return gauge(static_cast<std::uint64_t>(std::lround(std::max(n.get<double>(), 0.0) * 1000)));
}

Value truth(bool b)
{
    return Integer{b ? 1 : 2};
}

// Of UTF-8, one question mark for each character that is not ASCII.
std::string ascii(const std::string &given)
{
    std::string out;
    for (const char c : given)
        if (c >= ' ' && c <= '~')
            out += c;
        else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80)
            out += '?';
    return out.substr(0, text_limit);
}

Value text(const json &s)
{
    return ascii(s.get<std::string>());
}

// A name as the last part of an index; none if it is too long for that.
std::optional<Oid> last_index(const std::string &name)
{
    const std::string shown = ascii(name);
    if (shown.empty() || shown.size() > index_limit)
        return {};
    return Oid(shown.begin(), shown.end());
}

// Of an instance, with its length before it.
std::optional<Oid> instance_index(const std::string &name)
{
    const std::string shown = ascii(name);
    if (shown.empty() || shown.size() > instance_limit)
        return {};
    Oid out{shown.size()};
    out.insert(out.end(), shown.begin(), shown.end());
    return out;
}

Oid joined(Oid first, const Oid &second)
{
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

class Builder
{
public:
    // The row's columns from `first` on; none: the row has no instance there.
    void row(Table table, const Oid &index, unsigned first,
             std::initializer_list<std::optional<Value>> columns)
    {
        unsigned long column = first;
        for (const auto &value : columns) {
            if (value)
                out_.emplace_back(joined({1, table, 1, column}, index), *value);
            ++column;
        }
    }
    void scalars(unsigned first, std::initializer_list<Value> values)
    {
        unsigned long number = first;
        for (const auto &value : values)
            out_.emplace_back(Oid{1, daemon_scalars, number++, 0}, value);
    }
    Snapshot take() &&
    {
        const auto by_name = [](const auto &a, const auto &b) { return a.first < b.first; };
        const auto same = [](const auto &a, const auto &b) { return a.first == b.first; };
        // Names that differ only where they are not ASCII: the first one is told.
        std::stable_sort(out_.begin(), out_.end(), by_name);
        out_.erase(std::unique(out_.begin(), out_.end(), same), out_.end());
        return std::move(out_);
    }

private:
    Snapshot out_;
};

void add_daemon(Builder &b, const json &status, const json &counters)
{
    const auto ticks = static_cast<std::uint32_t>(status.at("uptime_s").get<std::uint64_t>() * 100);
    b.scalars(1,
              {truth(true), std::string(), text(status.at("name")), text(status.at("version")),
               Ticks{ticks}, gauge(status.at("generation")), gauge(status.at("warnings").size())});
    const json &hops = counters.at("nexthops");
    const json &workers = counters.at("workers");
    b.scalars(8,
              {gauge(hops.at("resolved")), gauge(hops.at("slow")), gauge(hops.at("pending")),
               counter(counters.at("events_lost").at("nexthop_miss")), gauge(workers.at("workers")),
               counter(workers.at("handled")), counter(workers.at("refused")),
               counter(workers.at("failed")), counter(workers.at("xsk_lost")),
               counter(workers.at("copies_sent")), counter(workers.at("copies_lost"))});
    unsigned long number = 0;
    for (const auto &warning : status.at("warnings"))
        b.row(warnings, {++number}, 2, {text(warning)});
    for (const auto &one : status.at("interfaces"))
        if (const auto index = last_index(one.at("interface")))
            b.row(interfaces, *index, 2,
                  {Integer{one.at("ifindex").get<std::int32_t>()}, text(one.at("chain")),
                   truth(one.at("program_id") != 0), text(one.at("xdp")),
                   gauge(one.at("program_id"))});
}

void add_slot(Builder &b, const json &chain, const json &slot)
{
    const Oid number{slot.at("slot").get<unsigned long>()};
    const auto packets = [](const json &c) { return counter(c.at("packets")); };
    const auto bytes = [](const json &c) { return counter(c.at("bytes")); };
    const json &v = slot.at("verdicts");
    const json &next = v.at("next"), &drop = v.at("drop"), &slow = v.at("slow"),
               &done = v.at("done"), &resumed = slot.at("resumed");
    b.row(slots, number, 2,
          {text(chain.at("name")), text(slot.at("name")), packets(slot), bytes(slot), packets(next),
           bytes(next), packets(drop), bytes(drop), packets(slow), bytes(slow), packets(done),
           bytes(done), packets(resumed), bytes(resumed)});
    for (const auto &reason : slot.at("reasons"))
        if (const auto name = last_index(reason.at("reason")))
            b.row(reasons, joined(number, *name), 2,
                  {text(reason.at("verdict")), packets(reason), bytes(reason),
                   text(reason.at("help"))});
}

void add_efw(Builder &b, const Oid &instance, const json &shown)
{
    const json &answers = shown.at("answers"), &log = shown.at("log"), &memory = shown.at("memory");
    b.row(efw, instance, 1,
          {gauge(shown.at("rules").size()), text(shown.at("default")),
           counter(shown.at("default_packets")), counter(shown.at("default_bytes")),
           counter(answers.at("sent")), counter(answers.at("limited")),
           counter(answers.at("silent")), counter(answers.at("failed")), counter(log.at("written")),
           counter(log.at("left_out")), gauge(memory.at("used")), gauge(memory.at("room"))});
    for (const auto &rule : shown.at("rules"))
        b.row(efw_rules, joined(instance, {rule.at("id").get<unsigned long>()}), 2,
              {text(rule.at("action")), counter(rule.at("packets")), counter(rule.at("bytes")),
               text(rule.at("rule"))});
}

void add_edpi(Builder &b, const Oid &instance, const json &shown, const json &told)
{
    const json &load = shown.at("load"), &unaccounted = load.at("unaccounted");
    b.row(edpi, instance, 1,
          {gauge(load.at("flows")), gauge(shown.at("flows")), gauge(load.at("inspected")),
           gauge(shown.at("inspected")), counter(load.at("records")),
           counter(load.at("lost_records")), counter(unaccounted.at("packets")),
           counter(unaccounted.at("bytes"))});
    for (const auto &one : told.at("applications"))
        if (const auto name = last_index(one.at("application")))
            b.row(edpi_applications, joined(instance, *name), 2,
                  {text(one.at("category")), gauge(one.at("active")), counter(one.at("flows")),
                   counter(one.at("packets")), counter(one.at("bytes"))});
}

// By service and backend, whose load is known.
json loads_of(const json &feedback)
{
    json out = json::object();
    for (const auto &service : feedback)
        for (const auto &backend : service.at("backends"))
            if (backend.contains("aggregate"))
                out[service.at("service").get<std::string>() + " " +
                    backend.at("backend").get<std::string>()] = backend["aggregate"];
    return out;
}

std::string endpoint_text(const json &backend)
{
    const auto address = Address::parse(backend.at("address").get<std::string>());
    return Endpoint{address ? *address : Address(), backend.value("port", std::uint16_t{0})}.text();
}

void add_backend(Builder &b, const Oid &instance, const std::string &service, const json &shown,
                 const json &checked, const json &loads)
{
    const std::string name = checked.at("backend");
    const auto packets = [](const json &c) { return counter(c.at("packets")); };
    const auto bytes = [](const json &c) { return counter(c.at("bytes")); };
    const bool checks = checked.at("check") != "none";
    const auto if_checked = [&](const char *key) {
        return checks ? std::optional(counter(checked.at(key))) : std::nullopt;
    };
    const auto load = loads.find(service + " " + name);
    const json &to = shown.at("to_backend"), &from = shown.at("to_client"),
               &resets = shown.at("resets");
    b.row(elb_backends, joined(instance, {shown.at("id").get<unsigned long>()}), 2,
          {ascii(service),
           ascii(name),
           text(checked.at("state")),
           truth(checked.at("state") != "down"),
           truth(checked.at("backup").get<bool>()),
           gauge(checked.at("weight")),
           thousandths(checked.at("effective")),
           thousandths(shown.at("share")),
           load == loads.end() ? std::nullopt : std::optional(thousandths(*load)),
           gauge(shown.at("active")),
           counter(shown.at("connections")),
           counter(shown.at("established")),
           counter(shown.at("moved")),
           packets(to),
           bytes(to),
           packets(from),
           bytes(from),
           counter(resets.at("by_backend")),
           counter(resets.at("by_client")),
           if_checked("checks"),
           if_checked("failed")});
}

// Services and backends are in the same order in both; where they have changed in between,
// there is nothing to tell of them yet.
void add_elb(Builder &b, const Oid &instance, const json &shown, const json &health,
             const json &feedback)
{
    const json loads = loads_of(feedback);
    const json &services = shown.at("service");
    for (std::size_t i = 0; i < std::min(services.size(), health.size()); ++i) {
        const std::string name = health[i].at("service");
        const json &rows = services[i].at("backends"), &checked = health[i].at("backends");
        unsigned up = 0;
        for (std::size_t k = 0; k < std::min(rows.size(), checked.size()); ++k) {
            up += checked[k].at("state") != "down";
            if (endpoint_text(rows[k]) == checked[k].at("backend"))
                add_backend(b, instance, name, rows[k], checked[k], loads);
        }
        if (const auto index = last_index(name))
            b.row(elb_services, joined(instance, *index), 2,
                  {gauge(checked.size()), gauge(std::uint64_t{up}),
                   truth(health[i].at("panics").get<bool>()),
                   truth(health[i].at("on_backups").get<bool>())});
    }
}

} // namespace

Snapshot snapshot_of(const Answers &a)
{
    Builder b;
    add_daemon(b, a.status, a.counters);
    for (const auto &chain : a.counters.at("chains")) {
        if (const auto name = last_index(chain.at("name")))
            b.row(chains, *name, 2, {text(chain.at("path"))});
        for (const auto &slot : chain.at("slots"))
            add_slot(b, chain, slot);
    }
    for (const auto &one : a.status.at("instances")) {
        const std::string name = one.at("name"), vnf = one.at("vnf");
        const auto index = instance_index(name);
        if (!index || !a.counters.contains(name))
            continue;
        b.row(instances, *index, 2, {ascii(vnf)});
        const json &shown = a.counters.at(name);
        // One of a VNF that no chain has is only its section, without numbers.
        if (vnf == "efw" && shown.contains("answers"))
            add_efw(b, *index, shown);
        else if (vnf == "edpi" && a.applications.contains(name))
            add_edpi(b, *index, shown, a.applications[name]);
        else if (vnf == "elb" && a.health.contains(name))
            add_elb(b, *index, shown, a.health[name], a.feedback.at(name));
    }
    return std::move(b).take();
}

Snapshot snapshot_without(const std::string &problem)
{
    Builder b;
    b.scalars(1, {truth(false), ascii(problem)});
    return std::move(b).take();
}

} // namespace evnf::agentx
