// SPDX-License-Identifier: GPL-2.0-or-later
// For tests that load BPF programs. Without the privilege they are skipped (77 to
// Meson), unless EVNF_REQUIRE_BPF says that a skipped test is a failed one.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <bpf/bpf.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char **argv)
{
    constexpr int skipped = 77;
    const int map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "probe", 4, 4, 1, nullptr);
    if (map < 0) {
        std::perror("BPF cannot be used here");
        return std::getenv("EVNF_REQUIRE_BPF") ? 1 : skipped;
    }
    return Catch::Session().run(argc, argv);
}
