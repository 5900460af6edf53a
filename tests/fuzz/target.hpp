// SPDX-License-Identifier: GPL-2.0-or-later
// What fuzz targets share. A target is one function of libFuzzer's, for one reader of bytes that
// somebody else wrote; the sanitizers find what it must not do, and REQUIRE what it must.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/result.hpp"

#define REQUIRE(what)                                                                              \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                \
            std::abort();                                                                          \
        }                                                                                          \
    } while (0)

namespace evnf::fuzz
{

inline std::string_view text_of(const std::uint8_t *data, std::size_t size)
{
    return {reinterpret_cast<const char *>(data), size};
}

// An error says something, and of a place that is there.
inline void check(const Error &e, std::string_view text)
{
    REQUIRE(!e.what.empty());
    REQUIRE(e.offset <= text.size() && e.length <= text.size() - e.offset);
}

} // namespace evnf::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);
