// SPDX-License-Identifier: GPL-2.0-or-later
// The chain language: what is written becomes the graph that is meant, or is refused at
// the word at fault.
#include <catch2/catch.hpp>
#include <random>

#include "daemon/graph.hpp"
#include "daemon/path.hpp"

using namespace evnf;

namespace
{

const VnfType *type_of(const std::string &name)
{
    return name == "edge" ? find_vnf("efw") : name == "split" ? nullptr : find_vnf(name);
}

Result<Chain> build(const std::string &text)
{
    return build_chain("c", text, type_of, "efw, elb");
}

// Where each place leads, as "efw:out elb:host|drop" (by output, runs joined).
std::string shape(const Chain &c)
{
    std::string out;
    for (const auto &e : c.entries)
        out += e.interface + ">" + c.places[e.first].name + " ";
    for (std::size_t i = 0; i < c.places.size(); ++i) {
        std::string to;
        for (const std::size_t next : c.followers(i))
            to += (to.empty() ? "" : "|") + c.places[next].name;
        if (!to.empty())
            out += c.places[i].name + ":" + to + " ";
    }
    return out;
}

std::string shape(const std::string &text)
{
    const auto c = build(text);
    return c ? shape(*c) : "refused: " + c.error().what;
}

// The refusal with the text that its caret marks in brackets.
std::string refusal(const std::string &text)
{
    const auto c = build(text);
    if (c)
        return "accepted";
    const Error &e = c.error();
    REQUIRE(e.offset + e.length <= text.size());
    return "[" + text.substr(e.offset, e.length) + "] " + e.what;
}

} // namespace

TEST_CASE("paths become places")
{
    CHECK(shape("in(eth0) -> out") == "eth0>out ");
    CHECK(shape("in(eth0, eth1) -> efw -> elb -> out") == "eth0>efw eth1>efw efw:elb elb:out ");
    CHECK(shape("in(eth0) -> efw -> out; in(eth1) -> efw -> wire(eth2)") ==
          "eth0>efw eth1>efw#2 efw:out efw#2:wire(eth2) ");
    CHECK(shape("in(eth0) -> elb { to_backend -> efw -> out; to_client -> drop; "
                "otherwise -> host }") == "eth0>elb elb:host|efw|drop efw:out ");
    CHECK(shape("in(eth0) -> { tcp dport 80 -> web; otherwise -> rest }; in(eth1) -> web; "
                "web: elb -> out; rest: edge -> out") ==
          "eth0>split eth1>elb split:elb|edge elb:out edge:out ");
    CHECK(shape("in(e)->x;x:y;y:host") == "e>host ");
    CHECK(shape("in(e) -> { tcp dport {80,443} -> efw -> out; otherwise -> out }") ==
          "e>split split:efw|out efw:out ");
    CHECK(shape("in(e) -> { tcp dport != {\n80,\n443 } -> efw { otherwise -> out }; "
                "saddr { 10.0.0.1 } -> drop; otherwise -> out }") ==
          "e>split split:efw|drop|out efw:out ");
}

TEST_CASE("each output leads where its arm says")
{
    const auto c = build("in(eth0) -> elb { to_client -> drop; next -> host; otherwise -> out }");
    REQUIRE(c);
    const auto &next = c->places[c->entries[0].first].next;
    for (const auto &o : outputs_of(*find_vnf("elb")))
        CHECK(c->places[next[o.number]].name == (o.name == "next"        ? "host"
                                                 : o.name == "to_client" ? "drop"
                                                                         : "out"));
    CHECK(c->places[next[NEXT_RESUMED & 15]].name == "host"); // goes on like "next"
}

TEST_CASE("a wrong chain is refused at the word")
{
    CHECK(refusal("").starts_with("[] the chain is empty"));
    CHECK(refusal("efw -> out").starts_with("[efw] a path starts with in(INTERFACE)"));
    CHECK(refusal("in(eth0)").starts_with("[in] in() leads nowhere"));
    CHECK(refusal("in(eth0) -> efw").starts_with("[efw] the path ends in 'efw': say where"));
    CHECK(refusal("in(eth0) -> efv -> out") ==
          "[efv] no stage or label is named 'efv': there is efw, elb");
    CHECK(refusal("in(eth0) -> out -> efw").starts_with("[->] nothing comes after 'out'"));
    CHECK(refusal("in(eth0) -> efw -> in(eth1)").starts_with("[in] in() stands at the start"));
    CHECK(refusal("in(eth0, eth0) -> out") == "[eth0] 'eth0' is named twice");
    CHECK(refusal("in(anamethatistoolong) -> out").starts_with("[anamethatistoolong]"));
    CHECK(refusal("in eth0 -> out").starts_with("[eth0] '(' and the interface's name"));
    CHECK(refusal("in(eth0 -> out").starts_with("[->] a ')' is missing"));
    CHECK(refusal("in(eth0) -> wire(a, b)").starts_with("[wire] a wire leads to one"));
    CHECK(refusal("in(eth0) -> elb { to_server -> out; otherwise -> out }") ==
          "[to_server] elb has no output 'to_server': there is next, to_backend, to_client");
    CHECK(refusal("in(eth0) -> elb { to_client -> out }") ==
          "[elb] nobody takes the output 'next' of elb: add an arm for it, or 'otherwise -> …'");
    CHECK(refusal("in(eth0) -> elb { next -> out; next -> drop; otherwise -> out }") ==
          "[next] the output 'next' has an arm already");
    CHECK(refusal("in(eth0) -> elb { otherwise -> out; next -> drop }")
              .starts_with("[next] nothing comes after 'otherwise'"));
    CHECK(refusal("in(eth0) -> { tcp dport 80 -> out }").starts_with("[{] the last arm"));
    CHECK(refusal("in(eth0) -> { tcp dprt 80 -> out; otherwise -> drop }")
              .starts_with("[dprt] 'dprt' is not a word of a condition"));
    CHECK(refusal("in(eth0) -> { udp -> out; tcp dport x -> out; otherwise -> drop }")
              .starts_with("[x] 'x' is not a port"));
    CHECK(refusal("in(eth0) -> { tcp dport { 80, x } -> out; otherwise -> drop }")
              .starts_with("[x] 'x' is not a port"));
    CHECK(refusal("in(eth0) -> { tcp dport { 80 -> out; otherwise -> drop }")
              .starts_with("[tcp] an arm is a condition"));
    CHECK(refusal("in(eth0) -> { saddr @x -> out; otherwise -> drop }")
              .starts_with("[@x] conditions have no sets"));
    CHECK(refusal("in(eth0) -> {}").starts_with("[{] the block is empty"));
    CHECK(refusal("in(eth0) -> { tcp }").starts_with("[tcp] an arm is a condition"));
    CHECK(refusal("in(eth0) -> { tcp -> out; otherwise -> out } -> efw")
              .starts_with("[->] nothing comes after a block"));
    CHECK(refusal("in(eth0) -> web; web: efw -> web").starts_with("[web] the chain goes in a"));
    CHECK(refusal("in(eth0) -> out; web: efw -> out") == "[web] no path leads to 'web'");
    CHECK(refusal("in(eth0) -> out; efw: elb -> out").starts_with("[efw] 'efw' is a stage"));
    CHECK(refusal("in(eth0) -> w; w: out; w: drop") == "[w] two paths are called 'w'");
    CHECK(refusal("in(eth0) -> w -> out; w: efw -> out").starts_with("[out] nothing comes after"));
    CHECK(refusal("in(eth0) -> out in(eth1) -> out").starts_with("[in] a ';' must stand"));
    CHECK(refusal("w: out").starts_with("[] the chain takes packets from no interface"));
}

TEST_CASE("a chain is as long as the kernel's tail calls reach, and no longer")
{
    const auto chain = [](int stages) {
        std::string text = "in(eth0)";
        for (int i = 0; i < stages; ++i)
            text += " -> efw";
        return text + " -> out";
    };
    CHECK(build(chain(32)));
    CHECK(refusal(chain(33)).starts_with("[] the way from eth0 has 34 places; the kernel ends"));
}

TEST_CASE("a service-chain request becomes the chain's text")
{
    const json request = json::parse(R"({
        "nodes": [{"id": "a", "in": ["eth0"]}, {"id": "b", "in": ["eth1"]},
                  {"id": "fw", "vnf": "efw"}, {"id": "c", "classify": true},
                  {"id": "elb", "vnf": "elb"}, {"id": "o", "end": "out"}],
        "links": [{"from": "a", "to": "fw"}, {"from": "fw", "to": "c"}, {"from": "b", "to": "elb"},
                  {"from": "c", "to": "elb", "label": "tcp dport 80"}, {"from": "c", "to": "o"},
                  {"from": "elb", "to": "o"}]})");
    const auto text = text_of_request(request);
    REQUIRE(text);
    CHECK(shape(*text) == "eth0>efw eth1>elb efw:split split:elb|out elb:out ");
    const auto refused = [](json r) {
        const auto t = text_of_request(r);
        return t ? "accepted: " + *t : t.error().where + ": " + t.error().what;
    };
    json r = request;
    r["links"].push_back({{"from", "elb"}, {"to", "x"}});
    CHECK(refused(r).starts_with("/links/6: a link goes from one node's id"));
    r = request;
    r["nodes"].push_back({{"id", "lost"}, {"vnf", "efw"}});
    CHECK(refused(r) == "/nodes/6: no link leads to node 'lost'");
    r = request;
    r["nodes"].push_back({{"id", "o"}, {"end", "drop"}});
    CHECK(refused(r) == "/nodes/6: two nodes have the id 'o'");
    r = request;
    for (int i = 0; i < 100000; ++i) { // a path so long that following it takes all the stack
        const std::string id = "n" + std::to_string(i);
        r["nodes"].push_back({{"id", id}, {"vnf", "efw"}});
        r["links"].push_back({{"from", i ? "n" + std::to_string(i - 1) : "fw"}, {"to", id}});
    }
    CHECK(refused(r) == "/nodes: a service-chain request has at most 256 nodes");
    r = request;
    r["links"][5]["to"] = "fw"; // a circle
    CHECK(shape(*text_of_request(r)).starts_with("refused: the chain goes in a circle"));
}

TEST_CASE("the text of what was parsed means the same")
{
    // Random texts of the language's words: whatever is accepted has one written form.
    const std::vector<std::string> words{"in(eth0)",  "in(eth1,eth2)",
                                         "->",        "->",
                                         "->",        "efw",
                                         "elb",       "edge",
                                         "out",       "drop",
                                         "host",      "wire(e)",
                                         "hairpin",   "{",
                                         "}",         ";",
                                         ":",         "w",
                                         "otherwise", "next",
                                         "to_client", "tcp dport 80",
                                         "(",         ")",
                                         ","};
    std::mt19937 random(1);
    unsigned accepted = 0;
    for (int i = 0; i < 200'000; ++i) {
        std::string text = random() % 2 ? "in(eth0) -> " : "";
        for (auto n = random() % 14; n > 0; --n)
            text += words[random() % words.size()] + (random() % 4 ? " " : "");
        const auto s = path::parse(text);
        if (!s) {
            REQUIRE(s.error().offset + s.error().length <= text.size());
            continue;
        }
        const std::string once = path::text_of(*s);
        const auto again = path::parse(once);
        REQUIRE(again);
        CHECK(path::text_of(*again) == once);
        const auto first = build(text), second = build(once);
        REQUIRE(first.has_value() == second.has_value());
        if (first) {
            CHECK(shape(*first) == shape(*second));
            ++accepted;
        }
    }
    CHECK(accepted > 100);
}
