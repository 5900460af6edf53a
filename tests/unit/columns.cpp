// SPDX-License-Identifier: GPL-2.0-or-later
// No two stages of a chain write over each other's answers.
#include "daemon/columns.hpp"

#include <catch2/catch.hpp>

#include "abi/match.h"

using namespace evnf;

namespace
{

std::map<std::string, unsigned> columns_of(const std::vector<std::string> &paths)
{
    json document{{"chain", json::array()}};
    for (const auto &name : {"a", "b", "c", "d", "e", "f"})
        document[name] = {{"vnf", "efw"}};
    for (const auto &path : paths)
        document["chain"].push_back(
            {{"name", "c" + std::to_string(document["chain"].size())}, {"path", path}});
    const auto checked = check_document(document, nullptr);
    REQUIRE(checked);
    return match_columns(chains_of(*checked), instances_of(*checked));
}

} // namespace

TEST_CASE("stages of a chain have columns of their own")
{
    const auto two = columns_of({"in(eth0) -> a -> b -> out", "in(eth1) -> c -> d -> out"});
    CHECK(two.at("a") != two.at("b"));
    CHECK(two.at("c") != two.at("d"));
}

TEST_CASE("a stage of two chains shares a column with none of either")
{
    const auto c = columns_of({"in(eth0) -> a -> b -> out", "in(eth1) -> c -> b -> d -> out"});
    CHECK(c.at("a") != c.at("b"));
    CHECK(c.at("c") != c.at("b"));
    CHECK(c.at("c") != c.at("d"));
    CHECK(c.at("b") != c.at("d"));
}

TEST_CASE("where there are more stages than columns, the last have none")
{
    const auto c = columns_of({"in(eth0) -> a -> b -> c -> d -> e -> f -> out"});
    CHECK(c.at("d") == 3);
    CHECK(c.at("e") == MATCH_ANSWERS);
    CHECK(c.at("f") == MATCH_ANSWERS);
}
