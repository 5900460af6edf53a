// SPDX-License-Identifier: GPL-2.0-or-later
// efw's section: what is kept of a rule, who owns it, and which sets there are.
#include <catch2/catch.hpp>
#include <set>

#include "abi/match.h"
#include "vnfs/efw/section.hpp"
#include "vnfs/efw/section_sets.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

json checked(const json &section, const json &running = nullptr)
{
    auto r = check_section(section, running);
    INFO((r ? "" : r.error().where + ": " + r.error().what));
    REQUIRE(r);
    return *r;
}

std::string refusal(const json &section)
{
    const auto r = check_section(section, nullptr);
    return r ? "accepted" : r.error().where + ": " + r.error().what;
}

json rules(const json &items)
{
    return {{"rules", items}};
}

Result<Edit> call(const std::string &method, const json &section, const Request &request)
{
    for (const auto &route : section_routes())
        if (route.method == method)
            return route.edit(section, request);
    return bad_input("no such verb");
}

// The section after a verb, checked as the daemon does.
json after(const std::string &method, const json &section, const Request &request)
{
    auto edit = call(method, section, request);
    INFO((edit ? "" : edit.error().what));
    REQUIRE(edit);
    return checked(edit->section, section);
}

std::string refusal(const std::string &method, const json &section, const json &body)
{
    const auto edit = call(method, section, {{}, body});
    return edit ? "accepted" : edit.error().where + ": " + edit.error().what;
}

std::vector<std::string> texts(const json &section)
{
    std::vector<std::string> out;
    for (const auto &r : section["rules"])
        out.push_back(r.value("owner", std::string("-")) + " " + r["rule"].get<std::string>());
    return out;
}

} // namespace

TEST_CASE("a section of rules becomes canonical and then stays as it is")
{
    const json s = checked({{"rules", {"tcp dst port 80 accept", {{"rule", "udp drop"}}}},
                            {"sets", {{"bad", {{"type", "addr"}}}}}});
    CHECK(s == json{{"default", "slow"},
                    {"memory", 16},
                    {"offload", false},
                    {"next_id", 3},
                    {"rules",
                     {{{"id", 1}, {"counter", 1}, {"rule", "tcp dport 80 accept"}},
                      {{"id", 2}, {"counter", 2}, {"rule", "udp drop"}}}},
                    {"sets", {{"bad", {{"type", "addr"}, {"size", 65536}, {"number", 0}}}}}});
    CHECK(checked(s, s) == s);
    CHECK(diff_sections(s, s).empty());
    CHECK(checked(nullptr)["rules"].empty());
}

TEST_CASE("a rule that stays keeps its id and counter, and no counter is given on at once")
{
    const json a = checked(rules({"tcp drop", "udp drop"}));
    const json b = checked(rules({"udp drop", "sctp drop"}), a);
    CHECK(b["rules"][0] == a["rules"][1]);
    CHECK(b["rules"][1] == json{{"id", 3}, {"counter", 3}, {"rule", "sctp drop"}});
    const json c = checked(rules({"udp drop", "icmp drop"}), b);
    CHECK(c["rules"][1] == json{{"id", 4}, {"counter", 1}, {"rule", "icmp drop"}});
    // All of them others: there is room for both.
    json most = json::array(), others = json::array();
    for (unsigned i = 0; i < MATCH_MAX_RULES; ++i) {
        most.push_back("tcp dport " + std::to_string(i) + " drop");
        others.push_back("udp dport " + std::to_string(i) + " drop");
    }
    const json full = checked(rules(most));
    const json next = checked(rules(others), full);
    std::set<unsigned> counters;
    for (const auto &section : {full, next})
        for (const auto &r : section["rules"])
            counters.insert(r["counter"].get<unsigned>());
    CHECK(counters.size() == 2 * MATCH_MAX_RULES);
    CHECK(*counters.rbegin() < EFW_COUNTERS);
    CHECK_FALSE(counters.contains(default_counter));
}

TEST_CASE("a section that is wrong is refused at the place")
{
    CHECK(refusal(json::array()) == ": efw is a table");
    CHECK(refusal({{"rulez", 1}}) ==
          "/rulez: 'rulez' is not a key of efw: default, rules, sets, memory or offload");
    CHECK(refusal({{"default", "count"}}) == "/default: the default is accept, drop or slow");
    CHECK(refusal(rules("tcp")) == "/rules: rules are an array of strings");
    CHECK(refusal(rules({7})).starts_with("/rules/0: a rule is a string"));
    CHECK(refusal(rules({{{"id", "x"}}})).starts_with("/rules/0: a rule is a string"));
    CHECK(refusal(rules({{{"rule", "drop"}, {"ttl", 1}}})).starts_with("/rules/0/ttl: 'ttl' is"));
    CHECK(refusal(rules({{{"rule", "drop"}, {"owner", "a b"}}}))
              .starts_with("/rules/0/owner: an owner is a letter"));
    CHECK(refusal(rules({{{"rule", "drop"}, {"expires", -1}}})).starts_with("/rules/0/expires: "));
    CHECK(refusal(rules({"drop", {{"rule", "tcp dprt 8 drop"}}})).starts_with("/rules/1/rule: "));
    CHECK(refusal(rules({"tcp drop", {{"rule", "protocol 6 drop"}}})) ==
          "/rules/1: this rule stands twice: tcp drop");
    json many = json::array();
    for (unsigned i = 0; i <= MATCH_MAX_RULES; ++i)
        many.push_back(i);
    CHECK(refusal(rules(many)).starts_with("/rules: "));
    const auto sets = [](const json &s) { return refusal(json{{"sets", s}}); };
    CHECK(sets(7).starts_with("/sets: sets are a table of tables"));
    CHECK(sets({{"1", json::object()}}).starts_with("/sets/1: '1' cannot name a set"));
    CHECK(sets({{"a", 7}}).starts_with("/sets/a: a set is a table"));
    CHECK(sets({{"a", json::object()}}).starts_with("/sets/a: the type of a set is"));
    CHECK(sets({{"a", {{"type", "host"}}}}).starts_with("/sets/a/type: the type of a set is"));
    CHECK(sets({{"a", {{"type", "addr"}, {"elements", 1}}}})
              .starts_with("/sets/a/elements: 'elements' is not a key of a set"));
    for (const json &size : {json(0), json(-1), json(1.5), json("1"), json(4194305)})
        CHECK(sets({{"a", {{"type", "addr"}, {"size", size}}}}).starts_with("/sets/a/size: "));
    CHECK(sets({{"a", {{"type", "addr"}, {"size", 4194304}}}}) == "accepted");
    CHECK(sets({{"a", {{"type", "addr"}, {"file", "/etc/a"}}}}) == "accepted");
    for (const json &file : {json("a"), json(7), json("")})
        CHECK(sets({{"a", {{"type", "addr"}, {"file", file}}}}).starts_with("/sets/a/file: "));
}

TEST_CASE("a rule uses only sets that are declared, of the right type")
{
    const json sets{{"a", {{"type", "addr"}}},
                    {"p", {{"type", "port"}}},
                    {"ap", {{"type", "addr_port"}, {"size", 7}}}};
    const auto use = [&](const std::string &rule) {
        const auto r = check_section({{"rules", {rule}}, {"sets", sets}}, nullptr);
        return r ? "accepted"
                 : "[" + rule.substr(r.error().offset, r.error().length) + "] " + r.error().what;
    };
    CHECK(use("saddr @a daddr @a tcp dport @p sport @p saddr.sport @ap daddr.dport @ap drop") ==
          "accepted");
    CHECK(use("saddr @x drop") ==
          "[@x] there is no set 'x': declare it, as [efw.sets.x] with type = \"addr\"");
    CHECK(use("saddr @a tcp dport @ap drop") ==
          "[@ap] set 'ap' is of type addr_port, but one of type port is looked in here");
    CHECK(use("saddr @a daddr @p drop").starts_with("[@p] set 'p' is of type port"));
    const json s = checked({{"rules", {"saddr @a drop"}}, {"sets", sets}});
    const auto declared = declared_sets(s);
    REQUIRE(declared.size() == 3);
    CHECK(declared[1].name == "ap");
    CHECK(declared[1].type == SetType::addr_port);
    CHECK(declared[1].size == 7);
    CHECK(declared[2].size == 65536);
    // Also what is in force is refused, if its set goes.
    json gone = s;
    gone["sets"].erase("a");
    const auto r = check_section(gone, s);
    REQUIRE_FALSE(r);
    CHECK(r.error().where == "/rules/0/rule");
    CHECK(r.error().offset == 6);
    gone["rules"] = json::array();
    gone["sets"]["p"]["size"] = 9;
    CHECK(diff_sections(s, checked(gone, s)) ==
          std::vector<std::string>{"- efw set a: addr, at most 65536 elements",
                                   "~ efw set p: port, at most 9 elements",
                                   "- efw rule saddr @a drop"});
}

TEST_CASE("a rule is added, and goes after its time or by its id")
{
    const json s = checked(rules({"tcp drop"}));
    const auto edit = call("POST", s, {{}, {{"rule", "udp drop"}, {"ttl", 60}, {"owner", "web"}}});
    REQUIRE(edit);
    CHECK(edit->reply["id"] == 2);
    CHECK(edit->reply["owner"] == "web");
    const auto left = edit->reply["expires"].get<std::int64_t>() - std::time(nullptr);
    CHECK(left > 55);
    CHECK(left <= 60);
    const json next = checked(edit->section, s);
    CHECK(next["rules"][1]["id"] == edit->reply["id"]);
    CHECK(next["rules"][1]["expires"] == edit->reply["expires"]);
    const auto ordered = ordered_rules(next);
    CHECK_FALSE(ordered[0].expires);
    CHECK(ordered[1].expires == edit->reply["expires"].get<std::uint64_t>());
    CHECK(ordered[1].owner == "web");
    CHECK(diff_sections(s, next)[0].starts_with("+ efw rule udp drop (owner web), until 20"));
    CHECK(after("DELETE", next, {{"2"}, nullptr})["rules"] == s["rules"]);

    CHECK(refusal("POST", s, {{"rule", "tcp drop"}}) ==
          ": there is this rule already: tcp drop (id 1)");
    CHECK(refusal("POST", s, {{"rule", "tcp drop"}, {"owner", "web"}}) == "accepted");
    CHECK(refusal("POST", s, {{"rule", "tcp"}}).starts_with("/rule: "));
    CHECK(refusal("POST", s, {{"rule", "saddr @x drop"}}).starts_with("/rule: there is no set"));
    CHECK(refusal("POST", s, {{"rule", "udp drop"}, {"ttl", 0}}).starts_with("/ttl: "));
    CHECK(refusal("POST", s, {{"rule", "udp drop"}, {"owner", 7}}).starts_with("/owner: "));
    CHECK(refusal("POST", s, {{"rule", "udp drop"}, {"x", 7}}).starts_with("/x: 'x' is not"));
    CHECK(refusal("POST", s, {{"rules", 7}}).starts_with(": the body is "));
    CHECK(call("DELETE", s, {{"9"}, nullptr}).error().code == ENOENT);
}

TEST_CASE("the rules of one owner are replaced at once, where they stood")
{
    const json s = checked(rules({"tcp drop",
                                  {{"rule", "udp drop"}, {"owner", "web"}},
                                  "sctp drop",
                                  {{"rule", "icmp drop"}, {"owner", "web"}, {"expires", 7}}}));
    const json body{{"owner", "web"}, {"rules", {"icmp drop", "protocol 6 drop"}}};
    const auto edit = call("PUT", s, {{}, body});
    REQUIRE(edit);
    CHECK(edit->reply == json{{"added", {{{"id", 5}, {"rule", "tcp drop"}, {"owner", "web"}}}},
                              {"removed", {{{"id", 2}, {"rule", "udp drop"}, {"owner", "web"}}}},
                              {"kept", 1}});
    const json next = checked(edit->section, s);
    CHECK(texts(next) ==
          std::vector<std::string>{"- tcp drop", "web icmp drop", "web tcp drop", "- sctp drop"});
    CHECK(next["rules"][1]["id"] == 4);
    CHECK_FALSE(next["rules"][1].contains("expires"));
    CHECK(next["rules"][2]["id"] == 5);
    CHECK(next["rules"][0] == s["rules"][0]);
    // Those of nobody; those of somebody new; none.
    CHECK(texts(after("PUT", s, {{}, {{"rules", {"ip drop"}}}})) ==
          std::vector<std::string>{"- ip drop", "web udp drop", "web icmp drop"});
    CHECK(texts(after("PUT", s, {{}, {{"rules", {"ip drop"}}, {"owner", "x"}}})).back() ==
          "x ip drop");
    CHECK(texts(after("PUT", s, {{}, {{"rules", json::array()}, {"owner", "web"}}})) ==
          std::vector<std::string>{"- tcp drop", "- sctp drop"});

    CHECK(
        refusal("PUT", s, {{"rules", {"tcp drop", "udp dprt 7 drop"}}}).starts_with("/rules/1: "));
    CHECK(refusal("PUT", s, {{"rules", {"ip drop", "tcp drop", "protocol 6 drop"}}}) ==
          "/rules/2: this rule stands twice: tcp drop");
    CHECK(refusal("PUT", s, {{"rules", {7}}}).starts_with("/rules/0: a rule is a string"));
    CHECK(refusal("PUT", s, {{"rules", 7}}).starts_with("/rules: "));
    CHECK(refusal("PUT", s, {{"owner", "web"}}).starts_with(": the body is "));
}

TEST_CASE("what changes between two sections of rules is told")
{
    const json a = checked(rules({"tcp drop", "udp drop", {{"rule", "ip drop"}, {"owner", "w"}}}));
    const json b = checked({{"default", "drop"},
                            {"rules",
                             {"udp drop",
                              "tcp drop",
                              {{"rule", "ip drop"}, {"owner", "w"}, {"expires", 86400}},
                              {{"rule", "ip drop"}}}}},
                           a);
    CHECK(diff_sections(a, b) ==
          std::vector<std::string>{"~ efw default slow -> drop",
                                   "~ efw rule ip drop (owner w), until 1970-01-02T00:00:00Z",
                                   "+ efw rule ip drop", "~ efw rules in another order"});
    CHECK(diff_sections(nullptr, a) == std::vector<std::string>{"+ efw rule tcp drop",
                                                                "+ efw rule udp drop",
                                                                "+ efw rule ip drop (owner w)"});
}
