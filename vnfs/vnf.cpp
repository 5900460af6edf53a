// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/vnf.hpp"

#include <algorithm>
#include <map>

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

// The destination that a match asks for, as rules of other VNFs are compared with it.
Destination destination_of(const match::Match &m, std::string text, std::string where)
{
    Destination d{m.dst, m.protocol, 0, 65535, std::move(text), std::move(where)};
    if (m.dport) {
        d.first_port = m.dport->low;
        d.last_port = m.dport->high;
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
