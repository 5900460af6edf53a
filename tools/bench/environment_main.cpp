// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-environment: the machine's part of a report, for benchmarks that are not C++.
#include <iostream>

#include "bench/environment.hpp"

int main()
{
    std::cout << evnf::bench::environment().dump(1) << "\n";
}
