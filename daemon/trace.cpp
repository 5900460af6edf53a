// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/trace.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <time.h>

#include <array>

#include "base/net.hpp"
#include "base/text.hpp"
#include "daemon/report.hpp"
#include "filter/filter.hpp"

namespace evnf
{

namespace
{

constexpr std::array whens{std::pair{"passed", 1U << (VERDICT_NEXT >> 4)},
                           std::pair{"dropped", 1U << (VERDICT_DROP >> 4)},
                           std::pair{"slow", 1U << (VERDICT_SLOW >> 4)},
                           std::pair{"sent", 1U << (VERDICT_DONE >> 4)}, std::pair{"any", 0xfU}};

constexpr std::chrono::seconds tell_lost_every{1};

std::int64_t now(clockid_t clock)
{
    timespec t{};
    ::clock_gettime(clock, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::string endpoint(const ip_addr &address, __be16 port, bool with_port)
{
    const Address a(address);
    if (!with_port)
        return a.text();
    return (a.is_v4() ? a.text() : "[" + a.text() + "]") + ":" + std::to_string(ntohs(port));
}

// "tcp 10.0.1.2:4000 -> 192.0.2.10:80"
std::string flow_text(const pkt &p)
{
    const flow_key &f = p.flow;
    if (p.l3_end == 0)
        return "not IP, or malformed";
    const bool ports = p.l4 == PKT_L4_PORTS;
    std::string out = protocol_text(f.proto) + " " + endpoint(f.saddr, f.sport, ports) + " -> " +
                      endpoint(f.daddr, f.dport, ports);
    if (p.l4 == PKT_L4_ICMP)
        out += " type " + std::to_string(p.icmp_type) + " code " + std::to_string(p.icmp_code);
    if (p.frag != PKT_FRAG_NONE)
        out += " fragment";
    return out;
}

std::string hex(const std::uint8_t *bytes, std::size_t n)
{
    constexpr const char *digits = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < n; ++i) {
        out += digits[bytes[i] >> 4];
        out += digits[bytes[i] & 0xf];
    }
    return out;
}

} // namespace

Result<TraceRequest> trace_request(const std::string &filter, const std::string &place,
                                   const std::string &when, const std::string &snap)
{
    TraceRequest r;
    auto parsed = filter::parse_filter(filter);
    if (!parsed) {
        Error e = parsed.error();
        e.where = "/filter";
        return e;
    }
    r.filter = *parsed;
    r.all = filter.find_first_not_of(" \t") == filter.npos;
    r.place = place;
    for (const auto &[text, verdicts] : whens)
        if (when == text || (when.empty() && text == std::string("any")))
            r.verdicts = verdicts;
    if (!r.verdicts)
        return bad_input("when is passed, dropped, slow, sent or any, not " + in_quotes(when));
    auto n = parse_number(snap.empty() ? "0" : snap, 0, TRACE_MAX_BYTES, "snap");
    if (!n)
        return n.error();
    r.snap = static_cast<unsigned>(*n);
    return r;
}

void Trace::RingFree::operator()(ring_buffer *r) const
{
    ring_buffer__free(r);
}

Trace::Trace(const Generation &generation)
    : instances_(generation.plan().instances),
      epoch_(now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC))
{
    const Plan &plan = generation.plan();
    for (const auto &[name, link] : plan.links)
        interfaces_[link.ifindex] = name;
    for (const auto &chain : plan.chains) {
        for (const auto &entry : chain.entries)
            places_[plan.slots.at(root_place(chain, entry.interface))] = {
                chain.name, "root@" + entry.interface, {}, nullptr};
        for (const auto &place : chain.places) {
            const Instance *instance = nullptr;
            for (const auto &i : instances_)
                if (i.name == place.instance)
                    instance = &i;
            places_[plan.slots.at(slot_place(chain, place))] = {chain.name, place.name,
                                                                reasons_of(plan, place), instance};
        }
    }
}

Trace::~Trace() = default;

Result<std::unique_ptr<Trace>> Trace::begin(const Generation &generation,
                                            const TraceRequest &request)
{
    std::unique_ptr<Trace> t(new Trace(generation));
    std::string there;
    for (const auto &[slot, names] : t->places_) {
        const std::string full = names.chain + "/" + names.place;
        there += (there.empty() ? "" : ", ") + full;
        const bool is_instance = names.instance && names.instance->name == request.place;
        if (full == request.place || names.place == request.place || is_instance)
            t->wanted_.insert(slot);
    }
    if (!request.place.empty() && t->wanted_.empty())
        return Error{.code = ENOENT,
                     .what =
                         "no place is named " + in_quotes(request.place) + ": there is " + there};
    auto ring = generation.maps().fd("traces");
    auto states = generation.maps().fd("trace_states");
    auto wanted = bpf::Map<__u32, trace_wanted>::bind(generation.maps(), "trace_wanted");
    if (!ring || !states)
        return ring ? states.error() : ring.error();
    if (!wanted)
        return wanted.error();
    t->states_map_ = Fd(::fcntl(*states, F_DUPFD_CLOEXEC, 0));
    auto counters = bpf::PerCpuCounters<trace_state>::bind(t->states_map_.get());
    if (!counters)
        return std::move(counters).context("map trace_states").error();
    t->states_ = *counters;
    t->ring_map_ = Fd(::fcntl(*ring, F_DUPFD_CLOEXEC, 0));
    t->ring_.reset(ring_buffer__new(t->ring_map_.get(), on_record, t.get(), nullptr));
    if (!t->ring_)
        return sys_error("open the ring of traces");
    trace_wanted w{};
    w.filter = request.filter;
    w.active = 1;
    w.all = request.all;
    w.slot = t->wanted_.size() == 1 ? *t->wanted_.begin() : 0;
    w.verdicts = request.verdicts;
    w.snap = request.snap;
    if (auto r = wanted->put(0, w); !r)
        return r.error();
    return t;
}

std::vector<json> Trace::read(int timeout_ms)
{
    taken_ = 0;
    ring_buffer__poll(ring_.get(), timeout_ms);
    tell_lost();
    return std::exchange(read_, {});
}

void Trace::tell_lost()
{
    const auto now = std::chrono::steady_clock::now();
    const std::uint64_t lost = states_->sum(0).lost;
    if (lost == lost_ || now - lost_told_at_ < tell_lost_every)
        return;
    read_.push_back({{"lost", lost}});
    lost_ = lost;
    lost_told_at_ = now;
}

int Trace::on_record(void *self, void *data, std::size_t size)
{
    auto &t = *static_cast<Trace *>(self);
    const auto &record = *static_cast<const trace_record *>(data);
    if (size < sizeof record || record.caplen > size - sizeof record)
        return 0; // never: the fast path wrote it
    if (t.wanted_.empty() || t.wanted_.contains(record.pkt.slot))
        t.read_.push_back(
            t.describe(record, static_cast<const std::uint8_t *>(data) + sizeof record));
    // Packets may come faster than they are told: libbpf would go on for ever.
    return t.taken_++ < batch ? 0 : -ECANCELED;
}

json Trace::describe(const trace_record &r, const std::uint8_t *frame) const
{
    static const PlaceNames unknown{"?", "?", {}, nullptr};
    const auto it = places_.find(r.pkt.slot);
    const PlaceNames &names = it == places_.end() ? unknown : it->second;
    const auto interface = interfaces_.find(r.pkt.ifindex);
    json out{{"packet", r.id},
             {"time_ns", static_cast<std::int64_t>(r.ns) + epoch_},
             {"chain", names.chain},
             {"place", names.place},
             {"interface", interface == interfaces_.end() ? "?" : interface->second},
             {"verdict", verdict_name(r.reason)},
             {"reason", find_reason(r.reason, names.reasons).name},
             {"length", r.pkt.len},
             {"flow", flow_text(r.pkt)}};
    if (r.pkt.detail && names.instance && names.instance->type->explain)
        out["by"] = names.instance->type->explain(names.instance->section, r.pkt.detail);
    if (r.caplen)
        out["frame"] = hex(frame, r.caplen);
    return out;
}

} // namespace evnf
