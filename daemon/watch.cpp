// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's part in watching packets: the generation that can be watched comes, and
// goes when nobody watches any more.
#include "base/log.hpp"
#include "daemon/daemon.hpp"
#include "daemon/trace.hpp"

namespace evnf
{

Result<> Daemon::begin_watching()
{
    if (watching_)
        return Error{.code = EEXIST,
                     .what = "packets are being watched already, by another evnf trace, capture or "
                             "chain plan --measure: wait until it has ended"};
    plane_->set_observe(true);
    if (auto r = put_in_force(state_.document, FastPlane::Missing::skip); !r) {
        plane_->set_observe(false);
        return r;
    }
    watching_ = true;
    return Unit{};
}

void Daemon::end_watching()
{
    watching_ = false;
    plane_->set_observe(false);
    if (auto r = put_in_force(state_.document, FastPlane::Missing::skip); !r)
        log_error("end watching", r.error());
}

Result<std::unique_ptr<Trace>> Daemon::begin_trace(const TraceRequest &request)
{
    if (auto r = begin_watching(); !r)
        return r.error();
    auto trace = Trace::begin(*plane_->current(), request);
    if (!trace)
        end_watching();
    return trace;
}

Result<std::shared_ptr<Feed>> Daemon::feed(const VnfType &type, const std::string &instance) const
{
    auto name = find_instance(type, instance);
    if (!name)
        return name.error();
    auto *fast_path = plane_->current()->fast_path(*name);
    auto feed = fast_path ? fast_path->feed() : nullptr;
    if (!feed)
        return Error{.code = ENOENT, .what = "no chain has " + *name + " as a stage"};
    return feed;
}

json Daemon::times() const
{
    json out = json::array();
    const auto &plan = plane_->current()->plan();
    auto table = bpf::PerCpuCounters<slot_time>::bind(plane_->current()->maps(), "slot_times");
    if (!table)
        return out;
    const auto add = [&](const std::string &chain, const std::string &place,
                         const std::string &slot) {
        const slot_time t = table->sum(plan.slots.at(slot));
        if (t.samples)
            out.push_back({{"chain", chain},
                           {"place", place},
                           {"samples", t.samples},
                           {"ns", static_cast<double>(t.ns) / static_cast<double>(t.samples)}});
    };
    for (const auto &chain : plan.chains) {
        for (const auto &entry : chain.entries)
            add(chain.name, "root@" + entry.interface, root_place(chain, entry.interface));
        for (const auto &place : chain.places)
            add(chain.name, place.name, slot_place(chain, place));
    }
    return out;
}

} // namespace evnf
