// SPDX-License-Identifier: GPL-2.0-or-later
// Evaluation of one rule, step by step.
#include "vnfs/efw/offload/evaluate.hpp"

namespace evnf::efw::offload
{

namespace
{

constexpr std::size_t max_frames = 64; // a loop of jumps; the kernel refuses them

} // namespace

// Whether the rest of a rule does nothing that could be seen.
bool Evaluation::inert(const CourseRule &rule, std::size_t from) const
{
    for (std::size_t i = from; i < rule.steps.size(); ++i) {
        const Step &s = *rule.steps[i].step;
        const auto *u = std::get_if<Unknown>(&s);
        const bool matches = std::holds_alternative<IsOneOf>(s) ||
                             std::holds_alternative<HasCtState>(s) ||
                             std::holds_alternative<HasMark>(s) ||
                             std::holds_alternative<HasAddressType>(s) || (u && !u->lasting);
        const auto *d = std::get_if<Decide>(&s);
        if (!matches && !(d && d->verdict == Verdict::next_rule))
            return false;
    }
    return true;
}

// Goes through the rest of the rule for the part of the walk that is in a box. `map`: with
// a verdict of its own. `all`: the box is the whole walk, which goes on.
Evaluation::Left Evaluation::part(Walk &w, const CourseRule &rule, std::size_t from, const Box &box,
                                  const CourseStep *map, std::size_t element)
{
    Walk m = w;
    const Narrowed narrowed = m.box.narrow(box);
    if (narrowed == Narrowed::none)
        return Left::others;
    auto go = [&](Walk &on) {
        return map ? decide(on, rule, std::get<DecideByMap>(*map->step).elements[element].second,
                            map->targets[element])
                   : steps(on, rule, from);
    };
    if (narrowed == Narrowed::same)
        return go(w) ? Left::all : Left::nothing;
    m.changed = m.jumped = false;
    const bool left = go(m);
    if (left && m.changed) {
        m.joins = 0;
        walk(std::move(m));
    } else if (left && m.jumped) {
        m.joins = w.frames.size();
        walk(std::move(m));
    }
    return Left::others;
}

bool Evaluation::steps(Walk &w, const CourseRule &rule, std::size_t from)
{
    for (std::size_t i = from; i < rule.steps.size(); ++i) {
        const CourseStep &step = rule.steps[i];
        const Step &s = *step.step;
        if (std::holds_alternative<IsOneOf>(s) ||
            (std::holds_alternative<HasAddressType>(s) && course_.family == 4)) {
            if (step.boxes.size() == 1) {
                Box both = w.box;
                const Narrowed narrowed = both.narrow(step.boxes[0]);
                if (narrowed == Narrowed::none)
                    return true;
                if (narrowed == Narrowed::same)
                    continue;
            }
            for (const auto &box : step.boxes)
                if (const Left left = part(w, rule, i + 1, box); left != Left::others)
                    return left == Left::all;
            return true;
        }
        if (const auto *state = std::get_if<HasCtState>(&s)) {
            if ((w.ct_states & state->states) == 0)
                return true;
            if ((w.ct_states & ~state->states) != 0)
                return ct_state(w, rule, i);
        } else if (const auto *mark = std::get_if<HasMark>(&s)) {
            // Packets come without a mark, and the rules that give one are effects.
            if ((mark->value == 0) == mark->negated)
                return true;
        } else if (std::holds_alternative<HasAddressType>(s)) {
            return unknown(w, rule, i, {"the type of an IPv6 address", false});
        } else if (const auto *u = std::get_if<Unknown>(&s)) {
            return unknown(w, rule, i, *u);
        } else if (std::holds_alternative<Count>(s)) {
            if (!count(w, rule, i))
                return false;
        } else if (std::holds_alternative<NoTrack>(s)) {
            if (!not_tracked(w, rule))
                return false;
        } else if (const auto *effect = std::get_if<Effect>(&s)) {
            slow(w, w.box, name_of(rule.origin) + " does what only netfilter can: " + effect->what);
            return false;
        } else if (const auto *d = std::get_if<Decide>(&s)) {
            return decide(w, rule, *d, step.targets[0]);
        } else if (std::holds_alternative<DecideByMap>(s)) {
            for (std::size_t e = 0; e < step.boxes.size(); ++e)
                if (const Left left = part(w, rule, i, step.boxes[e], &step, e);
                    left != Left::others)
                    return left == Left::all;
            return true;
        }
    }
    return true;
}

bool Evaluation::decide(Walk &w, const CourseRule &rule, const Decide &d, const CourseChain *target)
{
    const std::string loop = name_of(rule.origin) + " jumps too deep, or to no chain";
    switch (d.verdict) {
    case Verdict::next_rule:
        return true;
    case Verdict::accept:
        w.frames.clear();
        w.joins = 0;
        ++w.stage;
        w.changed = true;
        walk(w);
        return false;
    case Verdict::drop:
        if (w.nat_unsure)
            slow(w, w.box, "whether a NAT chain sees the packet depends on its connection");
        else
            emit(w, EFW_DROP, rule.origin);
        return false;
    case Verdict::return_to_caller:
        w.frames.back().rule = w.frames.back().chain->rules.size();
        w.changed = true;
        return true;
    case Verdict::jump:
    case Verdict::go_to:
        if (!target || w.frames.size() >= max_frames) {
            slow(w, w.box, loop);
            return false;
        }
        if (d.verdict == Verdict::go_to) {
            w.frames.back().rule = w.frames.back().chain->rules.size();
            w.changed = true;
        }
        w.jumped = true;
        w.frames.push_back({target, 0});
        return true;
    }
    return false;
}

bool Evaluation::count(Walk &w, const CourseRule &rule, std::size_t at)
{
    if (w.nat_unsure)
        return split_new(w, rule, at, "NAT sees packets of new connections alone");
    w.counted = std::make_shared<Counted>(Counted{rule.origin, w.counted});
    w.changed = true;
    return true;
}

bool Evaluation::not_tracked(Walk &w, const CourseRule &rule)
{
    if (w.tracked) { // too late: it is tracked, and stays so
        slow(w, w.box, name_of(rule.origin) + " comes after connection tracking");
        return false;
    }
    w.untracked = true;
    w.ct_states = CT_UNTRACKED;
    w.changed = true;
    return true;
}

// The rule asks for states of which the packets may have some and not others.
bool Evaluation::ct_state(Walk &w, const CourseRule &rule, std::size_t at)
{
    if (inert(rule, at + 1))
        return true;
    const std::string cause = name_of(rule.origin) + " asks for the state of a connection";
    if (w.tracked && !w.untracked && w.ct_states != CT_NEW)
        return split_new(w, rule, at, cause);
    slow(w, w.box, cause);
    return false;
}

// Goes on apart for packets that conntrack takes as new if they belong to no connection and
// their checksum is right: a TCP SYN and UDP. The others go to netfilter.
bool Evaluation::split_new(Walk &w, const CourseRule &rule, std::size_t at,
                           const std::string &cause)
{
    match::Match syn, datagram;
    constexpr std::uint8_t fin_syn_rst_ack_urg = 0x37, only_syn = 0x02;
    syn.protocol = {{{6, 6}}};
    syn.tcp_flags = {fin_syn_rst_ack_urg, only_syn, false};
    datagram.protocol = {{{17, 17}}};
    for (const auto &m : {syn, datagram}) {
        Walk fresh = w;
        if ((w.ct_states & CT_RELATED) != 0 || w.ct_states == CT_NEW ||
            fresh.box.narrow(only(m)) == Narrowed::none)
            continue;
        fresh.ct_states = CT_NEW;
        fresh.nat_unsure = false;
        if (host_.conntrack_checksum)
            fresh.conditions |= EFW_RIGHT_CHECKSUM;
        fresh.joins = 0;
        if (steps(fresh, rule, at)) {
            fresh.joins = 0;
            walk(std::move(fresh));
        }
    }
    slow(w, w.box, cause);
    return false;
}

bool Evaluation::unknown(Walk &w, const CourseRule &rule, std::size_t at, const Unknown &u)
{
    if (!u.lasting && inert(rule, at + 1))
        return true;
    // Other matches of the rule make it fewer packets; only of a match that leaves nothing
    // behind does it not matter which of them it saw.
    Box box = w.box;
    for (std::size_t i = at + 1; i < rule.steps.size() && !u.lasting; ++i) {
        const Step &s = *rule.steps[i].step;
        if (std::holds_alternative<IsOneOf>(s) && rule.steps[i].boxes.size() == 1) {
            if (box.narrow(rule.steps[i].boxes[0]) == Narrowed::none)
                return true;
        } else if (const auto *state = std::get_if<HasCtState>(&s)) {
            if ((w.ct_states & state->states) == 0)
                return true;
        } else if (!std::holds_alternative<HasMark>(s)) {
            break;
        }
    }
    slow(w, box, name_of(rule.origin) + " has a match that only netfilter knows: " + u.what);
    Box rest = w.box;
    return rest.narrow(box) == Narrowed::less;
}

} // namespace evnf::efw::offload
