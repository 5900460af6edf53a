// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/vnf.hpp"

#include <algorithm>
#include <map>

#include "match/values.hpp"

namespace evnf
{

namespace
{

// A function's static, so that it is there before any Registration uses it.
std::vector<const VnfType *> &registered()
{
    static std::vector<const VnfType *> types;
    return types;
}

} // namespace

namespace
{

std::map<std::string, StageObjects, std::less<>> &objects()
{
    static std::map<std::string, StageObjects, std::less<>> all;
    return all;
}

} // namespace

const StageObjects &stage_objects(std::string_view vnf)
{
    static const StageObjects none;
    const auto it = objects().find(vnf);
    return it == objects().end() ? none : it->second;
}

ObjectsRegistration::ObjectsRegistration(std::string vnf, StageObjects given)
{
    objects().emplace(std::move(vnf), given);
}

Destination destination_of(const match::Match &m, std::string text, std::string where)
{
    Destination d{
        .protocol = match::sole(m.protocol), .text = std::move(text), .where = std::move(where)};
    if (m.dst.asked() && !m.dst.negated)
        d.address = match::covering({m.dst.ranges.front().first, m.dst.ranges.back().last});
    if (const auto ports = m.dport.values(); !ports.empty()) {
        d.first_port = ports.front().first;
        d.last_port = ports.back().last;
    }
    return d;
}

const std::vector<const VnfType *> &vnf_types()
{
    return registered();
}

const VnfType *find_vnf(std::string_view name)
{
    for (const auto *type : registered())
        if (type->name == name)
            return type;
    return nullptr;
}

Registration::Registration(const VnfType &type)
{
    auto &types = registered();
    auto at = std::find_if(types.begin(), types.end(),
                           [&](const VnfType *t) { return t->name > type.name; });
    types.insert(at, &type);
}

} // namespace evnf
