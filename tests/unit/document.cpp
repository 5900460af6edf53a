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

json chain(const std::string &name, const std::vector<std::string> &interfaces,
           const std::vector<std::string> &stages)
{
    return {{"name", name}, {"interfaces", interfaces}, {"stages", stages}};
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
    const json d = *check_document(document({chain("in", {"eth0"}, {"efw", "elb"})}), nullptr);
    CHECK(d["chain"][0]["forward"] == "route");
    CHECK(d["chain"][0]["xdp"] == "native");
    CHECK(d["efw"]["default"] == "slow");
    CHECK(*check_document(d, d) == d);
    CHECK(diff_documents(d, d).empty());
    CHECK(diff_documents(nullptr, d) ==
          std::vector<std::string>{"+ chain in: eth0 -> efw -> elb -> route"});
}

TEST_CASE("a document that is wrong is refused at the place")
{
    CHECK(refusal({{"efv", 1}}) == "/efv: 'efv' is not a section: there is chain, efw, elb");
    CHECK(refusal(document({chain("in", {"eth0"}, {"efx"})})) ==
          "/chain/0/stages/0: no VNF is named 'efx': there is efw, elb");
    CHECK(refusal(document({chain("in", {"eth0"}, {}), chain("b", {"eth0"}, {})})) ==
          "/chain/1/interfaces/0: 'eth0' has a chain already");
    CHECK(refusal(document({chain("in", {"eth0"}, {}), chain("in", {"eth1"}, {})})) ==
          "/chain/1/name: two chains are named 'in'");
    CHECK(refusal(document({chain("in", {}, {})})).starts_with("/chain/0: "));
    CHECK(refusal(document({chain("a b", {"eth0"}, {})})).starts_with("/chain/0/name: "));
    CHECK(refusal(document({chain("in", {"eth0"}, {"efw", "efw"})})) ==
          "/chain/0/stages/1: 'efw' is named twice");
    json bad = chain("in", {"eth0"}, {});
    bad["forward"] = "wire";
    CHECK(refusal(document({bad})).starts_with("/chain/0: a wire needs wire_to"));
    bad["forward"] = "bridge";
    CHECK(refusal(document({bad})).starts_with("/chain/0/forward: 'bridge'"));
    bad = chain("in", {"eth0"}, {});
    bad["stage"] = 1;
    CHECK(refusal(document({bad})).starts_with("/chain/0/stage: 'stage' is not a key"));
    json rules = document({});
    rules["efw"] = {{"rules", {"tcp dport 80 accept", "tcp dport x drop"}}};
    const auto r = check_document(rules, nullptr);
    REQUIRE_FALSE(r);
    CHECK(r.error().where == "/efw/rules/1");
    CHECK(r.error().offset == 10);
    CHECK(r.error().length == 1);
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
    const auto chains = [](const std::vector<json> &c) {
        return chains_of(*check_document(document(c), nullptr));
    };
    std::vector<unsigned> fresh;
    const Slots first = allot_slots(chains({chain("in", {"eth0"}, {"elb"})}), {}, fresh);
    CHECK(fresh == std::vector<unsigned>{1, 2, 3});
    fresh.clear();
    const Slots second =
        allot_slots(chains({chain("in", {"eth0", "eth1"}, {"efw", "elb"})}), first, fresh);
    for (const auto &[place, slot] : first)
        CHECK(second.at(place) == slot);
    CHECK(fresh == std::vector<unsigned>{4, 5});
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
