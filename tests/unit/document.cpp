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
          "/chain/1/path: 'eth0' has a chain already, 'in': an interface is in one chain");
    CHECK(refusal(document({chain("in", "in(eth0) -> out; in(eth1, eth0) -> efw -> out")}))
              .starts_with("/chain/0/path: 'eth0' starts two paths: split its packets"));
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

TEST_CASE("one chain is set or taken off, and the others stay")
{
    const json d = *check_document(
        document({chain("a", "in(eth0) -> out"), chain("b", "in(eth1) -> out")}), nullptr);
    const json set = *check_document(
        *with_chain(d, "a", {{"path", "in(eth0)->efw->out"}, {"xdp", "generic"}}), d);
    CHECK(diff_documents(d, set) ==
          std::vector<std::string>{"- chain a: in(eth0) -> out",
                                   "+ chain a: in(eth0) -> efw -> out (generic XDP)"});
    CHECK(set["chain"][1] == d["chain"][1]);
    const json more = *check_document(*with_chain(d, "c", {{"path", "in(eth2) -> out"}}), d);
    CHECK(more["chain"].size() == 3);
    CHECK(*without_chain(more, "c") == d);
    const auto fault = [&](const std::string &name, const json &chain) {
        auto r = with_chain(d, name, chain);
        if (r)
            r = check_document(*r, d);
        return r ? "accepted" : r.error().where + ": " + r.error().what;
    };
    CHECK(fault("a", 7) == ": a chain is an object with a path, or nodes and links");
    CHECK(fault("a", {{"path", "in(eth0) -> out"}, {"name", "a"}}) == "accepted");
    CHECK(fault("a", {{"path", "in(eth0) -> out"}, {"name", "x"}})
              .starts_with("/name: the chain is called 'a' already"));
    CHECK(fault("a b", {{"path", "in(eth9) -> out"}}).starts_with("/chain/2/name: 'a b': "));
    const auto gone = without_chain(d, "x");
    REQUIRE_FALSE(gone);
    CHECK(gone.error().code == ENOENT);
    CHECK(gone.error().what == "no chain is named 'x': there is a, b");
}

TEST_CASE("an error about an interface is where its name stands")
{
    const auto word = [](const std::string &path, const std::string &interface) {
        const Error e = at_interface({{"path", path}}, interface, "x", "/chain/3");
        CHECK(e.where == "/chain/3/path");
        return std::to_string(e.offset) + "+" + std::to_string(e.length);
    };
    CHECK(word("in(eth0) -> out", "eth0") == "3+4");
    CHECK(word("in( eth01,\teth0 ) -> out", "eth0") == "11+4");
    CHECK(word("in(a) -> b -> wire(b)", "b") == "19+1");
    CHECK(word("in(a) -> b -> out", "b") == "0+0");
    CHECK(at_interface({{"nodes", 1}}, "b", "x", "/chain/3").where == "/chain/3/nodes");
    const auto r = check_document(
        document({chain("in", "in(eth0) -> out"), chain("b", "in(eth1, eth0) -> out")}), nullptr);
    REQUIRE_FALSE(r);
    CHECK(r.error().offset == 9);
    CHECK(r.error().length == 4);
}

TEST_CASE("a service-chain request has no text to point into")
{
    const json request{{"name", "r"},
                       {"nodes",
                        {{{"id", "a"}, {"in", {"eth0"}}},
                         {{"id", "f"}, {"vnf", "nonsense"}},
                         {{"id", "o"}, {"end", "out"}}}},
                       {"links", {{{"from", "a"}, {"to", "f"}}, {{"from", "f"}, {"to", "o"}}}}};
    const auto r = check_document(document({request}), nullptr);
    REQUIRE_FALSE(r);
    CHECK(r.error().where == "/chain/0/links");
    CHECK(r.error().what == "no stage or label is named 'nonsense': there is efw, elb");
    CHECK(r.error().length == 0);
}

TEST_CASE("the last changes are known, each with its number")
{
    State s;
    s.change({{"n", 0}}, "start", {});
    s.change({{"n", 0}}, "apply", {}); // the same is no change
    REQUIRE(s.history.size() == 1);
    for (int i = 1; i <= 40; ++i)
        s.change({{"n", i}}, "apply", {"+ " + std::to_string(i)});
    REQUIRE(s.history.size() == State::max_history);
    CHECK(s.history.back().number == 41);
    CHECK(s.history.back().document == s.document);
    CHECK(s.history.front().number == 26);
    CHECK_FALSE(s.find_change(25));
    REQUIRE(s.find_change(26));
    CHECK(s.find_change(26)->document == json{{"n", 25}});
    CHECK(s.find_change(26)->lines == std::vector<std::string>{"+ 25"});
    CHECK(s.find_change(26)->time.size() == std::string("2026-01-01T00:00:00Z").size());
    CHECK(s.find_change(26)->time.ends_with("Z"));
}

TEST_CASE("the kept state is read back, and a damaged one is refused")
{
    const auto path = std::filesystem::temp_directory_path() / "evnf-state-test.json";
    std::filesystem::remove(path);
    CHECK_FALSE(read_state(path)->has_value());
    State s{.document = {}, .slots = {{"in/efw", 3}}, .incorporated = {1}};
    s.change({{"chain", json::array()}}, "efw: POST /rules", {"+ rule", "- other"});
    REQUIRE(write_state(path, s));
    const auto back = **read_state(path);
    CHECK(back.document == s.document);
    CHECK(back.slots == s.slots);
    CHECK(back.has_incorporated(1));
    CHECK_FALSE(back.has_incorporated(2));
    REQUIRE(back.history.size() == 1);
    CHECK(back.history[0].number == 1);
    CHECK(back.history[0].time == s.history[0].time);
    CHECK(back.history[0].what == "efw: POST /rules");
    CHECK(back.history[0].lines == s.history[0].lines);
    CHECK(back.history[0].document == s.document);
    // One from before there was a history.
    std::ofstream(path) << R"({"version": 1, "document": {"chain": []}, "slots": {},)"
                        << R"("incorporated": []})";
    CHECK((**read_state(path)).history.empty());
    std::ofstream(path) << R"({"version": 1, "document": {"chain": []}, "slots": {},)"
                        << R"("incorporated": [], "history": [{"number": "x"}]})";
    CHECK_FALSE(read_state(path));
    std::ofstream(path) << "{\"version\": 1, ";
    CHECK_FALSE(read_state(path));
    std::ofstream(path) << "{\"version\": 2}";
    CHECK_FALSE(read_state(path));
    std::filesystem::remove(path);
}
