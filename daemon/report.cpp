// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon tells of itself: status, counters, metrics.
#include <unistd.h>

#include <array>
#include <set>

#include "daemon/daemon.hpp"
#include "daemon/report.hpp"
#include "daemon/surroundings.hpp"

namespace evnf
{

namespace
{

constexpr std::array verdict_names{"next", "drop", "slow", "done"};

std::size_t verdict_index(unsigned reason)
{
    return (reason & VERDICT_MASK) >> 4;
}

const std::vector<Reason> &common_reasons()
{
    static const std::vector<Reason> reasons{CHAIN_REASONS(EVNF_REASON_ROW)};
    return reasons;
}

const std::vector<Reason> &forward_reasons()
{
    static const std::vector<Reason> reasons{FORWARD_REASONS(EVNF_REASON_ROW)};
    return reasons;
}

json counter_json(const counter &c)
{
    return {{"packets", c.packets}, {"bytes", c.bytes}};
}

void add(counter &to, const counter &c)
{
    to.packets += c.packets;
    to.bytes += c.bytes;
}

// A label's value as the text exposition format wants it.
std::string escaped(const std::string &s)
{
    std::string out;
    for (const char c : s) {
        if (c == '\\' || c == '"')
            out += '\\';
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

} // namespace

std::string verdict_name(unsigned reason)
{
    return verdict_names[verdict_index(reason)];
}

Reason find_reason(unsigned value, const std::vector<Reason> &own)
{
    for (const auto *list : {&common_reasons(), &own})
        for (const auto &r : *list)
            if (r.value == value)
                return r;
    return {value, "unknown", "a reason that this version does not know"};
}

const std::vector<Reason> &reasons_of(const Plan &plan, const Place &place)
{
    return place.kind == Place::Kind::stage ? plan.instance(place.instance).type->reasons
                                            : forward_reasons();
}

json Daemon::status() const
{
    json interfaces = json::array();
    const auto *current = plane_->current();
    for (const auto &chain : current->plan().chains)
        for (const auto &[name, first] : chain.entries) {
            json one{{"interface", name}, {"chain", chain.name}};
            const auto link = current->plan().links.find(name);
            const auto attached = plane_->attachments().find(name);
            one["ifindex"] = link == current->plan().links.end() ? 0 : link->second.ifindex;
            one["xdp"] = attached_mode(one["ifindex"]);
            one["program_id"] = 0;
            if (attached != plane_->attachments().end())
                if (auto id = attached->second.program_id())
                    one["program_id"] = *id;
            interfaces.push_back(std::move(one));
        }
    json instances = json::array();
    for (const auto &i : instances_of(state_.document))
        instances.push_back({{"name", i.name}, {"vnf", i.type->name}});
    const auto uptime = std::chrono::steady_clock::now() - started_;
    return {{"name", options_.name},
            {"version", EVNF_VERSION},
            {"abi", EVNF_ABI},
            {"pid", ::getpid()},
            {"uptime_s", std::chrono::duration_cast<std::chrono::seconds>(uptime).count()},
            {"generation", plane_->number()},
            {"config_file", options_.config},
            {"interfaces", std::move(interfaces)},
            {"instances", std::move(instances)},
            {"warnings", warnings()}};
}

// A packet that the kernel has as slow path before a stage that rewrites its destination
// must get through the kernel's routing with the old one.
std::vector<std::string> Daemon::route_warnings() const
{
    std::vector<std::string> out;
    const auto &plan = plane_->current()->plan();
    std::set<std::string> seen;
    for (const auto &chain : plan.chains)
        for (const auto &place : chain.places) {
            if (place.kind != Place::Kind::stage ||
                plan.instance(place.instance).exit != EXIT_STACK)
                continue;
            for (const std::size_t f :
                 chain.followers(static_cast<std::size_t>(&place - chain.places.data()))) {
                if (chain.places[f].kind != Place::Kind::stage)
                    continue;
                const Instance &next = plan.instance(chain.places[f].instance);
                if (!next.type->rewrites)
                    continue;
                for (const auto &d : next.type->rewrites(next.section)) {
                    if (!d.address || !seen.insert(d.address->text()).second)
                        continue;
                    auto route = rtnl_.route_to(d.address->address);
                    if (route && route->kind == RouteAnswer::Kind::unicast)
                        continue;
                    out.push_back(d.text + ": " + d.address->text() +
                                  " is this host's own or has no route, so what " + place.instance +
                                  " leaves to the kernel does not come to " + next.name +
                                  "; give it a route, such as ip route add " + d.address->text() +
                                  " via a gateway or dev a dummy interface");
                }
            }
        }
    return out;
}

std::vector<std::string> Daemon::warnings() const
{
    std::vector<std::string> out;
    const auto &plan = plane_->current()->plan();
    for (const auto &chain : plan.chains)
        for (const auto &[name, first] : chain.entries) {
            if (!plan.links.contains(name)) {
                out.push_back(name + " is missing: chain " + chain.name + " is not attached to it");
                continue;
            }
            if (chain.generic)
                out.push_back(name + " runs XDP in generic mode, which is slow");
            if (!chain.has(Place::Kind::route))
                continue;
            if (!interface_setting("ipv4", name, "forwarding"))
                out.push_back("IPv4 forwarding is off on " + name +
                              ", so nothing is routed from it: sysctl -w net.ipv4.conf." + name +
                              ".forwarding=1");
            if (!interface_setting("ipv6", name, "forwarding"))
                out.push_back("IPv6 forwarding is off on " + name +
                              ", so nothing is routed from it: sysctl -w "
                              "net.ipv6.conf.all.forwarding=1");
            if (std::max(interface_setting("ipv4", name, "rp_filter"),
                         interface_setting("ipv4", "all", "rp_filter")) == 1)
                out.push_back("rp_filter is on for " + name +
                              "; it does not see what the fast path forwards: use a rule of "
                              "efw for sources that may not come from there");
        }
    for (auto &line : route_warnings())
        out.push_back(std::move(line));
    if (auto misfits = misfits_of(state_.document, rtnl_))
        for (auto &one : *misfits)
            out.push_back(std::move(one.text));
    for (const auto &i : instances_of(state_.document))
        if (!plane_->current()->fast_path(i.name) && !i.type->diff(json(), i.section).empty())
            out.push_back(i.name + " has rules, but no chain has it as a stage");
    return out;
}

json Daemon::slot_json(const std::string &place, const std::string &name,
                       const std::vector<Reason> &own) const
{
    const unsigned slot = plane_->slots().at(place);
    std::array<counter, verdict_names.size()> verdicts{};
    json reasons = json::array();
    counter total{}, resumed{};
    for (unsigned value = 0; value < CHAIN_MAX_REASONS; ++value) {
        const counter c = plane_->current()->slot_counter(slot, value);
        if (c.packets == 0)
            continue;
        const Reason reason = find_reason(value, own);
        if (value == NEXT_RESUMED) { // counted before, when it left for the slow path
            resumed = c;
            continue;
        }
        add(verdicts[verdict_index(value)], c);
        add(total, c);
        reasons.push_back({{"reason", reason.name},
                           {"verdict", verdict_names[verdict_index(value)]},
                           {"packets", c.packets},
                           {"bytes", c.bytes},
                           {"help", reason.help}});
    }
    json by_verdict;
    for (std::size_t i = 0; i < verdicts.size(); ++i)
        by_verdict[verdict_names[i]] = counter_json(verdicts[i]);
    return {{"slot", slot},
            {"name", name},
            {"packets", total.packets},
            {"bytes", total.bytes},
            {"verdicts", std::move(by_verdict)},
            {"resumed", counter_json(resumed)},
            {"reasons", std::move(reasons)}};
}

json Daemon::chains() const
{
    json out = json::array();
    for (const auto &chain : plane_->current()->plan().chains) {
        json slots = json::array();
        json interfaces = json::array();
        for (const auto &entry : chain.entries) {
            interfaces.push_back(entry.interface);
            slots.push_back(
                slot_json(root_place(chain, entry.interface), "root@" + entry.interface, {}));
        }
        for (const auto &place : chain.places)
            slots.push_back(slot_json(slot_place(chain, place), place.name,
                                      reasons_of(plane_->current()->plan(), place)));
        out.push_back({{"name", chain.name},
                       {"path", chain.path},
                       {"interfaces", std::move(interfaces)},
                       {"slots", std::move(slots)}});
    }
    return out;
}

json Daemon::show_instance(const Instance &instance) const
{
    const auto *fast_path = plane_->current()->fast_path(instance.name);
    return fast_path ? fast_path->show(instance.section) : instance.section;
}

json Daemon::history() const
{
    json out = json::array();
    for (const auto &c : state_.history)
        out.push_back(
            {{"number", c.number}, {"time", c.time}, {"what", c.what}, {"changes", c.lines}});
    return out;
}

Result<json> Daemon::show(const VnfType &type, const std::string &instance) const
{
    auto name = find_instance(type, instance);
    if (!name)
        return name.error();
    return show_instance({*name, &type, own_keys(state_.document[*name])});
}

namespace
{

// Packets for user space, and who handles them.
json workers_json(const FastPlane &plane)
{
    Workers::Counts c;
    copy_count copies{};
    if (const auto *workers = plane.current()->workers()) {
        c = workers->counts();
        for (unsigned slot = 0; slot < CHAIN_MAX_SLOTS; ++slot) {
            copies.sent += workers->copies(slot).sent;
            copies.lost += workers->copies(slot).lost;
        }
    }
    return {{"workers", c.workers},        {"handled", c.handled},
            {"refused", c.refused},        {"failed", c.failed},
            {"copies_sent", copies.sent},  {"copies_lost", copies.lost},
            {"xsk_lost", plane.xsk_lost()}};
}

} // namespace

json Daemon::counters() const
{
    const auto n = nexthops_->counts();
    json out{{"chains", chains()},
             {"nexthops", {{"resolved", n.resolved}, {"slow", n.slow}, {"pending", n.pending}}}};
    if (auto lost = bpf::PerCpuCounters<__u64>::bind(plane_->current()->maps(), "events_lost"))
        out["events_lost"] = {{"nexthop_miss", lost->sum(EVENT_NEXTHOP_MISS)}};
    out["workers"] = workers_json(*plane_);
    for (const auto &i : instances_of(state_.document))
        out[i.name] = show_instance(i);
    return out;
}

std::string Daemon::metrics() const
{
    // Samples of one metric must stand together, under one HELP and TYPE.
    std::map<std::string, std::pair<std::string, std::string>> families; // name: help, samples
    auto sample = [&](const Metric &m) {
        auto &[help, lines] = families[m.name];
        help = m.help;
        std::string labels;
        for (const auto &[name, value] : m.labels)
            labels += (labels.empty() ? "" : ",") + name + "=\"" + escaped(value) + "\"";
        const bool whole = m.value == static_cast<double>(static_cast<std::uint64_t>(m.value));
        lines += m.name + (labels.empty() ? "" : "{" + labels + "}") + " " +
                 (whole ? std::to_string(static_cast<std::uint64_t>(m.value))
                        : std::to_string(m.value)) +
                 "\n";
    };
    for (const auto &chain : chains())
        for (const auto &slot : chain["slots"])
            for (const auto &reason : slot["reasons"])
                for (const auto *unit : {"packets", "bytes"})
                    sample({"evnf_slot_" + std::string(unit) + "_total",
                            "Frames (and their bytes) that left a place of a chain, by reason",
                            {{"chain", chain["name"]},
                             {"slot", slot["name"]},
                             {"verdict", reason["verdict"]},
                             {"reason", reason["reason"]}},
                            reason[unit].get<double>()});
    const json all = counters();
    for (const auto &[state, n] : all["nexthops"].items())
        sample({"evnf_nexthops", "Destinations whose next hop is known", {{"state", state}}, n});
    for (const auto &[type, n] : all["events_lost"].items())
        sample({"evnf_events_lost_total",
                "Events that the ring buffer had no room for",
                {{"type", type}},
                n});
    sample({"evnf_copies_lost_total",
            "Copies for workers that had no room for them",
            {},
            all["workers"]["copies_lost"]});
    for (const auto &i : instances_of(state_.document))
        if (const auto *fast_path = plane_->current()->fast_path(i.name))
            for (auto &m : fast_path->metrics(i.section)) {
                m.labels.insert(m.labels.begin(), {"instance", i.name});
                sample(m);
            }

    std::string out;
    for (const auto &[name, family] : families) {
        const bool is_counter = name.ends_with("_total");
        out += "# HELP " + name + " " + family.first + "\n# TYPE " + name +
               (is_counter ? " counter\n" : " gauge\n") + family.second;
    }
    return out;
}

} // namespace evnf
