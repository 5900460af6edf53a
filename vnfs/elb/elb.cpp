// SPDX-License-Identifier: GPL-2.0-or-later
// elb for the daemon: loads the fast path and keeps its services and slot tables.
#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "base/log.hpp"
#include "elb.skel.h"
#include "vnfs/elb/backend_counts.hpp"
#include "vnfs/elb/clients.hpp"
#include "vnfs/elb/composition.hpp"
#include "vnfs/elb/conn_verbs.hpp"
#include "vnfs/elb/connections.hpp"
#include "vnfs/elb/direct.hpp"
#include "vnfs/elb/ender.hpp"
#include "vnfs/elb/keys.hpp"
#include "vnfs/elb/leftovers.hpp"
#include "vnfs/elb/monitor/weights.hpp"
#include "vnfs/elb/openings.hpp"
#include "vnfs/elb/owners.hpp"
#include "vnfs/elb/section.hpp"
#include "vnfs/elb/slot_tables.hpp"

namespace evnf::elb
{

namespace
{

using Skeleton = bpf::Skeleton<elb_bpf>;
using ServiceMap = bpf::Map<elb_service_key, elb_service>;
using RangeMap = bpf::Map<elb_range_key, elb_service>;
using NumberMap = bpf::Map<__u32, __u32>;

// What has which id.
std::map<unsigned, std::string> backends_of(const std::vector<Service> &services)
{
    std::map<unsigned, std::string> out;
    for (const auto &s : services)
        for (const auto &b : s.backends)
            out.emplace(b.id, s.name() + " " + b.endpoint.text());
    return out;
}

class ElbFastPath : public FastPath, public HasWeights
{
public:
    ElbFastPath(Skeleton skel, BackendCounts counters, ServiceMap services, RangeMap ranges,
                NumberMap many_ports, OwnerTable owners, SlotTables slots, NumberMap opening_time,
                Connections connections, Leftovers leftovers, Clients clients)
        : skel_(std::move(skel)),
          counters_(counters),
          services_(services),
          ranges_(ranges),
          many_ports_(many_ports),
          owners_(std::move(owners)),
          slots_(std::move(slots)),
          opening_time_(opening_time),
          connections_(std::move(connections)),
          leftovers_(std::move(leftovers)),
          clients_(std::move(clients))
    {
    }

    // Counters that go on: those of the backends in force until now. And their connections do.
    void adopt(const json &running)
    {
        if (!running.is_object())
            return;
        leftovers_.anywhere(std::chrono::steady_clock::now());
        counting_ = backends_of(services_of(running));
    }

    [[nodiscard]] int program() const override { return bpf_program__fd(skel_->progs.elb); }

    Result<> apply(const json &section) override
    {
        const auto before = in_force_;
        auto r = bring(weights_.of(section));
        if (r) {
            weights_.put_in_force(section);
            timeouts_ = timeouts_of(section);
            clients_.put(in_force_);
            return opening_time_.put(0, timeouts_.all.opening);
        }
        if (auto back = bring(before); !back)
            return std::move(r).context("after this, going back failed too (" +
                                        back.error().message() + ")");
        return r;
    }

    Result<> restore(const std::string &folder) override
    {
        weights_.restore(folder);
        return bring(weights_.now());
    }
    Result<> keep(const std::string & /*folder*/) override { return weights_.keep(); }
    void tick() override
    {
        const auto now = std::chrono::steady_clock::now();
        owners_.forget(now);
        if (auto r = connections_.tick(now, timeouts_); !r)
            log_error("age the connections of elb", r.error(), {{"vnf", "elb"}});
        if (auto fewer = leftovers_.tick(in_force_, now); !fewer)
            log_error("elb", fewer.error(), {{"vnf", "elb"}});
        else if (*fewer)
            if (auto r = put_alone(alone(in_force_, leftovers_)); !r)
                log_error("elb", r.error(), {{"vnf", "elb"}});
        if (auto r = clients_.tick(connections_.clock()); !r)
            log_error("forget clients of elb", r.error(), {{"vnf", "elb"}});
        weights_.tell();
        if (auto r = reweigh(); !r)
            log_error("elb: weights", r.error(), {{"vnf", "elb"}});
        // Now no slot leads there any more.
        if (auto r = ender_.tick(connections_, weights_.over()); !r)
            log_error("end connections of elb", r.error(), {{"vnf", "elb"}});
    }
    Weights &weights() override { return weights_; }
    Result<> reweigh() override { return bring(weights_.now()); }

    [[nodiscard]] json show(const json &section) const override
    {
        json out{{"connections", section["connections"]},
                 {"timeouts", to_json(timeouts_of(section).all)},
                 {"service", json::array()}};
        for (const auto &s : services_of(section)) {
            unsigned total = 0;
            for (const auto &b : s.backends)
                total += b.weight;
            json backends = json::array();
            for (const auto &b : s.backends) {
                json row{{"id", b.id},
                         {"address", b.endpoint.address.text()},
                         {"weight", b.weight},
                         {"share", total ? static_cast<double>(b.weight) / total : 0.0},
                         {"slots", slots_.held(b.id)},
                         {"active", connections_.active().count(b.id)}};
                row.update(counters_.describe(b.id));
                if (s.choice.by_source)
                    row["affinity"] = counters_.describe_affinity(b.id);
                backends.push_back(std::move(row));
                if (b.endpoint.port)
                    backends.back()["port"] = b.endpoint.port;
            }
            out["service"].push_back({{"address", s.address.text()},
                                      {"port", s.ports.to_json()},
                                      {"protocol", protocol_text(s.protocol)},
                                      {"backends", std::move(backends)}});
            const std::size_t index = out["service"].size() - 1;
            if (const auto own = own_timeouts(section, index))
                out["service"].back()["timeouts"] = to_json(*own);
            for (const auto *keys : {&choice_keys, &forwarding_keys})
                for (const auto &key : *keys)
                    if (const json &given = section["service"][index]; given.contains(key))
                        out["service"].back()[key] = given[key];
        }
        weights_.describe(out);
        return out;
    }

    [[nodiscard]] std::vector<Metric> metrics(const json &section) const override
    {
        std::vector<Metric> out = weights_.metrics();
        out.push_back({"evnf_elb_ended_connections_total",
                       "Connections ended since their backend was down, or drained",
                       {},
                       static_cast<double>(ender_.ended())});
        for (const auto &s : services_of(section))
            for (const auto &b : s.backends) {
                auto samples = counters_.metrics(b.id, s.choice.by_source);
                auto add = [&](const char *name, const char *help, std::size_t value) {
                    samples.push_back({name, help, {}, static_cast<double>(value)});
                };
                add("weight", "Share of new connections, relative", b.weight);
                add("slots", "Of a service's slots, those that a backend holds", slots_.held(b.id));
                add("active", "Established connections that neither side has ended",
                    connections_.active().count(b.id));
                for (auto &sample : samples) {
                    sample.name.insert(0, "evnf_elb_backend_");
                    sample.labels = {{"service", s.name()}, {"backend", b.endpoint.text()}};
                    out.push_back(std::move(sample));
                }
            }
        return out;
    }

    Connections &connections() { return connections_; }

private:
    // Brings the maps to `wanted`. What appears does so after what it refers to, what
    // disappears before; what is the same is not touched, unless the change before broke off.
    Result<> bring(const std::vector<Service> &wanted)
    {
        if (wanted == in_force_ && !broken_off_)
            return Unit{};
        auto r = bring_all(wanted);
        broken_off_ = !r;
        return r;
    }

    Result<> bring_all(const std::vector<Service> &wanted)
    {
        if (auto r = clear_new_counters(wanted); !r)
            return r;
        const Hosts hosts = hosts_of(wanted);
        for (const auto &host : hosts)
            if (!hosts_.contains(host)) {
                if (auto r = services_.put(host, elb_service{}); !r)
                    return r;
                hosts_.insert(host);
            }
        const bool many = has_many_ports(wanted);
        if (many)
            if (auto r = many_ports_.put(0, 1); !r)
                return r;
        if (auto r = owners_.bring(wanted); !r)
            return r;
        leftovers_.gone(in_force_, wanted, std::chrono::steady_clock::now());
        if (auto stay = alone_with(wanted); stay != alone_) {
            if (auto r = put_alone(std::move(stay)); !r)
                return r;
            // Those that have seen the service alone look for nobody's way back.
            bpf::wait_for_packets_in_flight();
        }
        if (auto r = bring_services(wanted); !r)
            return r;
        std::set<std::string> names;
        for (const auto &s : wanted)
            names.insert(s.name());
        const std::vector<Service> before = in_force_;
        for (const auto &s : before)
            if (!names.contains(s.name()))
                remove_service(s);
        // One that has gone may have had another's ports.
        if (in_force_.size() != before.size() || broken_off_)
            for (const auto &s : in_force_)
                if (auto r = put_ports(s, indexes_.at(s.name())); !r)
                    return std::move(r).context("service " + s.name());
        for (auto it = hosts_.begin(); it != hosts_.end();) {
            if (!hosts.contains(*it)) {
                services_.erase(*it);
                it = hosts_.erase(it);
            } else {
                ++it;
            }
        }
        in_force_ = wanted; // in that order
        counting_ = backends_of(wanted);
        if (auto r = put_alone(alone(in_force_, leftovers_)); !r)
            return r;
        if (many || owners_.has_past()) // which may keep the client's port
            return Unit{};
        return many_ports_.put(0, 0);
    }

    // Of the services in force, those that stay alone while these come.
    [[nodiscard]] std::set<std::string> alone_with(const std::vector<Service> &wanted) const
    {
        std::vector<Service> both = in_force_;
        both.insert(both.end(), wanted.begin(), wanted.end());
        std::set<std::string> out = alone(both, leftovers_);
        std::erase_if(out, [&](const std::string &name) { return !alone_.contains(name); });
        return out;
    }

    // Which services are alone from now on, see abi.h.
    Result<> put_alone(std::set<std::string> names)
    {
        std::swap(alone_, names);
        for (const auto &s : in_force_)
            if (alone_.contains(s.name()) != names.contains(s.name()))
                if (auto r = put_ports(s, indexes_.at(s.name())); !r)
                    return std::move(r).context("service " + s.name());
        return Unit{};
    }

    Result<> clear_new_counters(const std::vector<Service> &wanted)
    {
        for (const auto &[id, name] : backends_of(wanted))
            if (const auto known = counting_.find(id);
                known == counting_.end() || known->second != name)
                if (auto r = counters_.clear(id); !r)
                    return r;
        return Unit{};
    }

    // The slots of those that have changed, and the ports of those that are new.
    Result<> bring_services(const std::vector<Service> &wanted)
    {
        std::map<std::string, Service *> old;
        for (auto &s : in_force_)
            old.emplace(s.name(), &s);
        std::vector<SlotTables::Placed> changed;
        std::vector<const Service *> fresh;
        for (const auto &s : wanted) {
            const std::string name = s.name();
            if (const auto known = old.find(name); known == old.end()) {
                fresh.push_back(&s);
                indexes_.emplace(name, free_index());
            } else if (*known->second == s) {
                continue;
            }
            changed.push_back({indexes_.at(name), &s});
        }
        if (auto r = slots_.put(changed); !r) {
            for (const Service *s : fresh)
                indexes_.erase(s->name());
            return r;
        }
        for (const auto &[index, service] : changed)
            if (const auto known = old.find(service->name()); known != old.end())
                *known->second = *service;
        for (const Service *s : fresh) {
            in_force_.push_back(*s);
            if (auto r = put_ports(*s, indexes_.at(s->name())); !r)
                return std::move(r).context("service " + s->name());
        }
        return Unit{};
    }

    // What is half put is taken away again by who brings the maps back.
    Result<> put_ports(const Service &s, __u32 index)
    {
        const elb_service service{index, alone_.contains(s.name()) ? 1U : 0U};
        for (const auto &range : s.ports.ranges()) {
            if (range.is_one()) {
                if (auto r = services_.put(key_of(s, range.first), service); !r)
                    return r;
                continue;
            }
            for (const auto &prefix : prefixes_of(range))
                if (auto r = ranges_.put(range_key(s, prefix), service); !r)
                    return r;
        }
        return Unit{};
    }

    void remove_service(const Service &s)
    {
        const __u32 index = indexes_.at(s.name());
        const auto erase = [&](auto &map, const auto &key) {
            if (const auto has = map.get(key); has && has->index == index)
                map.erase(key); // else it is another's by now
        };
        for (const auto &range : s.ports.ranges()) {
            if (range.is_one())
                erase(services_, key_of(s, range.first));
            else
                for (const auto &prefix : prefixes_of(range))
                    erase(ranges_, range_key(s, prefix));
        }
        slots_.remove(index);
        indexes_.erase(s.name());
        std::erase_if(in_force_, [&](const Service &other) { return other.name() == s.name(); });
    }

    [[nodiscard]] __u32 free_index() const
    {
        std::set<__u32> taken;
        for (const auto &[name, index] : indexes_)
            taken.insert(index);
        __u32 index = 0; // there is one: check_section() bounds the services
        while (taken.contains(index))
            ++index;
        return index;
    }

    Skeleton skel_;
    BackendCounts counters_;
    ServiceMap services_;
    RangeMap ranges_;
    NumberMap many_ports_;
    OwnerTable owners_;
    SlotTables slots_;
    NumberMap opening_time_;
    BackendTimeouts timeouts_;
    Connections connections_;
    Leftovers leftovers_;
    Clients clients_;
    std::set<std::string> alone_; // services, by name
    std::vector<Service> in_force_;
    bool broken_off_ = false;              // the last change: the maps may have parts of both
    std::map<std::string, __u32> indexes_; // of services in force, by name
    Hosts hosts_;
    std::map<unsigned, std::string> counting_; // see backends_of()
    Weights weights_;
    Ender ender_;
};

// Lines of what was found of late: of all CPUs together, and the least for each.
constexpr std::size_t all_lines = 256 * 1024, least_lines = 16 * 1024;

Result<> set_lines(bpf::MapSet &maps)
{
    auto cpus = bpf::possible_cpus();
    if (!cpus)
        return cpus.error();
    const std::size_t each = std::max(std::bit_floor(all_lines / *cpus), least_lines);
    maps.set_size("elb_lines", static_cast<__u32>(each * *cpus));
    maps.set_constant("elb_lines_each", static_cast<__u32>(each));
    return Unit{};
}

Result<std::unique_ptr<FastPath>> load(bpf::MapSet &maps, const json &section, const json &running)
{
    const auto connections = section["connections"].get<__u32>();
    if (auto r = set_lines(maps); !r)
        return r.error();
    set_openings(maps, connections);
    auto skel = Skeleton::load(maps, [&](elb_bpf &s) {
        bpf_map__set_max_entries(s.maps.elb_conns, 2 * connections);
        bpf_map__set_max_entries(s.maps.elb_clients, connections);
    });
    if (!skel)
        return skel.error();
    auto counters = BackendCounts::bind(maps);
    if (!counters)
        return counters.error();
    auto services = ServiceMap::bind(maps, "elb_services");
    if (!services)
        return services.error();
    auto ranges = RangeMap::bind(maps, "elb_ranges");
    if (!ranges)
        return ranges.error();
    auto many_ports = NumberMap::bind(maps, "elb_many_ports");
    if (!many_ports)
        return many_ports.error();
    auto owners = OwnerTable::bind(maps);
    if (!owners)
        return owners.error();
    auto connections_known = Connections::bind(maps);
    if (!connections_known)
        return connections_known.error();
    auto leftovers = Leftovers::bind(maps);
    if (!leftovers)
        return leftovers.error();
    auto clients = Clients::bind(maps);
    if (!clients)
        return clients.error();
    auto slots = SlotTables::bind(maps);
    if (!slots)
        return slots.error();
    auto opening_time = NumberMap::bind(maps, "elb_opening_time");
    if (!opening_time)
        return opening_time.error();
    auto fast_path = std::make_unique<ElbFastPath>(
        *std::move(skel), *counters, *services, *ranges, *many_ports, *std::move(owners),
        *std::move(slots), *opening_time, *std::move(connections_known), *std::move(leftovers),
        *std::move(clients));
    fast_path->adopt(running);
    if (auto r = fast_path->apply(section); !r)
        return r.error();
    return std::unique_ptr<FastPath>(std::move(fast_path));
}

std::vector<LiveRoute> live_routes()
{
    auto out = weights_routes();
    for (auto &route : connection_routes([](FastPath &f) -> Connections & {
             return static_cast<ElbFastPath &>(f).connections();
         }))
        out.push_back(std::move(route));
    return out;
}

const VnfType type{.name = "elb",
                   .descriptor = {.needs = Layer::quoted,
                                  .network = Access::write,
                                  .transport = Access::write,
                                  .stateful = true,
                                  .drops = true,
                                  .both_ways = true,
                                  .cost_ns = 44,
                                  .lines = "elb_lines",
                                  .lines_each_cpu = true},
                   .reasons = {ELB_REASONS(EVNF_REASON_ROW)},
                   .routes = section_routes(),
                   .live = live_routes(),
                   .check = check_section,
                   .diff = diff_sections,
                   .load = load,
                   .state_version = 4,
                   .migrate = migrate_connections,
                   .rewrites = services_rewritten,
                   .one_way = all_one_way,
                   .chooses_neighbour = direct_service,
                   .misfits = direct_misfits,
                   .explain = backend_of};
const Registration registration(type);

} // namespace

} // namespace evnf::elb
