// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/vnf.hpp"

#include <algorithm>

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
