// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/compose.hpp"

#include <algorithm>
#include <set>

#include "base/text.hpp"

namespace evnf
{

namespace
{

const char *layer_text(Layer l)
{
    switch (l) {
    case Layer::link:
        return "the link header";
    case Layer::network:
        return "the IP header";
    case Layer::transport:
        return "ports";
    case Layer::quoted:
        break;
    }
    return "the packets that ICMP errors quote";
}

// Whether every packet to `inner` is one to `outer`.
bool covers(const Destination &outer, const Destination &inner)
{
    if (outer.protocol && inner.protocol != outer.protocol)
        return false;
    if (inner.first_port < outer.first_port || inner.last_port > outer.last_port)
        return false;
    if (!outer.address)
        return true;
    if (!inner.address || inner.address->address.family() != outer.address->address.family() ||
        inner.address->length < outer.address->length)
        return false;
    return outer.address->contains(inner.address->address);
}

// What holds for one pair of stages, of which one comes somewhere before the other.
class Pair
{
public:
    Pair(const Chain &chain, const std::string &where, const Instance &before,
         const Instance &after)
        : chain_(chain),
          where_(where),
          before_(before),
          after_(after)
    {
    }

    [[nodiscard]] Result<> check() const
    {
        const auto &needs = after_.type->descriptor.needs;
        const auto &leaves = before_.type->descriptor.leaves;
        if (needs > leaves)
            return bad_input(who() + " needs " + layer_text(needs) + ", but after " +
                                 in_quotes(before_.name) + " no more than " + layer_text(leaves) +
                                 " can be read: put " + who() + " before it",
                             where_);
        if (!before_.type->rewrites || !after_.type->matches)
            return Unit{};
        for (const auto &gone : before_.type->rewrites(before_.section))
            for (const auto &wanted : after_.type->matches(after_.section))
                if (covers(gone, wanted))
                    return bad_input(
                        "this never matches behind " + in_quotes(before_.name) + " in chain " +
                            in_quotes(chain_.name) + ": " + wanted.text + " asks for " + gone.text +
                            ", which has another destination by then; put " + who() + " before " +
                            in_quotes(before_.name) + ", or match what it writes",
                        after_.type->inner ? where_ : "/" + after_.name + wanted.where);
        return Unit{};
    }

private:
    // A block of conditions has no name that anybody gave it.
    [[nodiscard]] std::string who() const
    {
        return after_.type->inner ? "the block" : in_quotes(after_.name);
    }

    const Chain &chain_;
    const std::string &where_;
    const Instance &before_;
    const Instance &after_;
};

// Of pairs whose second is `after`, if it is not empty.
Result<> check_order(const Chain &chain, const std::string &where,
                     const std::vector<Instance> &instances, const std::string &after = {})
{
    for (const auto &entry : chain.entries)
        for (const std::size_t i : chain.reached(entry.first)) {
            if (chain.places[i].kind != Place::Kind::stage)
                continue;
            for (const std::size_t j : chain.reached(i)) {
                if (i == j || chain.places[j].kind != Place::Kind::stage ||
                    (!after.empty() && chain.places[j].instance != after))
                    continue;
                const Pair pair(chain, where, instance_of(chain, chain.places[i], instances),
                                instance_of(chain, chain.places[j], instances));
                if (auto r = pair.check(); !r)
                    return r;
            }
        }
    return Unit{};
}

// Each interface is a cable's end or a router's port, not both.
Result<> check_ends(const Chain &chain, const std::string &where)
{
    for (const auto &entry : chain.entries) {
        std::string wire;
        bool routes = false;
        for (const std::size_t i : chain.reached(entry.first)) {
            if (chain.places[i].kind == Place::Kind::wire)
                wire = chain.places[i].name;
            routes |= chain.places[i].kind == Place::Kind::route;
        }
        if (!wire.empty() && routes)
            return bad_input("from " + entry.interface + " packets can come to " + wire +
                                 " and to out: a wire carries all frames, 'out' routes those "
                                 "that are for this host; let all of them end in wires, or none",
                             where);
    }
    return Unit{};
}

// Only "out" asks a packet where it wants to go.
Result<> check_neighbours(const Chain &chain, const std::string &where,
                          const std::vector<Instance> &instances)
{
    for (std::size_t i = 0; i < chain.places.size(); ++i) {
        if (chain.places[i].kind != Place::Kind::stage)
            continue;
        const Instance &stage = instance_of(chain, chain.places[i], instances);
        const std::string chosen =
            stage.type->chooses_neighbour ? stage.type->chooses_neighbour(stage.section) : "";
        if (chosen.empty())
            continue;
        for (const std::size_t j : chain.reached(i)) {
            const auto kind = chain.places[j].kind;
            if (kind == Place::Kind::wire || kind == Place::Kind::hairpin)
                return bad_input(in_quotes(stage.name) + " has " + chosen +
                                     ", whose packets only 'out' can send: let them end there, "
                                     "not in " +
                                     (kind == Place::Kind::wire ? "a wire" : "hairpin"),
                                 where);
        }
    }
    return Unit{};
}

// What comes back by a tap must belong to one place, and a tap be nothing else.
Result<> check_taps(const std::vector<Chain> &chains, const std::vector<Instance> &instances)
{
    std::set<std::string> taken;
    for (const auto &chain : chains)
        for (const auto &name : chain.interfaces())
            taken.insert(name);
    for (const auto &i : instances) {
        if (i.exit != EXIT_TAP)
            continue;
        if (!taken.insert(i.tap).second)
            return bad_input(i.tap + " is used already: a tap is an interface of its own",
                             "/" + i.name + "/tap");
        std::size_t places = 0, ways = 0;
        bool returns = false; // to the interface where the packet came in
        for (const auto &chain : chains) {
            for (const auto &p : chain.places)
                places += p.instance == i.name;
            for (const auto &entry : chain.entries)
                for (const std::size_t at : chain.reached(entry.first))
                    if (chain.places[at].instance == i.name) {
                        ++ways;
                        for (const std::size_t j : chain.reached(at))
                            returns |= chain.places[j].kind == Place::Kind::hairpin;
                    }
        }
        if (places > 1 || (returns && ways > 1))
            return bad_input(
                "packets come back from " + i.tap + " to one place, but " + in_quotes(i.name) +
                    (places > 1 ? " stands at " + std::to_string(places) +
                                      ": use an instance with a tap of its own for each"
                                : " is reached from " + std::to_string(ways) +
                                      " interfaces, and hairpin must know which it was"),
                "/" + i.name + "/tap");
    }
    return Unit{};
}

// The interfaces from which packets come to an instance, in all chains.
std::set<std::string> interfaces_to(const std::vector<Chain> &chains, const std::string &instance,
                                    bool &one_armed)
{
    std::set<std::string> out;
    for (const auto &chain : chains)
        for (const auto &entry : chain.entries)
            for (const std::size_t i : chain.reached(entry.first)) {
                if (chain.places[i].instance != instance)
                    continue;
                out.insert(entry.interface);
                for (const std::size_t j : chain.reached(i))
                    one_armed |= chain.places[j].kind == Place::Kind::hairpin;
            }
    return out;
}

// What keeps connections must see the answers too.
Result<> check_both_ways(const std::vector<Chain> &chains, const std::vector<Instance> &instances)
{
    for (const auto &i : instances) {
        if (!i.type->descriptor.both_ways || i.one_armed ||
            (i.type->one_way && i.type->one_way(i.section)))
            continue;
        bool one_armed = false;
        const auto interfaces = interfaces_to(chains, i.name, one_armed);
        if (interfaces.size() != 1 || one_armed)
            continue;
        std::size_t c = 0;
        while (!chains[c].uses(i.name))
            ++c;
        return bad_input(
            in_quotes(i.name) + " sees only what comes in by " + *interfaces.begin() +
                ": the answers would pass it by, and keep the server's own address; let them in "
                "too, for example with in(eth1) -> " +
                i.name + " -> out; or, if servers answer through " + *interfaces.begin() +
                " as well, say one_armed = true in [" + i.name + "]",
            "/chain/" + std::to_string(c) + "/path");
    }
    return Unit{};
}

// The name of one of its outputs.
std::string output_name(const VnfType &type, unsigned number)
{
    for (const auto &o : outputs_of(type))
        if (o.number == number)
            return o.name;
    return std::to_string(number);
}

// What is sent to an output that leads nowhere of its own would go on as if it were not sent. One
// place that has it is enough: the answers' way may be another.
Result<> check_sent(const std::vector<Chain> &chains, const Instance &i)
{
    if (!i.type->sends)
        return Unit{};
    bool used = false;
    unsigned named = 0;
    for (const auto &chain : chains)
        for (const auto &p : chain.places)
            if (p.instance == i.name) {
                used = true;
                named |= p.named;
            }
    for (const auto &sent : i.type->sends(i.section)) {
        if (!used || named >> sent.output & 1)
            continue;
        const std::string output = output_name(*i.type, sent.output);
        return bad_input(sent.text + " sends packets to " + output +
                             ", which no chain's path leads anywhere: write, for example, " +
                             i.name + " { " + output +
                             " -> drop; otherwise -> out } in the path first",
                         "/" + i.name + sent.where);
    }
    return Unit{};
}

} // namespace

const Instance &instance_of(const Chain &chain, const Place &place,
                            const std::vector<Instance> &instances)
{
    for (const auto *list : {&chain.splits, &instances})
        for (const auto &i : *list)
            if (i.name == place.instance)
                return i;
    return instances.front(); // never: build_chain() knows each stage's instance
}

Layer depth_needed(const Chain &chain, std::size_t first, const std::vector<Instance> &instances)
{
    // The root itself tells what is IP, and whole, from what is not: host and drop are for IP.
    Layer deepest = Layer::network;
    for (const std::size_t i : chain.reached(first)) {
        const Place &p = chain.places[i];
        // An end that sends may have to finish a checksum, which is layer 4's.
        if (p.kind == Place::Kind::stage)
            deepest = std::max(deepest, instance_of(chain, p, instances).type->descriptor.needs);
        else if (p.kind != Place::Kind::host && p.kind != Place::Kind::drop)
            deepest = std::max(deepest, Layer::transport);
    }
    return deepest;
}

Result<> check_composition(const std::vector<Chain> &chains, const std::vector<Instance> &instances)
{
    for (std::size_t c = 0; c < chains.size(); ++c) {
        const std::string where = "/chain/" + std::to_string(c) + "/path";
        if (auto r = check_order(chains[c], where, instances); !r)
            return r;
        if (auto r = check_ends(chains[c], where); !r)
            return r;
        if (auto r = check_neighbours(chains[c], where, instances); !r)
            return r;
    }
    for (const auto &i : instances)
        if (auto r = check_sent(chains, i); !r)
            return r;
    if (auto r = check_taps(chains, instances); !r)
        return r;
    return check_both_ways(chains, instances);
}

Result<> check_part(const std::vector<Chain> &chains, const std::vector<Instance> &instances,
                    const std::string &changed)
{
    for (std::size_t c = 0; c < chains.size(); ++c)
        if (auto r =
                check_order(chains[c], "/chain/" + std::to_string(c) + "/path", instances, changed);
            !r)
            return r;
    return Unit{};
}

} // namespace evnf
