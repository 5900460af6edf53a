// SPDX-License-Identifier: GPL-2.0-or-later
// A configuration file, and an error shown in it.
#include "config/toml.hpp"

#include <algorithm>

#include "fuzz/target.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto file = config::read_toml(fuzz::text_of(data, size), "fuzz.toml");
    if (!file) {
        REQUIRE(!file.error().what.empty());
        return 0;
    }
    for (const auto &[pointer, position] : file->positions) {
        const auto place = file->find(pointer); // which goes up from what stands nowhere
        REQUIRE(place.line >= 1 && place.line <= std::max<std::size_t>(file->lines.size(), 1));
        REQUIRE(!config::explain(*file, bad_input("some error", pointer, 1, 3)).empty());
    }
    REQUIRE(!config::explain(*file, bad_input("some error", "/nowhere/7", 1, 3)).empty());
    return 0;
}
