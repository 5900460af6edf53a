// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdlib>

namespace evnf::test
{

// What the environment says of a test's length or seed.
inline unsigned environment(const char *name, unsigned otherwise)
{
    const char *text = std::getenv(name);
    return text ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : otherwise;
}

} // namespace evnf::test
