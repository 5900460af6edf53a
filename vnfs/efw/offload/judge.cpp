// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/judge.hpp"

#include <algorithm>

namespace evnf::efw::offload
{

namespace
{

constexpr std::size_t max_cases = 16, max_frames = 64;
constexpr std::uint8_t whole_states = 0x1f; // without those of NAT, which come beside them

// The kernel's Effects as far as a verdict goes: by the name of the target, or nft's.
enum class Does { nothing, accepts, rejects, more };

Does what_it_does(const std::string &effect)
{
    const auto is = [&](std::initializer_list<const char *> names) {
        return std::any_of(names.begin(), names.end(), [&](const char *name) {
            return effect == name || effect.starts_with(std::string(name) + " ") ||
                   effect.starts_with("{\"" + std::string(name) + "\"");
        });
    };
    if (is({"LOG", "NFLOG", "ULOG", "log", "TRACE"}))
        return Does::nothing;
    if (is({"SNAT", "MASQUERADE", "snat", "masquerade"}))
        return Does::accepts; // on its way out: no rule of a filter comes after it
    if (is({"REJECT", "reject"}))
        return Does::rejects;
    return Does::more;
}

std::string states_text(std::uint8_t states)
{
    constexpr const char *names[] = {"new", "established", "related", "invalid", "untracked"};
    std::string out;
    for (unsigned i = 0; i < std::size(names); ++i)
        if (states >> i & 1)
            out += (out.empty() ? "" : " or ") + std::string(names[i]);
    return "its connection state is " + out;
}

match::Match exactly(const Packet &p)
{
    match::Match m{.family = p.family};
    const auto ports = p.protocol == 6 || p.protocol == 17 || p.protocol == 132;
    m.src = {{{p.src, p.src}}, false};
    m.dst = {{{p.dst, p.dst}}, false};
    m.protocol = {{{p.protocol, p.protocol}}, false};
    m.dscp = {{{p.dscp, p.dscp}}, false};
    m.length = {{{p.length, p.length}}, false};
    m.in.names = {p.in};
    if (ports) {
        m.sport = {{{p.sport, p.sport}}, false};
        m.dport = {{{p.dport, p.dport}}, false};
    }
    if (p.protocol == (p.family == 4 ? 1 : 58))
        m.icmp = {{{p.icmp, p.icmp}}, false};
    if (p.protocol == 6)
        m.tcp_flags = {0xff, p.tcp_flags, false};
    return m;
}

class Walker
{
public:
    Walker(const Course &course, const Host &host, const std::vector<Origin> &origins,
           const Packet &packet, const Way &way, Judgement &out)
        : course_(course),
          host_(host),
          origins_(origins),
          packet_(packet),
          way_(way),
          point_(Box::of(exactly(packet), packet.family, host.interfaces)),
          out_(out)
    {
    }

    void run(std::uint8_t ct_states)
    {
        walk({.course = &course_.before_routing, .known_states = ct_states});
    }

private:
    struct Frame {
        const CourseChain *chain;
        std::size_t rule;
    };
    struct Walk {
        const std::vector<Stage> *course;
        std::uint8_t known_states;        // those that conntrack may find
        std::uint8_t states = CT_INVALID; // those that rules see: before conntrack, this
        std::size_t stage = 0;
        std::vector<Frame> frames = {}; // empty: between two stages
        bool tracked = false;
        std::uint32_t last = no_origin; // the last rule that accepted, or else the last policy
        bool by_rule = false;           // which of them
        std::vector<std::uint32_t> path = {};
        std::vector<std::string> assuming = {};
    };

    void end(const Walk &w, Fate fate, std::uint32_t decider, const std::string &cause = {})
    {
        Case c{w.assuming, fate, decider, cause, w.path};
        if (decider != no_origin && fate != Fate::accept)
            c.path.push_back(decider);
        out_.cases.push_back(std::move(c));
    }
    void unknown(const Walk &w, const std::string &cause, std::uint32_t decider = no_origin)
    {
        end(w, Fate::unknown, decider, cause);
    }

    void walk(Walk w)
    {
        for (bool more = true; more;) {
            if (out_.cases.size() >= max_cases) {
                out_.complete = false;
                return;
            }
            if (w.frames.empty())
                more = enter(w);
            else if (auto &f = w.frames.back(); f.rule >= f.chain->rules.size())
                more = leave(w);
            else
                more = meet(w, f.chain->rules[f.rule++], 0);
        }
    }

    // The functions below return whether there is anything left of the walk.

    bool leave(Walk &w)
    {
        const CourseChain &chain = *w.frames.back().chain;
        if (w.frames.size() > 1) {
            w.frames.pop_back();
            return true;
        }
        if (chain.chain->policy_drop) {
            end(w, Fate::drop, chain.policy);
            return false;
        }
        return accepted(w, chain.policy, false);
    }

    bool accepted(Walk &w, std::uint32_t origin, bool by_rule)
    {
        if (by_rule || !w.by_rule)
            w.last = origin;
        w.by_rule |= by_rule;
        w.path.push_back(origin);
        w.frames.clear();
        ++w.stage;
        return true;
    }

    bool enter(Walk &w)
    {
        const Stage &stage = (*w.course)[w.stage];
        switch (stage.kind) {
        case Stage::Kind::chain:
            return enter_chain(w, *stage.chain);
        case Stage::Kind::ambiguous:
            unknown(w, "it depends on the order of chains of one priority, or of one interface",
                    stage.chain->policy);
            return false;
        case Stage::Kind::conntrack:
            if (course_.conntrack && w.states != CT_UNTRACKED) {
                w.tracked = true;
                w.states = w.known_states;
            }
            ++w.stage;
            return true;
        case Stage::Kind::routing:
            return route(w);
        case Stage::Kind::delivered:
        case Stage::Kind::forwarded:
            end(w, Fate::accept, w.last, w.last == no_origin ? "no chain has anything for it" : "");
            return false;
        }
        return false;
    }

    bool enter_chain(Walk &w, const CourseChain &chain)
    {
        const bool elsewhere = chain.devices != ~0ULL && !(chain.devices & point_.in);
        const bool nat = chain.chain->type == "nat";
        if (nat && w.tracked && w.states & CT_NEW && w.states != CT_NEW)
            split(w, CT_NEW, [&](Walk &fresh) {
                fresh.frames.push_back({&chain, 0});
                return true;
            });
        // NAT is for the first packet of a connection.
        if (elsewhere || (nat && (!w.tracked || w.states != CT_NEW)))
            ++w.stage;
        else
            w.frames.push_back({&chain, 0});
        return true;
    }

    // Goes on apart for packets of these states; the walk itself keeps the others.
    template <class Then>
    void split(Walk &w, std::uint8_t states, Then then)
    {
        Walk apart = w;
        apart.states &= states;
        w.states = static_cast<std::uint8_t>(w.states & ~states);
        apart.assuming.push_back(states_text(apart.states));
        w.assuming.push_back(states_text(w.states));
        if (then(apart))
            walk(std::move(apart));
    }

    bool route(Walk &w)
    {
        const auto i = static_cast<std::size_t>(
            std::find_if(host_.interfaces.begin(), host_.interfaces.end(),
                         [&](const Interface &f) { return f.name == packet_.in; }) -
            host_.interfaces.begin());
        const Interface &in = host_.interfaces[i];
        const auto multicast = *Prefix::parse(packet_.family == 4 ? "224.0.0.0/3" : "ff00::/8");
        const auto in_any = [&](const match::Ranges<Address> &ranges) {
            return std::any_of(ranges.begin(), ranges.end(), [&](const auto &r) {
                return r.first <= packet_.dst && packet_.dst <= r.last;
            });
        };
        const auto several = match::range_of(multicast);
        if (in_any(host_.broadcast) || in_any({several}))
            unknown(w, "broadcast and multicast are routed by rules of their own");
        else if (!host_.local_table_first)
            unknown(w, "rules of ip-rule(8) stand before the table local");
        else if (host_.ipsec)
            unknown(w, "IPsec policies apply to packets too");
        else if (!way_.none.empty() && keeps_addresses(w))
            end(w, Fate::drop, no_origin, "the kernel has no way for it: " + way_.none);
        else if (in_any(host_.local))
            return go(w, course_.input);
        else if (packet_.family == 4 ? in.forwarding4 : in.forwarding6)
            return go(w, course_.forward);
        else
            end(w, Fate::drop, no_origin,
                "it is for another host, and " + in.name + " does not forward");
        return false;
    }

    // NAT translates packets of a connection that is known before they are routed.
    [[nodiscard]] bool keeps_addresses(const Walk &w) const
    {
        return !course_.nat || !(w.states & ~(CT_NEW | CT_INVALID | CT_UNTRACKED));
    }

    // The interface by which it leaves, if that is certain: a VRF stands for its members.
    [[nodiscard]] std::string leaves_by(const Walk &w) const
    {
        const bool member =
            std::any_of(host_.interfaces.begin(), host_.interfaces.end(),
                        [&](const Interface &f) { return f.name == way_.out && f.enslaved; });
        return w.course == &course_.forward && keeps_addresses(w) && !member ? way_.out
                                                                             : std::string();
    }

    static bool go(Walk &w, const std::vector<Stage> &course)
    {
        w.course = &course;
        w.stage = 0;
        return true;
    }

    [[nodiscard]] bool meets(const std::vector<Box> &boxes) const
    {
        return std::any_of(boxes.begin(), boxes.end(),
                           [&](const Box &box) { return point_.meets(box); });
    }

    // Whether the model knows that one of the matches that come next does not match.
    [[nodiscard]] bool ruled_out(const CourseRule &rule, std::size_t from) const
    {
        for (std::size_t i = from; i < rule.steps.size(); ++i) {
            const Step &s = *rule.steps[i].step;
            if (std::holds_alternative<IsOneOf>(s) && !meets(rule.steps[i].boxes))
                return true;
            const bool matches =
                std::holds_alternative<IsOneOf>(s) || std::holds_alternative<HasCtState>(s) ||
                std::holds_alternative<Unknown>(s) || std::holds_alternative<HasMark>(s) ||
                std::holds_alternative<HasAddressType>(s) || std::holds_alternative<Count>(s);
            if (!matches)
                break;
        }
        return false;
    }

    // Whether it makes no difference to the packet that the rest of the rule is met.
    static bool idle(const CourseRule &rule, std::size_t from)
    {
        return std::none_of(rule.steps.begin() + static_cast<std::ptrdiff_t>(from),
                            rule.steps.end(), [](const CourseStep &step) {
                                const auto *effect = std::get_if<Effect>(step.step);
                                const auto *d = std::get_if<Decide>(step.step);
                                return (effect && what_it_does(effect->what) != Does::nothing) ||
                                       (d && d->verdict != Verdict::next_rule) ||
                                       std::holds_alternative<DecideByMap>(*step.step) ||
                                       std::holds_alternative<NoTrack>(*step.step);
                            });
    }

    bool meet(Walk &w, const CourseRule &rule, std::size_t from)
    {
        for (std::size_t i = from; i < rule.steps.size(); ++i) {
            const CourseStep &step = rule.steps[i];
            const Step &s = *step.step;
            if (ruled_out(rule, i) || idle(rule, i))
                return true;
            if (const auto *state = std::get_if<HasCtState>(&s)) {
                if (course_.nat && state->states & (CT_SNAT | CT_DNAT) &&
                    w.states & ~state->states & whole_states)
                    return assume(w, rule, i, "the NAT of its connection");
                if (!(w.states & state->states))
                    return true;
                if (w.states & ~state->states)
                    split(w, state->states, [&](Walk &apart) { return meet(apart, rule, i + 1); });
                else
                    continue;
                return true;
            }
            if (std::holds_alternative<HasAddressType>(s) && packet_.family == 4) {
                if (!meets(step.boxes))
                    return true;
            } else if (std::holds_alternative<HasAddressType>(s)) {
                return assume(w, rule, i, "the type of an IPv6 address");
            } else if (const auto *mark = std::get_if<HasMark>(&s)) {
                // Packets come without one, and a rule that gives one ends the judgement.
                if ((mark->value == 0) == mark->negated)
                    return true;
            } else if (const auto *u = std::get_if<Unknown>(&s)) {
                if (const auto out = leaves_by(w); u->out.asked() && !out.empty()) {
                    if (u->out.allows(out))
                        continue;
                    return true;
                }
                return assume(w, rule, i, u->what);
            } else if (std::holds_alternative<NoTrack>(s)) {
                if (!w.tracked)
                    w.states = CT_UNTRACKED;
            } else if (const auto *effect = std::get_if<Effect>(&s)) {
                if (const auto does = what_it_does(effect->what); does != Does::nothing)
                    return affect(w, rule, does, effect->what);
            } else if (const auto *d = std::get_if<Decide>(&s)) {
                return decide(w, rule, *d, step.targets[0]);
            } else if (const auto *map = std::get_if<DecideByMap>(&s)) {
                for (std::size_t e = 0; e < step.boxes.size(); ++e)
                    if (point_.meets(step.boxes[e]))
                        return decide(w, rule, map->elements[e].second, step.targets[e]);
                return true;
            }
        }
        return true;
    }

    bool affect(Walk &w, const CourseRule &rule, Does does, const std::string &what)
    {
        if (does == Does::accepts)
            return accepted(w, rule.origin, true);
        if (does == Does::rejects)
            end(w, Fate::reject, rule.origin);
        else
            unknown(w, "what comes after it is not modelled: " + what, rule.origin);
        return false;
    }

    // The match may hold for the packet or not: both.
    bool assume(Walk &w, const CourseRule &rule, std::size_t at, const std::string &what)
    {
        const Origin &o = origins_[rule.origin];
        const std::string of = what + " (rule " + std::to_string(o.number) + " of " + o.chain +
                               ", table " + o.table + ")";
        Walk yes = w;
        yes.assuming.push_back("it matches " + of);
        w.assuming.push_back("it does not match " + of);
        if (meet(yes, rule, at + 1))
            walk(std::move(yes));
        return true;
    }

    bool decide(Walk &w, const CourseRule &rule, const Decide &d, const CourseChain *target)
    {
        switch (d.verdict) {
        case Verdict::next_rule:
            return true;
        case Verdict::accept:
            return accepted(w, rule.origin, true);
        case Verdict::drop:
            end(w, Fate::drop, rule.origin);
            return false;
        case Verdict::return_to_caller:
            w.frames.back().rule = w.frames.back().chain->rules.size();
            return true;
        case Verdict::jump:
        case Verdict::go_to:
            if (!target || w.frames.size() >= max_frames) {
                unknown(w, "it jumps too deep, or to no chain", rule.origin);
                return false;
            }
            if (d.verdict == Verdict::go_to)
                w.frames.back().rule = w.frames.back().chain->rules.size();
            w.frames.push_back({target, 0});
            return true;
        }
        return false;
    }

    const Course &course_;
    const Host &host_;
    const std::vector<Origin> &origins_;
    const Packet &packet_;
    const Way &way_;
    Box point_;
    Judgement &out_;
};

} // namespace

Judge::Judge(Ruleset rules, Host host) : rules_(std::move(rules)), host_(std::move(host))
{
    Origins origins;
    for (auto &course : courses_)
        chart(course, rules_, host_, origins);
    origins_ = std::move(origins.list);
}

std::string Judge::beyond(const Packet &packet) const
{
    const auto in = std::find_if(host_.interfaces.begin(), host_.interfaces.end(),
                                 [&](const Interface &f) { return f.name == packet.in; });
    if (in == host_.interfaces.end())
        return packet.in.empty() ? "say by which interface it comes, as in \"in eth0\""
                                 : "there is no interface " + packet.in + " here";
    if (in->enslaved)
        return packet.in + " belongs to a bridge, bond or VRF: its packets go another way";
    if (packet.protocol == (packet.family == 4 ? 58 : 1))
        return "it is ICMP of the other family, of which rules may mean the type or not";
    if (rules_.flowtables)
        return "there are flowtables, whose flows pass all rules by";
    if (rules_.ct_zones)
        return "connections are tracked in zones";
    return {};
}

Judgement Judge::judge(const Packet &packet, std::uint8_t ct_states, const Way &way) const
{
    Judgement out;
    if (const std::string why = beyond(packet); !why.empty())
        out.cases.push_back({{}, Fate::unknown, no_origin, why});
    else
        Walker(courses_[packet.family == 4 ? 0 : 1], host_, origins_, packet, way, out)
            .run(ct_states);
    return out;
}

} // namespace evnf::efw::offload
