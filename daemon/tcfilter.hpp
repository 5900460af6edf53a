// SPDX-License-Identifier: GPL-2.0-or-later
// Our filters at tc, where packets come back from the kernel's stack. The kernel keeps
// them with the interface: they outlive the daemon.
#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

namespace evnf::tc
{

enum class Hook { ingress, egress };

// Puts the program before the filters of others; one that is there under this handle is
// replaced, for each packet at once.
Result<> attach(unsigned ifindex, Hook hook, unsigned handle, int program);
// The program under this handle; none if there is no such filter.
Fd program(unsigned ifindex, Hook hook, unsigned handle);
// Nothing if there is none.
void detach(unsigned ifindex, Hook hook, unsigned handle);

} // namespace evnf::tc
