// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/import_rules.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "abi/match.h"
#include "base/text.hpp"
#include "vnfs/efw/both_matches.hpp"

namespace evnf::efw
{

namespace
{

using match::Match;
using offload::Chain;
using offload::Decide;
using offload::Effect;
using offload::Hook;
using offload::Table;
using offload::Verdict;
using Effects = Effect::Kind;

constexpr std::uint8_t tcp = 6;
constexpr std::size_t most_frames = 64; // a loop of jumps; the kernel refuses them

// A rule of netfilter as efw would say it, or why not.
struct Meaning {
    std::vector<Match> parts; // together: the packets that it is about
    std::optional<Limit> limit;
    bool log = false;
    std::optional<Effects> reject;
    const Decide *decide = nullptr; // none: it counts or logs, and the next is asked
    const offload::DecideByMap *map = nullptr;
    std::string why; // not empty: efw cannot say it
    std::size_t step = 0;
};

// Those that differ in their protocol alone, as one.
void merge(std::vector<Match> &parts)
{
    for (std::size_t i = 0; i < parts.size(); ++i)
        for (std::size_t j = parts.size() - 1; j > i; --j) {
            Match other = parts[j];
            other.protocol = parts[i].protocol;
            if (!(other == parts[i]) || parts[i].protocol.negated || parts[j].protocol.negated)
                continue;
            auto &ranges = parts[i].protocol.ranges;
            ranges.insert(ranges.end(), parts[j].protocol.ranges.begin(),
                          parts[j].protocol.ranges.end());
            ranges = match::normalized(ranges);
            parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(j));
        }
}

class Reader
{
public:
    static Meaning read(const Match &region, const offload::Rule &rule)
    {
        Reader r(region);
        for (std::size_t i = 0; i < rule.steps.size(); ++i) {
            const bool before = r.m_.why.empty();
            std::visit([&](const auto &step) { r.step(step); }, rule.steps[i]);
            if (before && !r.m_.why.empty())
                r.m_.step = i;
        }
        merge(r.m_.parts);
        return std::move(r.m_);
    }

private:
    explicit Reader(const Match &region) { m_.parts = {region}; }

    void cannot(const std::string &why)
    {
        if (m_.why.empty())
            m_.why = why;
    }

    void step(const offload::IsOneOf &is)
    {
        if (m_.decide || m_.reject || m_.limit)
            return cannot("its matches do not all stand before what it does");
        if (!is.settled.empty())
            return cannot("efw has no match for " + is.settled);
        std::vector<Match> next;
        for (const auto &part : m_.parts)
            for (const auto &m : is.matches) {
                const auto joined = both(part, m);
                if (!joined)
                    return cannot("what it and the rules that lead to it match together cannot "
                                  "be said in one rule");
                if (!joined->none)
                    next.push_back(joined->match);
            }
        m_.parts = std::move(next);
    }
    void step(const offload::HasCtState & /*step*/)
    {
        cannot("it asks for the state of a connection, which only netfilter knows");
    }
    void step(const offload::HasMark & /*step*/)
    {
        cannot("it asks for a mark, which is netfilter's");
    }
    void step(const offload::HasAddressType & /*step*/)
    {
        cannot("it asks for the type of an address, which the host's routing knows");
    }
    void step(const offload::Unknown &u)
    {
        if (!u.limit || m_.limit)
            cannot("efw has no match such as " + u.what);
        m_.limit = u.limit;
    }
    void step(const offload::Count & /*step*/) {}
    void step(const offload::NoTrack & /*step*/) { cannot("connection tracking is netfilter's"); }
    void step(const Effect &e)
    {
        if (e.kind == Effects::log)
            m_.log = true;
        else if (e.kind == Effects::other)
            cannot("efw has nothing that does " + e.what +
                   (e.what.find("eject") == e.what.npos && e.what.find("EJECT") == e.what.npos
                        ? ""
                        : ": its reject answers TCP with a reset, all else with "
                          "admin-prohibited"));
        else
            m_.reject = e.kind;
    }
    void step(const Decide &d) { m_.decide = &d; }
    void step(const offload::DecideByMap &map) { m_.map = &map; }

    Meaning m_;
};

bool may_be_tcp(const Match &m)
{
    return m.protocol.allows(tcp);
}

class Importer
{
public:
    Importer(const Table &table, const Chain &root, Import &out) : root_(root), out_(out)
    {
        all_.family = table.family == offload::Family::ip    ? 4
                      : table.family == offload::Family::ip6 ? 6
                                                             : 0;
        for (const auto &c : table.chains)
            chains_[c.name] = &c;
    }

    Result<> run()
    {
        walk(all_, {{&root_, 0}}, 0);
        if (out_.rules.size() > MATCH_MAX_RULES)
            return bad_input("the chain has more paths than efw holds rules (" +
                             std::to_string(MATCH_MAX_RULES) + ")");
        return Unit{};
    }

private:
    struct Frame {
        const Chain *chain;
        std::size_t rule;
    };
    using Frames = std::vector<Frame>;

    [[nodiscard]] bool full() const { return out_.rules.size() > MATCH_MAX_RULES; }

    // Until it has come back to so many frames; 0: to the end.
    void walk(const Match &region, Frames frames, std::size_t joins)
    {
        while (!full()) {
            Frame &f = frames.back();
            if (f.rule < f.chain->rules.size()) {
                rule(region, frames, f.chain->rules[f.rule++]);
                continue;
            }
            frames.pop_back();
            if (frames.empty())
                return end(region);
            if (frames.size() == joins)
                return;
        }
    }

    // Behind the last rule of the root.
    void end(const Match &region)
    {
        const bool whole = region == all_;
        const bool user = root_.hook == Hook::none;
        if (user && whole) // what comes next in efw is asked
            return;
        if (!out_.rules.empty() && whole && out_.rules.back().rule.match == region &&
            out_.rules.back().rule.action != EFW_COUNT && !out_.rules.back().rule.limit)
            return;
        emit(region, {}, user ? EFW_SLOW : root_.policy_drop ? EFW_DROP : EFW_ACCEPT, {});
    }

    void rule(const Match &region, Frames &frames, const offload::Rule &rule)
    {
        from_ = &rule;
        Meaning m = Reader::read(region, rule);
        if (m.parts.empty())
            return;
        if (m.why.empty())
            m.why = trouble(m);
        if (!m.why.empty())
            return refuse(m);
        if (m.log && m.decide && m.decide->verdict != Verdict::accept &&
            m.decide->verdict != Verdict::drop) { // it logs, and the way goes on
            for (const auto &part : m.parts)
                emit(part, m, EFW_COUNT, {});
            m.log = false;
        }
        if (m.map) {
            for (const auto &[key, decide] : m.map->elements)
                for (const auto &part : m.parts)
                    if (const auto joined = both(part, key); joined && !joined->none)
                        act(joined->match, region, frames, m, &decide);
            return;
        }
        for (const auto &part : m.parts)
            act(part, region, frames, m, m.decide);
    }

    // What is wrong with the rule as a whole.
    static std::string trouble(const Meaning &m)
    {
        const bool plain =
            !m.decide || m.decide->verdict == Verdict::accept || m.decide->verdict == Verdict::drop;
        if (m.map)
            for (const auto &part : m.parts)
                for (const auto &[key, decide] : m.map->elements)
                    if (!both(part, key))
                        return "what its map and the rules that lead to it match together cannot "
                               "be said in one rule";
        if (m.limit && (m.map || !plain))
            return "efw cannot go to other rules by a limit";
        if ((m.limit || (!m.decide && !m.reject && !m.map)) && m.parts.size() > 1)
            return "it would need several rules of efw, which count apart";
        if (m.log && m.map)
            return "efw cannot log and decide by a map in one rule";
        for (const auto &part : m.parts) {
            const bool only_tcp = part.protocol == match::Field<std::uint8_t>{{{tcp, tcp}}};
            if (m.reject == Effects::reset && !only_tcp)
                return "efw's reject answers only TCP with a reset";
            if (m.reject == Effects::prohibit && may_be_tcp(part))
                return "efw's reject answers TCP with a reset, not with admin-prohibited: write "
                       "a rule for TCP apart";
        }
        return "";
    }

    void act(const Match &part, const Match &region, Frames &frames, const Meaning &m,
             const Decide *decide)
    {
        if (m.reject)
            return emit(part, m, EFW_REJECT, from_->comment);
        const Verdict verdict = decide ? decide->verdict : Verdict::next_rule;
        switch (verdict) {
        case Verdict::next_rule:
            if (!m.map && !m.decide)
                emit(part, m, EFW_COUNT, from_->comment);
            return;
        case Verdict::accept:
        case Verdict::drop:
            return emit(part, m, verdict == Verdict::drop ? EFW_DROP : EFW_ACCEPT, from_->comment);
        case Verdict::return_to_caller:
            return leave(part, region, frames, m);
        case Verdict::jump:
        case Verdict::go_to:
            return go(part, region, frames, *decide);
        }
    }

    // A chain ends early for a part of its packets.
    void leave(const Match &part, const Match &region, Frames &frames, const Meaning &m)
    {
        if (frames.size() == 1) {
            const efw_action action = root_.hook == Hook::none ? EFW_SLOW
                                      : root_.policy_drop      ? EFW_DROP
                                                               : EFW_ACCEPT;
            return emit(part, m, action, from_->comment);
        }
        Frame &f = frames.back();
        if (f.rule >= f.chain->rules.size())
            return;
        if (part == region) {
            f.rule = f.chain->rules.size();
            return;
        }
        const auto *here = from_;
        walk(part, Frames(frames.begin(), frames.end() - 1), 0);
        from_ = here;
    }

    void go(const Match &part, const Match &region, Frames &frames, const Decide &decide)
    {
        const auto it = chains_.find(decide.chain);
        if (it == chains_.end() || frames.size() >= most_frames) {
            Meaning m;
            m.parts = {part};
            m.why = "it jumps too deep, or to no chain";
            return refuse(m);
        }
        const auto *here = from_;
        Frame &f = frames.back();
        const bool last = f.rule >= f.chain->rules.size();
        Frames there = frames;
        there.push_back({it->second, 0});
        if (decide.verdict == Verdict::jump || last) {
            walk(part, std::move(there), frames.size());
        } else {
            there[frames.size() - 1].rule = f.chain->rules.size();
            const bool all = part == region;
            walk(part, std::move(there), all ? frames.size() : 0);
            if (all)
                f.rule = f.chain->rules.size();
        }
        from_ = here;
    }

    void refuse(const Meaning &m)
    {
        const auto place = m.step < from_->places.size() ? from_->places[m.step] : from_->place;
        if (told_.insert(from_).second)
            out_.refused.push_back({place, from_->text, m.why});
        for (const auto &part : m.parts)
            emit(part, {}, EFW_SLOW, from_->comment);
    }

    void emit(const Match &part, const Meaning &m, efw_action action, std::string comment)
    {
        if (comment.size() > Rule::max_comment)
            comment.resize(Rule::max_comment);
        std::replace(comment.begin(), comment.end(), '"', '\''); // a text of efw's has none
        Rule rule{.match = part,
                  .limit = m.limit,
                  .log_sample = m.log ? 1U : 0U,
                  .action = action,
                  .comment = std::move(comment)};
        const std::string text = text_of(rule);
        const auto read = parse_rule(text);
        const auto place = from_ ? from_->place : offload::Place{};
        if (!read) {
            out_.refused.push_back({place, from_ ? from_->text : text,
                                    "efw has no such rule (" + text + "): " + read.error().what});
            return;
        }
        if (seen_.insert(text).second)
            out_.rules.push_back({*read, place});
        else if (m.limit) // of any other nothing is left for the second
            out_.refused.push_back({place, from_->text, "it stands twice, with a limit for each"});
    }

    const Chain &root_;
    Match all_; // packets that the table sees
    Import &out_;
    std::map<std::string, const Chain *> chains_;
    const offload::Rule *from_ = nullptr;
    std::set<const offload::Rule *> told_;
    std::unordered_set<std::string> seen_;
};

struct Candidate {
    const Table *table;
    const Chain *chain;
};

// Chains that others of the table lead to.
std::set<std::string> targets_of(const Table &table)
{
    std::set<std::string> out;
    for (const auto &chain : table.chains)
        for (const auto &rule : chain.rules)
            for (const auto &step : rule.steps) {
                if (const auto *d = std::get_if<Decide>(&step))
                    out.insert(d->chain);
                if (const auto *map = std::get_if<offload::DecideByMap>(&step))
                    for (const auto &[key, d] : map->elements)
                        out.insert(d.chain);
            }
    return out;
}

std::vector<Candidate> beginnings(const offload::Ruleset &rules)
{
    static const std::set<Hook> hooks{Hook::ingress, Hook::prerouting, Hook::input, Hook::forward};
    std::vector<Candidate> out;
    for (const auto &table : rules.tables) {
        if (table.family == offload::Family::arp || table.family == offload::Family::bridge)
            continue;
        const auto targets = targets_of(table);
        for (const auto &chain : table.chains) {
            const bool base = hooks.contains(chain.hook) && chain.type != "nat";
            const bool alone = chain.hook == Hook::none && !targets.contains(chain.name);
            if ((base && (!chain.rules.empty() || chain.policy_drop)) ||
                (alone && !chain.rules.empty()))
                out.push_back({&table, &chain});
        }
    }
    return out;
}

std::string name_of(const Candidate &c)
{
    return c.table->name + "/" + c.chain->name;
}

} // namespace

Result<Import> import_rules(const offload::Ruleset &rules, const std::string &name)
{
    std::vector<Candidate> found;
    std::string there;
    if (name.empty()) {
        found = beginnings(rules);
    } else {
        for (const auto &table : rules.tables)
            for (const auto &chain : table.chains)
                if (name == chain.name || name == table.name + "/" + chain.name)
                    found.push_back({&table, &chain});
    }
    for (const auto &c : found.size() > 1 ? found : beginnings(rules))
        there += (there.empty() ? "" : ", ") + name_of(c);
    if (found.size() > 1)
        return bad_input("there are several chains: say which one, by --chain: " + there);
    if (found.empty())
        return bad_input(name.empty() ? "there is no chain with rules that a packet meets when "
                                        "it comes in"
                                      : "there is no chain " + in_quotes(name) +
                                            (there.empty() ? "" : ": there is " + there));
    Import out{.chain = name_of(found[0]), .rules = {}, .refused = {}};
    if (auto r = Importer(*found[0].table, *found[0].chain, out).run(); !r)
        return r.error();
    return out;
}

} // namespace evnf::efw
