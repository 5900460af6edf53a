// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "base/result.hpp"

namespace evnf
{

// Whether this process may do, and this kernel can do, what the fast path needs.
// Refuses with the name of what is missing.
Result<> check_privilege();
Result<> check_kernel();

} // namespace evnf
