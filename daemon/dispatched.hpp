// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

namespace evnf
{

// Keeps an XDP program where the kernel's XDP dispatcher knows it, as one that is attached: to
// the loopback of a network namespace of its own, where nobody is and no packet comes. For any
// other program BPF_PROG_RUN changes the dispatcher at each call for more than one packet, and
// waits tens of milliseconds for that. While a generic program is attached anywhere, the kernel
// looks for one on each packet's interface, which is one branch.
class Dispatched
{
public:
    static Result<Dispatched> keep(int program);

private:
    Dispatched(Fd space, Fd link);
    Fd space_; // what keeps the namespace
    Fd link_;
};

} // namespace evnf
