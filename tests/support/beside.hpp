// SPDX-License-Identifier: GPL-2.0-or-later
// Packets run on CPU 0; who changes what they read meanwhile does so beside them, and not in
// turn with them, which would never meet one that is under way.
#pragma once

#include <sched.h>

#include <cstring>
#include <thread>

namespace evnf::test
{

// Moves the calling thread to the other CPUs; false if there are some and it failed.
inline bool beside_the_packets()
{
    cpu_set_t others;
    std::memset(&others, 0xff, sizeof others);
    CPU_CLR(0, &others);
    return ::sched_setaffinity(0, sizeof others, &others) == 0 ||
           std::thread::hardware_concurrency() == 1;
}

} // namespace evnf::test
