// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "vnfs/classify/section.hpp"

using namespace evnf;
using namespace evnf::classify;

namespace
{

json rules(const std::vector<std::string> &texts)
{
    return {{"rules", texts}};
}

std::string refusal(const json &j)
{
    const auto r = check_section(j, nullptr);
    return r ? "accepted" : r.error().where + ": " + r.error().what;
}

} // namespace

TEST_CASE("a section of conditions becomes canonical, in its order")
{
    CHECK(*check_section(nullptr, nullptr) == rules({}));
    CHECK(*check_section(json::object(), nullptr) == rules({}));
    const json given = rules({"tcp dst port 80", "saddr 10.0.0.0/8", "ip"});
    const json checked = *check_section(given, nullptr);
    CHECK(checked == rules({"tcp dport 80", "ip saddr 10.0.0.0/8", "ip"}));
    CHECK(*check_section(checked, checked) == checked);
    CHECK(rules_of(checked).size() == 3);
}

TEST_CASE("a section of conditions that is wrong is refused at the place")
{
    CHECK(refusal(json::array()) == ": classify is a table");
    CHECK(refusal({{"rule", "tcp"}}) == "/rule: 'rule' is not a key of classify: rules");
    CHECK(refusal({{"rules", "tcp"}}) == "/rules: rules are an array of strings");
    CHECK(refusal({{"rules", {"ip", 7}}}) ==
          "/rules/1: a rule is a string such as \"tcp dport 80\"");
    CHECK(refusal(rules({"tcp dport 80", "udp", "tcp dst port 80-80"})) ==
          "/rules/2: this rule stands twice: tcp dport 80");
    std::vector<std::string> many;
    for (unsigned i = 0; i < 7; ++i)
        many.push_back("tcp dport " + std::to_string(i));
    CHECK(refusal(rules(many)) == "accepted");
    many.emplace_back("udp");
    CHECK(refusal(rules(many)) == "/rules: 8 rules are given, classify holds at most 7");

    const auto r = check_section(rules({"ip", "tcp dprt 80"}), nullptr);
    REQUIRE(!r);
    CHECK(r.error().where == "/rules/1");
    CHECK(r.error().offset == 4);
    CHECK(r.error().length == 4);
}

TEST_CASE("what changes between two sections of conditions is told by place")
{
    const json before = rules({"tcp", "udp"});
    CHECK(diff_sections(before, before).empty());
    CHECK(diff_sections(nullptr, before) ==
          std::vector<std::string>{"+ classify rule 1: tcp", "+ classify rule 2: udp"});
    CHECK(diff_sections(before, rules({"udp", "tcp", "ip"})) ==
          std::vector<std::string>{"~ classify rule 1: tcp -> udp", "~ classify rule 2: udp -> tcp",
                                   "+ classify rule 3: ip"});
    CHECK(diff_sections(before, rules({"tcp"})) ==
          std::vector<std::string>{"- classify rule 2: udp"});
}
