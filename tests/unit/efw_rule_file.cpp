// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/rule_file.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace evnf;
using namespace evnf::efw;

TEST_CASE("a file has one rule on each line, and errors have their place in it")
{
    const auto path = std::filesystem::temp_directory_path() / "evnf-rule-file-test";
    std::ofstream(path) << "# all of it\n"
                        << "tcp drop\r\n"
                        << " \t\n"
                        << "  udp drop name \"a # b\"  # why\n"
                        << "ip drop";
    const auto rules = read_rule_file(path);
    std::filesystem::remove(path);
    REQUIRE(rules);
    REQUIRE(rules->size() == 3);
    CHECK((*rules)[0].line == 2);
    CHECK((*rules)[0].text == "tcp drop");
    CHECK((*rules)[1].line == 4);
    CHECK((*rules)[1].text == "  udp drop name \"a # b\"");
    CHECK((*rules)[2].line == 5);
    CHECK((*rules)[2].text == "ip drop");

    const Error wrong = in_file("f", (*rules)[1], bad_input("no", "/rules/1", 2, 3));
    CHECK(wrong.what == "f:4:3: no");
    CHECK(wrong.offset == 2);
    CHECK(wrong.length == 3);
    CHECK(in_file("f", (*rules)[0], bad_input("more", "/rules/0", 8, 0)).length == 1);
    CHECK(read_rule_file("/nonexistent").error().code == ENOENT);
}
