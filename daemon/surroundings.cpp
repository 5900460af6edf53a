// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/surroundings.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "daemon/document.hpp"

namespace evnf
{

Result<std::vector<Misfit>> misfits_of(const json &document, Rtnl &rtnl)
{
    std::vector<Misfit> out;
    if (!document.is_object()) // nothing is in force yet
        return out;
    auto links = rtnl.links();
    if (!links)
        return links.error();
    Surroundings here;
    here.route_to = [&](const Address &a) { return rtnl.route_to(a); };
    for (const auto &link : *links)
        here.links.emplace(link.ifindex, link.name);
    const auto chains = chains_of(document);
    std::set<std::string> ports;
    for (const auto &chain : chains)
        for (const auto &name : chain.interfaces())
            ports.insert(name);
    const auto in_a_chain = [&](const std::string &instance) {
        return std::any_of(chains.begin(), chains.end(),
                           [&](const Chain &c) { return c.uses(instance); });
    };
    for (const auto &[name, section] : document.items()) {
        const VnfType *type = name == "chain" ? nullptr : type_of_section(name, section);
        if (!type || !type->misfits)
            continue;
        here.ports.reset();
        if (in_a_chain(name))
            here.ports = ports;
        for (auto &one : type->misfits(own_keys(section), here)) {
            one.where.insert(0, "/" + name);
            out.push_back(std::move(one));
        }
    }
    return out;
}

Result<> check_surroundings(const json &document, const json &running, Rtnl &rtnl)
{
    auto found = misfits_of(document, rtnl);
    if (!found)
        return found.error();
    if (found->empty())
        return Unit{};
    auto known = misfits_of(running, rtnl);
    if (!known)
        return known.error();
    for (const auto &one : *found) {
        if (std::any_of(known->begin(), known->end(),
                        [&](const Misfit &before) { return before.text == one.text; }))
            continue;
        if (!one.may_pass)
            return bad_input(one.text, one.where);
        log_warning(one.text);
    }
    return Unit{};
}

} // namespace evnf
