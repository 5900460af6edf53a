// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/fastplane.hpp"

#include <net/if.h>

#include <algorithm>

#include "base/log.hpp"
#include "daemon/tcfilter.hpp"

namespace evnf
{

namespace
{

std::string names_of(const std::map<std::string, Link> &links)
{
    std::string out;
    for (const auto &[name, link] : links)
        out += (out.empty() ? "" : ", ") + name;
    return out;
}

// Handles of tc filters: 16 bits that others hardly use, then the place's.
unsigned resume_handle(unsigned place_tag)
{
    return 0x45560000U | place_tag;
}

unsigned place_tag(unsigned owner, unsigned generation)
{
    Plan p;
    p.owner = owner;
    p.number = generation;
    return p.place_tag();
}

// The same for all generations: what it reads says of which the packet is.
unsigned take_handle_of(unsigned owner)
{
    return resume_handle(place_tag(owner, 0));
}

// What a generation is attached to.
struct Target {
    std::string interface;
    int program;
    bool generic;
};

std::vector<Target> targets_of(const Generation &g)
{
    std::vector<Target> out;
    for (const auto &chain : g.plan().chains)
        for (const auto &entry : chain.entries)
            if (const int program = g.root_program(entry.interface); program >= 0)
                out.push_back({entry.interface, program, chain.generic});
    for (const auto &[interface, program] : g.tap_programs())
        out.push_back({interface, program, false});
    return out;
}

// Undoes what activate() did when a later step fails.
class Rollback
{
public:
    void add(std::function<Result<>()> step) { steps_.push_back(std::move(step)); }
    void keep() { steps_.clear(); }
    ~Rollback()
    {
        for (auto step = steps_.rbegin(); step != steps_.rend(); ++step)
            if (auto r = (*step)(); !r)
                log_error("roll back", r.error());
    }

private:
    std::vector<std::function<Result<>()>> steps_;
};

} // namespace

Result<> FastPlane::install(const json &document, const json &running, Rtnl &rtnl, Missing missing,
                            const BeforeActivation &before)
{
    retire_old(); // of a change a moment ago
    auto next_plan = plan(document, running, rtnl, missing);
    if (!next_plan)
        return next_plan.error();
    const unsigned number = next_plan->number;
    auto next = Generation::build(*std::move(next_plan), pins_);
    if (!next)
        return next.error();
    if (auto r = before(**next); !r)
        return r;

    if (auto r = (*next)->pin(pins_); !r) {
        pins_.remove_generation(number);
        return r;
    }
    open_xsks(**next);
    if (auto r = activate(**next); !r) {
        pins_.remove_generation(number);
        return r;
    }
    end_foreign_filters(**next);
    if (auto r = (*next)->commit(); !r)
        log_error("state is not kept beyond this evnfd", r.error());
    unguard(**next);
    detach_unused(**next);
    // A packet half-way through the old chain must still find the old prog array filled.
    bpf::wait_for_packets_in_flight();
    if (auto r = pins_.replace_foreign(); !r)
        log_error("what was left in another layout is not removed", r.error());
    number_ = number;
    slots_ = (*next)->plan().slots;
    {
        const std::lock_guard lock(workers_mutex_);
        replaced_ = std::exchange(current_, *std::move(next));
    }
    close_xsks(*current_);
    current_->tick(); // what waits for being in force does not wait for the clock
    return Unit{};
}

// Those of other layouts cannot be told of this generation, and would drop what comes back to
// it. What is with a slow path of theirs is dropped.
void FastPlane::end_foreign_filters(const Generation &next)
{
    if (!pins_.has_foreign())
        return;
    for (const auto &[name, ifindex] : interfaces()) {
        for (unsigned g = 0; g < PLACE_GENERATIONS; ++g)
            if (const unsigned tag = place_tag(owner_, g); tag != next.plan().place_tag())
                tc::detach(ifindex, tc::Hook::egress, resume_handle(tag));
        if (next.take_program() < 0)
            tc::detach(ifindex, tc::Hook::ingress, take_handle());
    }
}

// The filters of older generations stay for a while, but what comes in by an interface that
// has no chain any more needs no place.
void FastPlane::unguard(const Generation &next)
{
    std::set<unsigned> guarded;
    for (const auto &target : targets_of(next))
        guarded.insert(next.plan().links.at(target.interface).ifindex);
    for (const unsigned old : pins_.generations()) {
        const Fd map(bpf_obj_get((pins_.generation(old) + "/place_guards").c_str()));
        auto guards = bpf::Map<__u32, place_guard>::bind(map.get());
        if (!map || !guards)
            continue;
        for (const unsigned ifindex : guards->keys())
            if (!guarded.contains(ifindex))
                guards->erase(ifindex);
    }
}

// A generation may hold packets that came in while it was in force.
void FastPlane::give(const xsk_meta &meta, unsigned ifindex, std::span<const std::uint8_t> frame)
{
    const std::lock_guard lock(workers_mutex_);
    for (const auto *g : {current_.get(), replaced_.get()})
        if (g && g->workers() && g->plan().place_tag() == (meta.place.place & PLACE_TAG_MASK))
            return g->workers()->give(meta, ifindex, frame);
}

// Sockets outlast generations. One that cannot be opened is no fault: packets then come by
// ring buffer.
void FastPlane::open_xsks(const Generation &next)
{
    for (const auto &[interface, port] : next.xsk_ports()) {
        const unsigned ifindex = next.plan().links.at(interface).ifindex;
        if (!xsk_ports_.contains(ifindex)) {
            auto opened =
                XskPort::open(interface, [this, ifindex](const xsk_meta &meta,
                                                         std::span<const std::uint8_t> frame) {
                    give(meta, ifindex, frame);
                });
            if (!opened) {
                log_warning(opened.error().message() +
                                ": its packets go to user space by ring buffer, which is slower",
                            {{"interface", interface}});
                continue;
            }
            xsk_ports_[ifindex] = *std::move(opened);
        }
        if (auto r = xsk_ports_.at(ifindex)->enter(next.maps(), port); !r)
            log_warning(interface, r.error(), {{"interface", interface}});
    }
}

void FastPlane::close_xsks(const Generation &current)
{
    std::set<unsigned> wanted;
    for (const auto &[interface, port] : current.xsk_ports())
        wanted.insert(current.plan().links.at(interface).ifindex);
    std::erase_if(xsk_ports_, [&](const auto &p) { return !wanted.contains(p.first); });
}

void FastPlane::scale_workers()
{
    for (auto *g : {current_.get(), replaced_.get()}) {
        if (!g)
            continue;
        g->tick();
        if (g->workers())
            if (auto r = g->workers()->beat(); !r)
                log_error("workers", r.error());
    }
    if (!current_ || !current_->workers())
        return;
    current_->workers()->scale(xsk_lost());
}

std::uint64_t FastPlane::xsk_lost() const
{
    std::uint64_t lost = 0;
    for (const auto &[ifindex, port] : xsk_ports_)
        lost += port->lost();
    return lost;
}

void FastPlane::retire_old()
{
    if (!current_)
        return; // what is pinned is in force, from a daemon before this one
    const unsigned in_force = current_->plan().place_tag();
    for (const unsigned old : pins_.generations()) {
        if (old == number_)
            continue;
        const unsigned tag = place_tag(owner_, old);
        // First the newer filter knows that it is the last for such a packet.
        if (auto there = bpf::Map<__u32, __u32>::bind(current_->maps(), "place_generations"))
            if (auto r = there->put(old % PLACE_GENERATIONS, 0); !r)
                log_error("end a generation", r.error());
        if (tag != in_force)
            for (const auto &[name, ifindex] : interfaces())
                tc::detach(ifindex, tc::Hook::egress, resume_handle(tag));
        pins_.remove_generation(old);
    }
    if (current_->take_program() < 0) // no place is written any more
        for (const auto &target : targets_of(*current_))
            tc::detach(current_->plan().links.at(target.interface).ifindex, tc::Hook::ingress,
                       take_handle());
    std::unique_ptr<Generation> gone; // ends its workers, who may be waiting for the lock
    {
        const std::lock_guard lock(workers_mutex_);
        gone = std::move(replaced_);
    }
}

unsigned FastPlane::take_handle() const
{
    return take_handle_of(owner_);
}

void FastPlane::remove_filters(unsigned owner)
{
    for (const auto &[name, ifindex] : interfaces()) {
        for (unsigned g = 0; g < PLACE_GENERATIONS; ++g)
            tc::detach(ifindex, tc::Hook::egress, resume_handle(place_tag(owner, g)));
        tc::detach(ifindex, tc::Hook::ingress, take_handle_of(owner));
    }
}

// The filters of an interface run in whatever order: each leaves the packets of the others
// to them, so each must know that they are there.
Result<> FastPlane::tell_generations(const Generation &next) const
{
    using Table = bpf::Map<__u32, __u32>;
    const unsigned number = next.plan().number;
    auto there = Table::bind(next.maps(), "place_generations");
    if (!there)
        return there.error();
    for (const unsigned old : pins_.generations()) {
        if (old == number || !pins_.resumes(old))
            continue;
        const Fd map(bpf_obj_get((pins_.generation(old) + "/place_generations").c_str()));
        auto its = Table::bind(map.get());
        if (!its)
            return std::move(its).context("generation " + std::to_string(old)).error();
        if (auto r = its->put(number % PLACE_GENERATIONS, 1); !r)
            return r;
        if (auto r = there->put(old % PLACE_GENERATIONS, 1); !r)
            return r;
    }
    return Unit{};
}

Result<> FastPlane::attach_tc(const Generation &next)
{
    if (next.take_program() < 0)
        return Unit{};
    if (auto r = tell_generations(next); !r)
        return r;
    for (const auto &target : targets_of(next))
        if (auto r = tc::attach(next.plan().links.at(target.interface).ifindex, tc::Hook::ingress,
                                take_handle(), next.take_program());
            !r)
            return r;
    for (const auto &[name, link] : next.plan().links)
        if (!link.loopback)
            if (auto r =
                    tc::attach(link.ifindex, tc::Hook::egress,
                               resume_handle(next.plan().place_tag()), next.resume_program(link));
                !r)
                return std::move(r).context(name);
    return Unit{};
}

// As it was before attach_tc(next). What a dead daemon left goes on with the new program
// at ingress, which is the same for all generations.
Result<> FastPlane::go_back_at_tc(const Generation &next)
{
    for (const auto &[name, link] : next.plan().links)
        tc::detach(link.ifindex, tc::Hook::egress, resume_handle(next.plan().place_tag()));
    const auto left = pins_.generations();
    const bool resumes = std::any_of(left.begin(), left.end(), [&](unsigned n) {
        return n != next.plan().number && pins_.resumes(n);
    });
    const bool has_take = current_ && current_->take_program() >= 0;
    for (const auto &target : targets_of(next)) {
        const unsigned ifindex = next.plan().links.at(target.interface).ifindex;
        if (has_take && attachments_.contains(target.interface)) {
            if (auto r =
                    tc::attach(ifindex, tc::Hook::ingress, take_handle(), current_->take_program());
                !r)
                return r;
        } else if (!resumes) {
            tc::detach(ifindex, tc::Hook::ingress, take_handle());
        }
    }
    return Unit{};
}

Result<> FastPlane::cover(const std::vector<Link> &links)
{
    std::set<unsigned> there;
    for (const auto &link : links) {
        if (link.loopback || !current_ || current_->take_program() < 0)
            continue;
        there.insert(link.ifindex);
        if (covered_.contains(link.ifindex))
            continue;
        if (auto r = tc::attach(link.ifindex, tc::Hook::egress,
                                resume_handle(current_->plan().place_tag()),
                                current_->resume_program(link));
            !r)
            return std::move(r).context(link.name);
    }
    covered_ = std::move(there);
    return Unit{};
}

Result<Plan> FastPlane::plan(const json &document, const json &running, Rtnl &rtnl,
                             Missing missing) const
{
    auto links = rtnl.links();
    if (!links)
        return links.error();
    Plan p = plan_of(document, *links, slots_);
    p.running = running;
    p.owner = owner_;
    // One that only follows guards nothing, so the next need not follow it.
    for (const unsigned old : pins_.generations())
        p.follows_resuming |= current_ ? current_->plan().resumes_itself() : pins_.resumes(old);
    p.observe = observe_;
    p.number = std::max(number_, pins_.last_generation()) + 1;
    for (std::size_t c = 0; c < p.chains.size(); ++c)
        for (const auto &name : p.chains[c].interfaces())
            if (!p.links.contains(name) && missing == Missing::refuse)
                return bad_input("no interface is named " + name + " here: there is " +
                                     names_of(p.links),
                                 "/chain/" + std::to_string(c) + "/path");
    for (const auto &i : p.instances)
        if (i.exit == EXIT_TAP && !p.links.contains(i.tap) && missing == Missing::refuse)
            return bad_input("no interface is named " + i.tap + " here: there is " +
                                 names_of(p.links),
                             "/" + i.name + "/tap");
    return p;
}

// Interfaces that have no program yet come first: attaching may fail, replacing hardly
// can. Whatever was done is undone if a later one fails.
Result<> FastPlane::activate(const Generation &next)
{
    Rollback rollback;
    if (pins_.has_foreign()) // its own program, as this one's may read other places
        for (const auto &target : targets_of(next)) {
            const unsigned ifindex = next.plan().links.at(target.interface).ifindex;
            auto take =
                std::make_shared<Fd>(tc::program(ifindex, tc::Hook::ingress, take_handle()));
            if (*take)
                rollback.add([this, ifindex, take] {
                    return tc::attach(ifindex, tc::Hook::ingress, take_handle(), take->get());
                });
        }
    rollback.add([this, &next] { return go_back_at_tc(next); });
    // First, so that what the new roots send the slow way finds its way back.
    if (auto r = attach_tc(next); !r)
        return r;
    std::vector<std::pair<Target, Attachment *>> known;
    for (const auto &target : targets_of(next)) {
        const std::string &interface = target.interface;
        const unsigned ifindex = next.plan().links.at(interface).ifindex;
        auto adopted = Attachment::adopt(pins_.link(interface), ifindex);
        if (!adopted)
            return adopted.error();
        const std::string wanted = target.generic ? "generic" : "native";
        if (*adopted) {
            const std::string mode = attached_mode(ifindex);
            if (!mode.empty() && mode != wanted)
                return bad_input(interface + " is attached in " + mode + " mode, and xdp = \"" +
                                 wanted +
                                 "\" cannot replace it under traffic: evnfd --detach first");
            auto it = attachments_.insert_or_assign(interface, *std::move(adopted)).first;
            known.emplace_back(target, &it->second);
            continue;
        }
        auto attached = Attachment::attach(pins_.link(interface), interface, ifindex,
                                           target.program, target.generic, pin_root_);
        if (!attached)
            return attached.error();
        attachments_.insert_or_assign(interface, *std::move(attached));
        rollback.add([this, interface]() -> Result<> {
            auto node = attachments_.extract(interface);
            return std::move(node.mapped()).detach();
        });
    }
    for (const auto &[target, attachment] : known) {
        auto old = attachment->program_id();
        if (!old)
            return old.error();
        auto program = std::make_shared<Fd>(bpf_prog_get_fd_by_id(*old));
        if (!*program)
            return sys_error("hold the running program of " + target.interface);
        if (auto r = attachment->replace(target.program); !r)
            return r;
        rollback.add([a = attachment, program] { return a->replace(program->get()); });
    }
    rollback.keep();
    return Unit{};
}

void FastPlane::detach_unused(const Generation &generation)
{
    const Plan &plan = generation.plan();
    const auto taps = generation.tap_programs();
    for (const auto &interface : pins_.linked_interfaces()) {
        const bool used = std::any_of(plan.chains.begin(), plan.chains.end(), [&](const Chain &c) {
            return std::any_of(c.entries.begin(), c.entries.end(),
                               [&](const Entry &e) { return e.interface == interface; });
        });
        if (used || taps.contains(interface))
            continue;
        attachments_.erase(interface);
        if (::unlink(pins_.link(interface).c_str()))
            log_error("detach from " + interface, sys_error("remove its pin"),
                      {{"interface", interface}});
        else
            log_info("detached from " + interface + ", which no chain uses any more",
                     {{"interface", interface}});
        if (const auto link = plan.links.find(interface); link != plan.links.end())
            tc::detach(link->second.ifindex, tc::Hook::ingress, take_handle());
    }
}

} // namespace evnf
