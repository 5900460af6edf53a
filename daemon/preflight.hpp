// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf
{

// What is missing, and what for or since when there is it.
struct Lack {
    std::string name;
    std::string reason;
};
std::vector<Lack> lacking_capabilities();
std::vector<Lack> lacking_helpers(); // with all capabilities; else it cannot be known

// Whether this process may do, and this kernel can do, what the fast path needs.
// Refuses with the name of what is missing.
Result<> check_privilege();
Result<> check_kernel();

} // namespace evnf
