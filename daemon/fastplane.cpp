// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/fastplane.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.hpp"

namespace evnf
{

namespace
{

// Waits until no CPU is inside a program that started before now: the kernel does it
// with synchronize_rcu() (membarrier(2), MEMBARRIER_CMD_GLOBAL). A packet half-way
// through the old chain must still find the old prog array filled.
void wait_for_packets_in_flight()
{
    if (::syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
        ::usleep(10'000); // no membarrier in this kernel: far longer than a packet takes
}

std::string names_of(const std::map<std::string, Link> &links)
{
    std::string out;
    for (const auto &[name, link] : links)
        out += (out.empty() ? "" : ", ") + name;
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
                log_error("roll back: " + r.error().message());
    }

private:
    std::vector<std::function<Result<>()>> steps_;
};

} // namespace

Result<> FastPlane::install(const json &document, const json &running, Rtnl &rtnl, Missing missing,
                            const BeforeActivation &before)
{
    auto next_plan = plan(document, running, rtnl, missing);
    if (!next_plan)
        return next_plan.error();
    auto next = Generation::build(*std::move(next_plan), pins_);
    if (!next)
        return next.error();
    if (auto r = before(**next); !r)
        return r;

    const auto pinned = pins_.generations();
    const unsigned number =
        std::max(number_, pinned.empty() ? 0 : *std::max_element(pinned.begin(), pinned.end())) + 1;
    if (auto r = (*next)->pin(pins_, number); !r) {
        pins_.remove_generation(number);
        return r;
    }
    if (auto r = activate(**next); !r) {
        pins_.remove_generation(number);
        return r;
    }
    detach_unused((*next)->plan());
    wait_for_packets_in_flight();
    number_ = number;
    slots_ = (*next)->plan().slots;
    current_ = *std::move(next);
    for (const unsigned old : pins_.generations())
        if (old != number_)
            pins_.remove_generation(old);
    return Unit{};
}

Result<Plan> FastPlane::plan(const json &document, const json &running, Rtnl &rtnl,
                             Missing missing) const
{
    Plan p;
    p.document = document;
    p.running = running;
    p.chains = chains_of(document);
    p.slots = allot_slots(p.chains, slots_, p.fresh_slots);
    auto links = rtnl.links();
    if (!links)
        return links.error();
    for (auto &link : *links)
        p.links.emplace(link.name, link);
    for (std::size_t c = 0; c < p.chains.size(); ++c) {
        const std::string where = "/chain/" + std::to_string(c);
        for (std::size_t i = 0; i < p.chains[c].interfaces.size(); ++i) {
            const auto &name = p.chains[c].interfaces[i];
            if (!p.links.contains(name) && missing == Missing::refuse)
                return bad_input("no interface is named " + name + " here: there is " +
                                     names_of(p.links),
                                 where + "/interfaces/" + std::to_string(i));
        }
        const auto &peer = p.chains[c].wire_to;
        if (!peer.empty() && !p.links.contains(peer) && missing == Missing::refuse)
            return bad_input("no interface is named " + peer + " here: there is " +
                                 names_of(p.links),
                             where + "/wire_to");
    }
    return p;
}

// Interfaces that have no program yet come first: attaching may fail, replacing hardly
// can. Whatever was done is undone if a later one fails.
Result<> FastPlane::activate(const Generation &next)
{
    Rollback rollback;
    std::vector<std::pair<std::string, Attachment *>> known;
    for (const auto &chain : next.plan().chains)
        for (const auto &interface : chain.interfaces) {
            const int program = next.root_program(interface);
            if (program < 0)
                continue;
            const unsigned ifindex = next.plan().links.at(interface).ifindex;
            auto adopted = Attachment::adopt(pins_.link(interface), ifindex);
            if (!adopted)
                return adopted.error();
            const std::string wanted = chain.generic ? "generic" : "native";
            if (*adopted) {
                const std::string mode = attached_mode(ifindex);
                if (!mode.empty() && mode != wanted)
                    return bad_input(interface + " is attached in " + mode + " mode, and xdp = \"" +
                                     wanted +
                                     "\" cannot replace it under traffic: evnfd "
                                     "--detach first");
                auto it = attachments_.insert_or_assign(interface, *std::move(adopted)).first;
                known.emplace_back(interface, &it->second);
                continue;
            }
            auto attached = Attachment::attach(pins_.link(interface), interface, ifindex, program,
                                               chain.generic, pin_root_);
            if (!attached)
                return attached.error();
            attachments_.insert_or_assign(interface, *std::move(attached));
            rollback.add([this, interface]() -> Result<> {
                auto node = attachments_.extract(interface);
                return std::move(node.mapped()).detach();
            });
        }
    for (const auto &[interface, attachment] : known) {
        auto old = attachment->program_id();
        if (!old)
            return old.error();
        auto program = std::make_shared<Fd>(bpf_prog_get_fd_by_id(*old));
        if (!*program)
            return sys_error("hold the running program of " + interface);
        if (auto r = attachment->replace(next.root_program(interface)); !r)
            return r;
        rollback.add([a = attachment, program] { return a->replace(program->get()); });
    }
    rollback.keep();
    return Unit{};
}

void FastPlane::detach_unused(const Plan &plan)
{
    for (const auto &interface : pins_.linked_interfaces()) {
        const bool used = std::any_of(plan.chains.begin(), plan.chains.end(), [&](const Chain &c) {
            return std::find(c.interfaces.begin(), c.interfaces.end(), interface) !=
                   c.interfaces.end();
        });
        if (used)
            continue;
        attachments_.erase(interface);
        if (::unlink(pins_.link(interface).c_str()))
            log_error("detach from " + interface + ": " + sys_error("remove its pin").message());
        else
            log_info("detached from " + interface + ", which no chain uses any more");
    }
}

} // namespace evnf
