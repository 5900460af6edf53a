// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/course.hpp"

#include <algorithm>
#include <cctype>

namespace evnf::efw::offload
{

namespace
{

constexpr int conntrack_priority = -200; // NF_IP_PRI_CONNTRACK

bool sees(Family table, int family)
{
    return table == Family::inet || table == Family::netdev ||
           table == (family == 4 ? Family::ip : Family::ip6);
}

// Addresses of these types, of IPv4: inet_addr_type().
match::Ranges<Address> of_types(std::uint8_t types, const Host &host)
{
    auto prefix = [](const char *text) { return match::range_of(*Prefix::parse(text)); };
    const match::Ranges<Address> multicast{prefix("224.0.0.0/4")};
    match::Ranges<Address> broadcast = host.broadcast;
    broadcast.push_back(prefix("0.0.0.0/8"));
    broadcast.push_back(prefix("255.255.255.255/32"));
    broadcast = match::normalized(broadcast);
    const auto local = match::intersection(host.local, match::complement(broadcast));
    match::Ranges<Address> others = local, out;
    others.insert(others.end(), broadcast.begin(), broadcast.end());
    others.insert(others.end(), multicast.begin(), multicast.end());
    auto add = [&](const match::Ranges<Address> &r) { out.insert(out.end(), r.begin(), r.end()); };
    if (types & ADDRESS_LOCAL)
        add(local);
    if (types & ADDRESS_BROADCAST)
        add(broadcast);
    if (types & ADDRESS_MULTICAST)
        add(multicast);
    if (types & ADDRESS_UNICAST)
        add(match::complement(match::normalized(others)));
    return match::normalized(std::move(out));
}

// Whether the kernel may track connections because of such a step. Too often does no harm.
bool tracks(const Step &step)
{
    const std::string *what = nullptr;
    if (const auto *unknown = std::get_if<Unknown>(&step))
        what = &unknown->what;
    else if (const auto *effect = std::get_if<Effect>(&step))
        what = &effect->what;
    else
        return std::holds_alternative<HasCtState>(step) || std::holds_alternative<NoTrack>(step);
    const auto words = {"conn", "CONN", "\"ct", "helper",   "state", "ynproxy", "SYNPROXY",
                        "nat",  "NAT",  "MASQ", "REDIRECT", "xt",    "NETMAP",  "cluster"};
    const auto ct = what->find("CT"); // and not REJECT
    return (ct != std::string::npos &&
            (ct == 0 || !std::isalpha(static_cast<unsigned char>((*what)[ct - 1])))) ||
           std::any_of(words.begin(), words.end(),
                       [&](const char *word) { return what->find(word) != std::string::npos; });
}

class Charter
{
public:
    Charter(Course &course, const Host &host, Origins &origins)
        : course_(course),
          host_(host),
          origins_(origins)
    {
    }

    void add(const Table &table)
    {
        std::map<std::string, const CourseChain *> by_name;
        for (const auto &chain : table.chains)
            by_name[chain.name] = &course_.chains[&chain];
        for (const auto &chain : table.chains) {
            CourseChain &c = course_.chains[&chain];
            c.chain = &chain;
            if (chain.hook != Hook::none) {
                c.policy = origin(table, chain, nullptr);
                c.policy_counted = table.iptables;
                course_.nat = course_.nat || chain.type == "nat";
            }
            if (chain.hook == Hook::ingress)
                c.devices = devices(chain);
            for (const auto &rule : chain.rules)
                c.rules.push_back(this->rule(table, chain, rule, by_name));
        }
    }

    void order(const Ruleset &rules)
    {
        auto &pre = course_.before_routing;
        hook(rules, Hook::ingress, pre, false);
        hook(rules, Hook::prerouting, pre, true);
        pre.push_back({Stage::Kind::routing});
        hook(rules, Hook::input, course_.input, false);
        course_.input.push_back({Stage::Kind::delivered});
        hook(rules, Hook::forward, course_.forward, false);
        hook(rules, Hook::postrouting, course_.forward, false);
        hook(rules, Hook::egress, course_.forward, false);
        course_.forward.push_back({Stage::Kind::forwarded});
    }

private:
    std::uint32_t origin(const Table &table, const Chain &chain, const Rule *rule)
    {
        const auto *key = rule ? static_cast<const void *>(rule) : &chain;
        const auto next = static_cast<std::uint32_t>(origins_.list.size());
        const auto [it, is_new] = origins_.of.emplace(key, next);
        if (is_new)
            origins_.list.push_back(origin_of(table, chain, rule));
        return it->second;
    }

    [[nodiscard]] std::uint64_t devices(const Chain &chain) const
    {
        match::Match m;
        m.in.names = chain.devices;
        return Box::of(m, course_.family, host_.interfaces).in;
    }

    Box box(const match::Match &m) const { return Box::of(m, course_.family, host_.interfaces); }

    CourseRule rule(const Table &table, const Chain &chain, const Rule &rule,
                    const std::map<std::string, const CourseChain *> &by_name)
    {
        CourseRule out{origin(table, chain, &rule), &rule, {}};
        auto target = [&](const Decide &d) -> const CourseChain * {
            const auto it = by_name.find(d.chain);
            return it == by_name.end() ? nullptr : it->second;
        };
        for (const auto &step : rule.steps) {
            CourseStep s{&step, {}};
            if (const auto *is = std::get_if<IsOneOf>(&step)) {
                for (const auto &m : is->matches)
                    s.boxes.push_back(box(m));
            } else if (const auto *type = std::get_if<HasAddressType>(&step)) {
                match::Match m{.family = 4};
                auto &field = type->source ? m.src : m.dst;
                field = {of_types(type->types, host_), type->negated};
                // A field without ranges would not be asked for.
                if (field.asked())
                    s.boxes.push_back(box(m));
                else if (type->negated)
                    s.boxes.push_back(box({.family = 4}));
            } else if (const auto *decide = std::get_if<Decide>(&step)) {
                s.targets.push_back(target(*decide));
            } else if (const auto *map = std::get_if<DecideByMap>(&step)) {
                for (const auto &[m, d] : map->elements) {
                    s.boxes.push_back(box(m));
                    s.targets.push_back(target(d));
                }
            }
            course_.conntrack = course_.conntrack || tracks(step);
            out.steps.push_back(std::move(s));
        }
        return out;
    }

    void hook(const Ruleset &rules, Hook hook, std::vector<Stage> &out, bool with_conntrack)
    {
        std::vector<const CourseChain *> chains;
        for (const auto &table : rules.tables)
            for (const auto &chain : table.chains)
                if (sees(table.family, course_.family) && chain.hook == hook) {
                    const CourseChain &c = course_.chains.at(&chain);
                    const bool idle =
                        chain.rules.empty() && !chain.policy_drop && !c.policy_counted;
                    if (!idle && c.devices != 0)
                        chains.push_back(&c);
                }
        std::stable_sort(chains.begin(), chains.end(), [](const auto *a, const auto *b) {
            return a->chain->priority < b->chain->priority;
        });
        auto priority = [](const CourseChain *c) { return c->chain->priority; };
        bool tracked = !with_conntrack;
        for (std::size_t i = 0; i < chains.size(); ++i) {
            if (!tracked && priority(chains[i]) >= conntrack_priority) {
                out.push_back({Stage::Kind::conntrack});
                tracked = true;
            }
            // By which interface a packet leaves is not known here, nor, without a list of
            // devices, by which it may come.
            if (hook == Hook::egress ||
                (hook == Hook::ingress && chains[i]->chain->devices.empty()))
                out.push_back({Stage::Kind::ambiguous, chains[i]});
            const bool twin =
                (i > 0 && priority(chains[i - 1]) == priority(chains[i])) ||
                (i + 1 < chains.size() && priority(chains[i + 1]) == priority(chains[i]));
            const bool plain = chains[i]->chain->rules.empty() && !chains[i]->chain->policy_drop;
            // Whether a chain that only counts comes before or after is of no matter; its
            // counter is then nobody's.
            if (twin && plain && others_matter(chains, i))
                continue;
            if ((twin && !plain && others_matter(chains, i)) ||
                (with_conntrack && priority(chains[i]) == conntrack_priority))
                out.push_back({Stage::Kind::ambiguous, chains[i]});
            out.push_back({Stage::Kind::chain, chains[i]});
        }
        if (!tracked)
            out.push_back({Stage::Kind::conntrack});
    }

    // Whether another chain of the same priority has rules too, for the same packets.
    static bool others_matter(const std::vector<const CourseChain *> &chains, std::size_t i)
    {
        return std::any_of(chains.begin(), chains.end(), [&](const auto *c) {
            return c != chains[i] && c->chain->priority == chains[i]->chain->priority &&
                   (c->devices & chains[i]->devices) != 0 &&
                   (!c->chain->rules.empty() || c->chain->policy_drop);
        });
    }

    Course &course_;
    const Host &host_;
    Origins &origins_;
};

} // namespace

void chart(Course &course, const Ruleset &rules, const Host &host, Origins &origins)
{
    Charter charter(course, host, origins);
    for (const auto &table : rules.tables)
        if (sees(table.family, course.family))
            charter.add(table);
    course.conntrack = course.conntrack || course.nat || host.conntrack;
    charter.order(rules);
}

} // namespace evnf::efw::offload
