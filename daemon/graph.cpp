// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/graph.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.hpp"
#include "daemon/path.hpp"

namespace evnf
{

namespace
{

using path::Element;
using Kind = Place::Kind;

// The kernel ends a packet's way after so many tail calls (MAX_TAIL_CALL_CNT, Linux 5.16
// and later); the root makes the first.
constexpr std::size_t max_tail_calls = 33;
constexpr const char *classifier = "classify"; // the VNF that a block of conditions is

Error at(const path::Span &span, std::string what)
{
    return bad_input(std::move(what), "", span.offset, span.length);
}

std::string names_of(const std::vector<Output> &outputs)
{
    std::string out;
    for (const auto &o : outputs)
        out += (out.empty() ? "" : ", ") + o.name;
    return out;
}

// Walks the text's paths and makes a place for each element. A label's path becomes
// places once, where it is first needed.
class Builder
{
public:
    Builder(Chain &chain, const TypeOf &type_of, const std::string &known_stages)
        : chain_(chain),
          type_of_(type_of),
          known_stages_(known_stages)
    {
    }

    Result<> build(const std::vector<path::Statement> &statements)
    {
        for (const auto &s : statements)
            if (!s.label.empty())
                if (auto r = add_label(s); !r)
                    return r;
        for (const auto &s : statements) {
            if (!s.label.empty())
                continue;
            auto first = follow(s.path, 1);
            if (!first)
                return first.error();
            for (const auto &interface : s.path.front().interfaces)
                chain_.entries.push_back({interface, *first});
        }
        if (chain_.entries.empty())
            return bad_input("the chain takes packets from no interface: one path must start with "
                             "in(INTERFACE)");
        for (const auto &[label, known] : labels_)
            if (known.place == Place::nowhere)
                return at(known.statement->at, "no path leads to " + in_quotes(label));
        return Unit{};
    }

private:
    struct Label {
        const path::Statement *statement;
        std::size_t place = Place::nowhere;
        bool under_way = false;
    };

    Result<> add_label(const path::Statement &s)
    {
        if (type_of_(s.label))
            return at(s.at, in_quotes(s.label) + " is a stage already: a label needs another name");
        if (!labels_.emplace(s.label, Label{&s}).second)
            return at(s.at, "two paths are called " + in_quotes(s.label));
        return Unit{};
    }

    // Places for the elements of `p` from number `from` on; gives the index of the first.
    Result<std::size_t> follow(const path::Path &p, std::size_t from)
    {
        const Element &e = p[from];
        const bool last = from + 1 == p.size();
        if (e.kind == Element::Kind::block)
            return split(e);
        if (e.kind != Element::Kind::name)
            return end(e);
        const VnfType *type = type_of_(e.name);
        if (type)
            return stage(e, *type, p, from);
        const auto label = labels_.find(e.name);
        if (label == labels_.end())
            return at(e.at, "no stage or label is named " + in_quotes(e.name) + ": there is " +
                                known_stages_);
        if (!last)
            return at(p[from + 1].at, "nothing comes after the label " + in_quotes(e.name) +
                                          ": its own path says how it goes on");
        if (!e.arms.empty())
            return at(e.at, in_quotes(e.name) + " is a label, which has no outputs");
        return follow_label(e, label->second);
    }

    Result<std::size_t> follow_label(const Element &e, Label &label)
    {
        if (label.under_way)
            return at(e.at,
                      "the chain goes in a circle: " + in_quotes(e.name) + " leads to itself");
        if (label.place != Place::nowhere)
            return label.place;
        label.under_way = true;
        auto first = follow(label.statement->path, 0);
        label.under_way = false;
        if (first)
            label.place = *first;
        return first;
    }

    std::size_t add(Place p)
    {
        chain_.places.push_back(std::move(p));
        return chain_.places.size() - 1;
    }

    // One place for each end, however many paths lead to it.
    Result<std::size_t> end(const Element &e)
    {
        static const std::map<Element::Kind, Kind> kinds{{Element::Kind::out, Kind::route},
                                                         {Element::Kind::wire, Kind::wire},
                                                         {Element::Kind::hairpin, Kind::hairpin},
                                                         {Element::Kind::host, Kind::host},
                                                         {Element::Kind::drop, Kind::drop}};
        Place p;
        p.kind = kinds.at(e.kind);
        p.interface = e.name;
        p.name = kind_text(p.kind) + (e.name.empty() ? "" : "(" + e.name + ")");
        for (std::size_t i = 0; i < chain_.places.size(); ++i)
            if (chain_.places[i].name == p.name)
                return i;
        return add(std::move(p));
    }

    std::string stage_name(const std::string &instance)
    {
        const unsigned n = ++uses_[instance];
        return n == 1 ? instance : instance + "#" + std::to_string(n);
    }

    Result<std::size_t> stage(const Element &e, const VnfType &type, const path::Path &p,
                              std::size_t from)
    {
        Place place;
        place.instance = e.name;
        place.name = stage_name(e.name);
        const std::size_t index = add(std::move(place));
        if (!e.arms.empty())
            return branch(index, e, outputs_of(type), e.name);
        if (from + 1 == p.size())
            return at(e.at, "the path ends in " + in_quotes(e.name) +
                                ": say where packets go, for example -> out");
        auto next = follow(p, from + 1);
        if (!next)
            return next;
        chain_.places[index].next.fill(*next);
        return index;
    }

    // Leads each output of the place to its arm's path.
    Result<std::size_t> branch(std::size_t index, const Element &e,
                               const std::vector<Output> &outputs, const std::string &who)
    {
        std::array<std::size_t, CHAIN_OUTPUTS> next{};
        next.fill(Place::nowhere);
        std::size_t otherwise = Place::nowhere;
        for (const auto &arm : e.arms) {
            const bool rest = arm.condition.empty();
            if (otherwise != Place::nowhere)
                return at(arm.at, "nothing comes after 'otherwise', which takes all the rest");
            const auto output = std::find_if(outputs.begin(), outputs.end(), [&](const Output &o) {
                return o.name == arm.condition;
            });
            if (!rest && output == outputs.end())
                return at(arm.at, who + " has no output " + in_quotes(arm.condition) +
                                      ": there is " + names_of(outputs));
            if (!rest && next[output->number] != Place::nowhere)
                return at(arm.at, "the output " + in_quotes(arm.condition) + " has an arm already");
            auto first = follow(arm.path, 0);
            if (!first)
                return first;
            (rest ? otherwise : next[output->number]) = *first;
            if (!rest)
                chain_.places[index].named |= 1U << output->number;
        }
        for (const auto &o : outputs)
            if (next[o.number] == Place::nowhere && otherwise == Place::nowhere)
                return at(e.at, "nobody takes the output " + in_quotes(o.name) + " of " + who +
                                    ": add an arm for it, or 'otherwise -> …'");
        for (const auto &o : outputs)
            if (next[o.number] == Place::nowhere)
                next[o.number] = otherwise;
        // What comes back from the slow path goes on like "next".
        for (auto &n : next)
            if (n == Place::nowhere)
                n = next[outputs.front().number];
        chain_.places[index].next = next;
        return index;
    }

    // A block of conditions: a classifier of its own, whose outputs are the arms.
    Result<std::size_t> split(const Element &e)
    {
        const VnfType &type = *find_vnf(classifier);
        const std::string who = stage_name("split");
        json rules = json::array();
        Element outputs = e;
        const auto all = outputs_of(type);
        for (auto &arm : outputs.arms) {
            if (arm.condition.empty())
                continue;
            rules.push_back(arm.condition);
            if (rules.size() > all.size() - 1)
                return at(arm.at, "a block has at most " + std::to_string(all.size() - 1) +
                                      " conditions: put the rest in a block after 'otherwise'");
            arm.condition = "rule" + std::to_string(rules.size());
        }
        if (outputs.arms.empty() || !outputs.arms.back().condition.empty())
            return at(e.at, "the last arm of a block must be 'otherwise -> …', for packets that no "
                            "condition matches");
        auto section = type.check({{"rules", rules}}, nullptr);
        if (!section)
            return in_condition(e, section.error());
        // Outputs that no condition uses never come: they go with the rest.
        Place place;
        place.instance = chain_.name + ":" + who;
        place.name = who;
        chain_.splits.push_back({place.instance, &type, *section});
        const std::size_t index = add(std::move(place));
        return branch(index, outputs, all, who);
    }

    // The fault of one of the rules ("/rules/2"), as one of the text.
    static Error in_condition(const Element &e, Error error)
    {
        const auto slash = error.where.rfind('/');
        const std::string number = slash == error.where.npos ? "" : error.where.substr(slash + 1);
        std::size_t n = 0;
        for (const auto &arm : e.arms) {
            if (arm.condition.empty() || std::to_string(n++) != number)
                continue;
            error.offset += arm.at.offset;
            if (error.length == 0)
                error.length = 1;
        }
        error.where.clear();
        return error;
    }

    Chain &chain_;
    const TypeOf &type_of_;
    const std::string &known_stages_;
    std::map<std::string, Label> labels_;
    std::map<std::string, unsigned> uses_;
};

// The longest way from a place to an end, in places.
std::size_t longest(const Chain &c, std::size_t place, std::map<std::size_t, std::size_t> &known)
{
    if (const auto it = known.find(place); it != known.end())
        return it->second;
    std::size_t most = 0;
    for (const std::size_t next : c.followers(place))
        most = std::max(most, longest(c, next, known));
    return known[place] = most + 1;
}

Result<> check_depth(const Chain &c)
{
    std::map<std::size_t, std::size_t> known;
    for (const auto &entry : c.entries) {
        const std::size_t length = longest(c, entry.first, known);
        if (length > max_tail_calls)
            return bad_input("the way from " + entry.interface + " has " + std::to_string(length) +
                             " places; the kernel ends a packet's way after " +
                             std::to_string(max_tail_calls) +
                             " tail calls, one for each: make the chain shorter");
    }
    return Unit{};
}

} // namespace

bool Chain::uses(const std::string &instance) const
{
    return std::any_of(places.begin(), places.end(),
                       [&](const Place &p) { return p.instance == instance; });
}

std::vector<std::string> Chain::interfaces() const
{
    std::vector<std::string> out;
    for (const auto &e : entries)
        out.push_back(e.interface);
    for (const auto &p : places)
        if (!p.interface.empty())
            out.push_back(p.interface);
    return out;
}

bool Chain::has(Place::Kind kind) const
{
    return std::any_of(places.begin(), places.end(),
                       [&](const Place &p) { return p.kind == kind; });
}

std::vector<std::size_t> Chain::followers(std::size_t place) const
{
    const Place &p = places[place];
    if (p.kind != Kind::stage)
        return {};
    std::vector<std::size_t> out;
    for (const std::size_t next : p.next)
        if (std::find(out.begin(), out.end(), next) == out.end())
            out.push_back(next);
    return out;
}

std::vector<std::size_t> Chain::reached(std::size_t first) const
{
    std::vector<std::size_t> out;
    std::set<std::size_t> seen;
    const std::function<void(std::size_t)> visit = [&](std::size_t place) {
        if (!seen.insert(place).second)
            return;
        for (const std::size_t next : followers(place))
            visit(next);
        out.push_back(place);
    };
    visit(first);
    std::reverse(out.begin(), out.end());
    return out;
}

std::vector<Output> outputs_of(const VnfType &type)
{
    std::vector<Output> out;
    bool plain = !type.only_own_outputs;
    if (plain)
        out.push_back({NEXT & 0xf, "next"});
    for (const auto &r : type.reasons)
        if ((r.value & VERDICT_MASK) == VERDICT_NEXT)
            out.push_back({r.value & 0xf, std::string(r.name)});
    return out;
}

std::string kind_text(Place::Kind kind)
{
    switch (kind) {
    case Kind::route:
        return "out";
    case Kind::wire:
        return "wire";
    case Kind::hairpin:
        return "hairpin";
    case Kind::host:
        return "host";
    case Kind::drop:
        return "drop";
    case Kind::stage:
        break;
    }
    return "stage";
}

Result<Chain> build_chain(const std::string &name, const std::string &text, const TypeOf &type_of,
                          const std::string &known_stages)
{
    auto statements = path::parse(text);
    if (!statements)
        return statements.error();
    Chain c;
    c.name = name;
    c.path = path::text_of(*statements);
    if (auto r = Builder(c, type_of, known_stages).build(*statements); !r)
        return r.error();
    if (auto r = check_depth(c); !r)
        return r.error();
    return c;
}

} // namespace evnf
