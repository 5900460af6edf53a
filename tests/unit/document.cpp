// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/document.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "daemon/slots.hpp"
#include "daemon/state.hpp"

using namespace evnf;

namespace
{

json chain(const std::string &name, const std::string &path)
{
    return {{"name", name}, {"path", path}};
}

json document(const std::vector<json> &chains)
{
    return {{"chain", chains}};
}

std::string refusal(const json &j)
{
    const auto r = check_document(j, nullptr);
    return r ? "accepted" : r.error().where + ": " + r.error().what;
}

} // namespace

TEST_CASE("a document is completed and then stays as it is")
{
    const json d = *check_document(
        document({chain("in", "in( eth0 )->efw->elb->out;in(eth1)->elb->out")}), nullptr);
    CHECK(d["chain"][0]["path"] == "in(eth0) -> efw -> elb -> out; in(eth1) -> elb -> out");
    CHECK(d["chain"][0]["xdp"] == "native");
    CHECK(d["efw"]["default"] == "slow");
    CHECK(*check_document(d, d) == d);
    CHECK(diff_documents(d, d).empty());
    CHECK(diff_documents(nullptr, d) ==
          std::vector<std::string>{
              "+ chain in: in(eth0) -> efw -> elb -> out; in(eth1) -> elb -> out"});
}

TEST_CASE("a document that is wrong is refused at the place")
{
    CHECK(refusal({{"efv", 1}})
              .starts_with("/efv: 'efv' is not a section: there is chain, efw, elb"));
    CHECK(refusal(document({chain("in", "in(eth0) -> out"), chain("b", "in(eth0) -> out")})) ==
          "/chain/1/path: 'eth0' has a chain already");
    CHECK(refusal(document({chain("in", "in(eth0) -> out"), chain("in", "in(eth1) -> out")})) ==
          "/chain/1/name: two chains are named 'in'");
    CHECK(refusal(document({chain("a b", "in(eth0) -> out")})).starts_with("/chain/0/name: "));
    json bad = chain("i", "in(eth0) -> out");
    bad["stage"] = 1;
    CHECK(refusal(document({bad})).starts_with("/chain/0/stage: 'stage' is not a key"));
    bad = chain("i", "in(eth0) -> out");
    bad["nodes"] = json::array();
    CHECK(refusal(document({bad})).starts_with("/chain/0: a chain has a path"));
    bad = chain("i", "in(eth0) -> out");
    bad["xdp"] = "fast";
    CHECK(refusal(document({bad})) == "/chain/0/xdp: xdp is native or generic");
    json rules = document({});
    rules["efw"] = {{"rules", {"tcp dport 80 accept", "tcp dport x drop"}}};
    const auto r = check_document(rules, nullptr);
    REQUIRE_FALSE(r);
    CHECK(r.error().where == "/efw/rules/1");
    CHECK(r.error().offset == 10);
    CHECK(r.error().length == 1);
}

TEST_CASE("instances have names, and rules of their own")
{
    json d = document({chain("i", "in(eth0) -> edge -> efw -> out")});
    d["edge"] = {{"vnf", "efw"}, {"default", "drop"}};
    const json checked = *check_document(d, nullptr);
    CHECK(checked["edge"]["vnf"] == "efw");
    CHECK(checked["edge"]["default"] == "drop");
    CHECK(checked["efw"]["default"] == "slow");
    CHECK(*check_document(checked, checked) == checked);
    CHECK(diff_documents(nullptr, checked) ==
          std::vector<std::string>{"+ chain i: in(eth0) -> edge -> efw -> out",
                                   "+ instance edge of efw", "~ edge: efw default slow -> drop"});
    d["edge"]["vnf"] = "nonsense";
    CHECK(refusal(d).starts_with("/edge/vnf: there is no VNF \"nonsense\""));
    json in = document({});
    in["in"] = {{"vnf", "efw"}};
    CHECK(refusal(in).starts_with("/in: 'in': a name is"));
}

TEST_CASE("the order of rules of one priority is part of the document")
{
    json a = document({});
    a["efw"] = {{"rules", {"tcp dport 80 accept", "tcp drop"}}};
    json b = document({});
    b["efw"] = {{"rules", {"tcp drop", "tcp dport 80 accept"}}};
    const json first = *check_document(a, nullptr);
    const json second = *check_document(b, first);
    CHECK(diff_documents(first, second) ==
          std::vector<std::string>{"~ efw rules in another order"});
    CHECK(second["efw"]["rules"][0]["id"] == first["efw"]["rules"][1]["id"]);
}

TEST_CASE("a place keeps its slot while others come and go")
{
    const auto chains = [](const std::string &path) {
        return chains_of(*check_document(document({chain("c", path)}), nullptr));
    };
    std::vector<unsigned> fresh;
    const Slots first = allot_slots(chains("in(eth0) -> efw -> out"), {}, fresh);
    CHECK(fresh == std::vector<unsigned>{1, 2, 3});
    fresh.clear();
    const Slots second =
        allot_slots(chains("in(eth0) -> elb -> efw -> out; in(eth1) -> elb -> out"), first, fresh);
    for (const auto &[place, slot] : first)
        CHECK(second.at(place) == slot);
    CHECK(fresh == std::vector<unsigned>{4, 5, 6});
    CHECK(second.contains("c/elb#2"));
}

TEST_CASE("the kept state is read back, and a damaged one is refused")
{
    const auto path = std::filesystem::temp_directory_path() / "evnf-state-test.json";
    std::filesystem::remove(path);
    CHECK_FALSE(read_state(path)->has_value());
    const State s{
        .document = {{"chain", json::array()}}, .slots = {{"in/efw", 3}}, .incorporated = {1}};
    REQUIRE(write_state(path, s));
    const auto back = **read_state(path);
    CHECK(back.document == s.document);
    CHECK(back.slots == s.slots);
    CHECK(back.has_incorporated(1));
    CHECK_FALSE(back.has_incorporated(2));
    std::ofstream(path) << "{\"version\": 1, ";
    CHECK_FALSE(read_state(path));
    std::ofstream(path) << "{\"version\": 2}";
    CHECK_FALSE(read_state(path));
    std::filesystem::remove(path);
}
