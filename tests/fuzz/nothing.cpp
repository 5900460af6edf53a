// SPDX-License-Identifier: GPL-2.0-or-later
// Compiles and links where libFuzzer is installed.
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t * /*data*/, std::size_t /*size*/)
{
    return 0;
}
