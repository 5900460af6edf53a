// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/evaluate.hpp"

#include <algorithm>

namespace evnf::efw::offload
{

namespace
{

constexpr std::uint8_t all_ct_states = 0x7f;
constexpr std::size_t max_depth = 400; // of parts of parts
constexpr std::uint8_t tcp = 6, udp = 17;

match::Match of_protocols(std::initializer_list<std::uint8_t> protocols)
{
    match::Match m;
    for (const auto p : protocols)
        m.protocol.ranges.push_back({p, p});
    return m;
}

} // namespace

Box Evaluation::only(const match::Match &m) const
{
    return Box::of(m, course_.family, host_.interfaces);
}

// A rule as causes name it.
std::string Evaluation::name_of(std::uint32_t origin) const
{
    const Origin &o = plan_.origins[origin];
    std::string where = "the policy of ";
    if (o.number)
        where = "rule " + std::to_string(o.number) + " of ";
    return where + o.chain + " (table " + o.table + ")" + (o.number ? ": " + o.text : "");
}

bool Evaluation::exhausted()
{
    constexpr std::size_t look = 256; // at the clock, once in so many steps
    if (plan_.decisions.size() >= max_decisions ||
        (++steps_ % look == 0 && std::chrono::steady_clock::now() > deadline_))
        plan_.complete = false;
    return !plan_.complete;
}

void Evaluation::note(std::uint32_t origin, const std::string &cause)
{
    constexpr std::size_t most = 4;
    if (origin == no_origin)
        return;
    auto &causes = plan_.origins[origin].causes;
    if (causes.size() < most && std::find(causes.begin(), causes.end(), cause) == causes.end())
        causes.push_back(cause);
}

void Evaluation::slow(const Walk &w, const Box &box, const std::string &cause, bool general)
{
    const auto [it, is_new] =
        causes_.emplace(cause, static_cast<std::uint32_t>(plan_.causes.size()));
    if (is_new)
        plan_.causes.push_back(cause);
    constexpr std::size_t most_shadows = 24;
    if (!general && shadows_.size() < most_shadows)
        shadows_.emplace_back(box, it->second);
    for (auto &m : box.matches(host_.interfaces)) {
        Decision d;
        d.rule.match = std::move(m);
        d.rule.action = EFW_SLOW;
        d.decider = w.last;
        d.cause = it->second;
        plan_.decisions.push_back(std::move(d));
    }
    if (!general)
        note(w.last, cause);
}

void Evaluation::emit(const Walk &w, efw_action action, std::uint32_t decider)
{
    Decision d;
    d.rule.action = action;
    d.conditions = w.conditions;
    d.decider = decider;
    for (auto c = w.counted; c; c = c->before)
        d.counts.push_back(c->origin);
    std::reverse(d.counts.begin(), d.counts.end());
    std::uint32_t made = 0;
    for (auto &m : w.box.matches(host_.interfaces)) {
        d.rule.match = std::move(m);
        plan_.decisions.push_back(d);
        ++made;
    }
    if (decider == no_origin)
        return;
    Origin &o = plan_.origins[decider];
    o.conditions = static_cast<std::uint8_t>(o.conditions | d.conditions);
    o.decisions += made;
    for (const auto &[box, cause] : shadows_)
        if (w.box.meets(box))
            note(decider, plan_.causes[cause]);
}

void Evaluation::walk(Walk w)
{
    if (++depth_ > max_depth)
        plan_.complete = false;
    for (bool done = false; !done;) {
        if (exhausted()) {
            slow(w, w.box, "the plan has become too large or too slow to make");
            break;
        }
        if (w.frames.empty()) {
            done = !enter_stage(w);
        } else if (auto &f = w.frames.back(); f.rule >= f.chain->rules.size()) {
            end_of_chain(w, done);
        } else {
            const CourseRule &rule = f.chain->rules[f.rule++];
            w.last = rule.origin;
            Origin &o = plan_.origins[rule.origin];
            if (o.state == Origin::State::unseen)
                o.state = Origin::State::left;
            done = !steps(w, rule, 0);
        }
    }
    --depth_;
}

void Evaluation::end_of_chain(Walk &w, bool &done)
{
    if (w.frames.size() > 1) {
        w.frames.pop_back();
        done = w.frames.size() == w.joins && !w.changed;
        if (w.frames.size() <= w.joins)
            w.joins = 0;
        return;
    }
    const CourseChain &base = *w.frames.front().chain;
    Origin &o = plan_.origins[base.policy];
    if (o.state == Origin::State::unseen)
        o.state = Origin::State::left;
    w.last = base.policy;
    done = base.chain->policy_drop;
    if (done && w.nat_unsure) {
        slow(w, w.box, "whether a NAT chain sees the packet depends on its connection");
        return;
    }
    if (base.policy_counted && !w.nat_unsure)
        w.counted = std::make_shared<Counted>(Counted{base.policy, w.counted});
    if (done) {
        emit(w, EFW_DROP, base.policy);
        return;
    }
    w.frames.clear();
    w.joins = 0;
    ++w.stage;
}

bool Evaluation::enter_stage(Walk &w)
{
    const Stage &stage = (*w.course)[w.stage];
    w.nat_unsure = false;
    switch (stage.kind) {
    case Stage::Kind::chain: {
        if (stage.chain->devices != ~0ULL) {
            Walk here = w;
            here.box.in &= stage.chain->devices;
            if (here.box.in != w.box.in) { // the chain of some interfaces only
                here.frames.push_back({stage.chain, 0});
                if (!here.box.empty())
                    walk(std::move(here));
                ++w.stage;
                return true;
            }
        }
        if (stage.chain->chain->type == "nat") {
            if (!w.tracked || w.untracked) { // NAT is for connections
                ++w.stage;
                return true;
            }
            w.nat_unsure = w.ct_states != CT_NEW;
        }
        w.frames.push_back({stage.chain, 0});
        return true;
    }
    case Stage::Kind::ambiguous:
        w.last = stage.chain->policy;
        slow(w, w.box, "chains of one priority at one hook: nothing tells which is first");
        return false;
    case Stage::Kind::conntrack:
        if (course_.conntrack && !w.untracked) {
            ++w.stage;
            conntrack(std::move(w));
            return false;
        }
        ++w.stage;
        return true;
    case Stage::Kind::routing:
        route(std::move(w));
        return false;
    case Stage::Kind::delivered:
        slow(w, w.box, "what is accepted for the host itself goes to its network stack");
        return false;
    case Stage::Kind::forwarded:
        if (w.tracked || course_.conntrack || host_.ipsec)
            slow(w, w.box, "what is accepted is tracked by the kernel on its way");
        else
            emit(w, EFW_ACCEPT, w.last);
        return false;
    }
    return false;
}

// From here on a packet may belong to a connection, whose state a packet changes even if it
// is dropped later.
void Evaluation::conntrack(Walk w)
{
    if (!rules_.ct_zones) {
        Walk known = w;
        known.tracked = true;
        known.changed = true;
        known.joins = 0;
        known.conditions |= EFW_WITHOUT_CONNTRACK;
        known.ct_states = CT_NEW | CT_INVALID;
        if (rules_.ct_helpers || host_.expectations)
            known.ct_states |= CT_RELATED;
        if (known.box.narrow(only(of_protocols({tcp, udp}))) != Narrowed::none)
            walk(std::move(known));
    }
    slow(w, w.box,
         rules_.ct_zones ? "connections are tracked in zones"
                         : "connections are tracked: only for TCP and UDP can be told whether "
                           "a packet belongs to one");
}

void Evaluation::run(std::chrono::steady_clock::time_point deadline)
{
    deadline_ = deadline;
    Walk w{.box = Box::whole(course_.family, host_.interfaces.size()),
           .course = &course_.before_routing,
           .ct_states = all_ct_states};
    constexpr std::size_t most_interfaces = 64;
    if (host_.interfaces.size() > most_interfaces || rules_.flowtables || w.box.empty() ||
        plan_.origins.empty()) {
        if (rules_.flowtables)
            plan_.causes.emplace_back("flowtables: their flows pass all rules by");
        if (host_.interfaces.size() > most_interfaces)
            plan_.causes.emplace_back("there are more than 64 interfaces");
        return;
    }
    for (std::size_t i = 0; i < host_.interfaces.size(); ++i)
        if (host_.interfaces[i].enslaved)
            w.box.in &= ~(1ULL << i);
    // Each family has an ICMP of its own; the other's number means nothing certain.
    Walk odd = w;
    const std::uint8_t other_icmp = course_.family == 4 ? 58 : 1;
    if (odd.box.narrow(only(of_protocols({other_icmp}))) != Narrowed::none)
        slow(odd, odd.box, "ICMP of the other family", true);
    if (course_.family == 6) // ipv6_rcv() drops some of them before any hook
        special_addresses(w);
    walk(w);
    note_unseen();
}

// Rules behind one that leaves them no packet.
void Evaluation::note_unseen()
{
    for (const auto &[key, chain] : course_.chains) {
        std::uint32_t last = no_origin;
        for (const auto &rule : chain.rules) {
            if (plan_.origins[rule.origin].state != Origin::State::unseen)
                last = rule.origin;
            else if (last != no_origin)
                note(rule.origin, "no packet gets past " + name_of(last));
        }
    }
}

Evaluation::Evaluation(const Course &course, const Ruleset &rules, const Host &host, Plan &plan)
    : course_(course),
      rules_(rules),
      host_(host),
      plan_(plan)
{
}

} // namespace evnf::efw::offload
