// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/document.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "daemon/journal.hpp"
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
              .starts_with("/efv: 'efv' is not a section: there is chain, edpi, efw, elb"));
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
    CHECK(r.error().what == "no stage or label is named 'nonsense': there is edpi, efw, elb");
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
    CHECK(s.document_after(s.history.back()) == s.document);
    CHECK(s.history.front().number == 26);
    CHECK_FALSE(s.find_change(25));
    REQUIRE(s.find_change(26));
    CHECK(s.document_after(*s.find_change(26)) == json{{"n", 25}});
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
    CHECK(back.document_after(back.history[0]) == s.document);
    // One from before there was a history.
    std::ofstream(path) << R"({"version": 1, "document": {"chain": []}, "slots": {},)"
                        << R"("incorporated": []})";
    CHECK((**read_state(path)).history.empty());
    // One with the documents after each change.
    std::ofstream(path)
        << R"({"version": 1, "document": {"n": 2}, "slots": {}, "incorporated": [],)"
        << R"("history": [)"
        << R"({"number": 4, "time": "", "what": "", "changes": [], "document": {"n": 1}},)"
        << R"({"number": 5, "time": "", "what": "", "changes": [], "document": {"n": 2}}]})";
    const auto older = **read_state(path);
    CHECK(older.document_after(older.history.at(0)) == json{{"n", 1}});
    CHECK(older.document_after(older.history.at(1)) == json{{"n", 2}});
    std::ofstream(path) << R"({"version": 1, "document": {"chain": []}, "slots": {},)"
                        << R"("incorporated": [], "history": [{"number": "x"}]})";
    CHECK_FALSE(read_state(path));
    std::ofstream(path) << "{\"version\": 1, ";
    CHECK_FALSE(read_state(path));
    std::ofstream(path) << R"({"version": 3, "document": {}, "slots": {}, "incorporated": []})";
    CHECK_FALSE(read_state(path));
    std::filesystem::remove(path);
}

namespace
{

// A document like efw's, and patches of it as a verb of efw makes them.
json add_patch(int value)
{
    return {{{"op", "add"}, {"path", "/efw/rules/-"}, {"value", value}},
            {{"op", "replace"}, {"path", "/efw/next_id"}, {"value", value + 1}}};
}

json remove_patch(std::size_t place)
{
    return json::array({{{"op", "remove"}, {"path", "/efw/rules/" + std::to_string(place)}}});
}

} // namespace

TEST_CASE("small changes are taken back one by one")
{
    State s;
    s.change({{"efw", {{"rules", json::array()}, {"next_id", 0}}}}, "start", {});
    std::map<unsigned, json> after{{1, s.document}};
    std::mt19937 random(5);
    for (int i = 0; i < 200; ++i) {
        const auto rules = s.document["efw"]["rules"].size();
        if (i % 50 == 49)
            s.change({{"efw", {{"rules", {1000 + i}}, {"next_id", i}}}}, "apply", {});
        else if (rules > 0 && random() % 3 == 0)
            s.change_by(remove_patch(random() % rules), "less", {"- " + std::to_string(i)});
        else
            s.change_by(add_patch(i), "more", {"+ " + std::to_string(i)});
        REQUIRE(s.history.back().number == static_cast<unsigned>(i) + 2);
        after[s.history.back().number] = s.document;
        for (const auto &c : s.history)
            REQUIRE(s.document_after(c) == after.at(c.number));
    }
    CHECK(s.history.size() == State::max_history);
}

TEST_CASE("a journal brings a state to where it was, whenever the daemon ended")
{
    const auto folder = std::filesystem::temp_directory_path();
    const std::string path = folder / "evnf-journal-test.json",
                      journal_path = folder / "evnf-journal-test.journal";
    std::filesystem::remove(path);
    std::filesystem::remove(journal_path);
    const auto restarted = [&] {
        State out = **read_state(path);
        auto entries = Journal(journal_path).read();
        REQUIRE(entries);
        REQUIRE(replay(out, *entries));
        return out;
    };
    const auto same = [](const State &a, const State &b) {
        return a.document == b.document && a.history.size() == b.history.size() &&
               std::equal(a.history.begin(), a.history.end(), b.history.begin(),
                          [](const Change &x, const Change &y) {
                              return x.number == y.number && x.time == y.time && x.what == y.what &&
                                     x.lines == y.lines && *x.undo == *y.undo;
                          });
    };
    Journal journal(journal_path);
    State s;
    s.change({{"efw", {{"rules", json::array()}, {"next_id", 0}}}}, "start", {});
    REQUIRE(write_state(path, s));
    REQUIRE(journal.clear());
    const auto step = [&](const json &patch) {
        s.change_by(patch, "efw: verb", {"line"});
        REQUIRE(journal.add(journal_entry(s, patch)));
    };
    for (int i = 0; i < 40; ++i) {
        step(i % 3 == 2 ? remove_patch(0) : add_patch(i));
        REQUIRE(same(restarted(), s));
    }
    // It ended when the state was written as a whole, and the journal not yet cleared.
    REQUIRE(write_state(path, s));
    CHECK(same(restarted(), s));
    step(add_patch(100));
    CHECK(same(restarted(), s));
    // It ended within a line, which nobody was told of.
    std::ofstream(journal_path, std::ios::app) << R"({"number": 43, "ti)";
    CHECK(same(restarted(), s));
    // Entries that are not of this state, or damaged.
    std::ofstream(journal_path) << R"({"number": 99, "patch": []})"
                                << "\n";
    State other = s;
    CHECK_FALSE(replay(other, *Journal(journal_path).read()));
    std::ofstream(journal_path) << "{\"number\"\n";
    CHECK_FALSE(Journal(journal_path).read());
    std::filesystem::remove(path);
    std::filesystem::remove(journal_path);
}
