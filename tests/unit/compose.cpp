// SPDX-License-Identifier: GPL-2.0-or-later
// Chains that could not do what they say are refused, and only those.
#include <catch2/catch.hpp>

#include "daemon/compose.hpp"
#include "daemon/document.hpp"

using namespace evnf;

namespace
{

// Stages after which less of a packet can be read: it is inside something else by then.
VnfType wrapper(const std::string &name, Layer leaves)
{
    return {.name = name,
            .descriptor = {.needs = Layer::link, .leaves = leaves},
            .reasons = {},
            .routes = {},
            .check = [](const json &, const json &) -> Result<json> { return json::object(); },
            .diff = [](const json &, const json &) { return std::vector<std::string>(); },
            .load = {}};
}
const VnfType cipher = wrapper("cipher", Layer::link);
const VnfType tunnel = wrapper("tunnel", Layer::network);
const Registration register_cipher(cipher), register_tunnel(tunnel);

constexpr const char *both = "in(eth0, eth1) -> ";

json service(const std::string &address, int port)
{
    return {{"address", address}, {"port", port}, {"protocol", "tcp"}, {"backends", json::array()}};
}

// With a service on 192.0.2.10:80, unless `more` has another [elb].
json document(const std::vector<std::string> &paths, const json &more = json::object())
{
    json d{{"chain", json::array()}, {"elb", {{"service", {service("192.0.2.10", 80)}}}}};
    for (const auto &path : paths)
        d["chain"].push_back({{"name", "c" + std::to_string(d["chain"].size())}, {"path", path}});
    d.update(more);
    return d;
}

std::string refusal(const std::vector<std::string> &paths, const json &more = json::object())
{
    const auto r = check_document(document(paths, more), nullptr);
    return r ? "accepted" : r.error().where + ": " + r.error().what;
}

json efw(const std::string &rule)
{
    return {{"efw", {{"rules", {rule}}}}};
}

json tapped(const std::string &interface)
{
    return {{"vnf", "efw"}, {"exit", "tap"}, {"tap", interface}};
}

} // namespace

TEST_CASE("a stage that needs more than the one before leaves is refused")
{
    CHECK(refusal({"in(eth0) -> tunnel -> efw -> out"}) ==
          "/chain/0/path: 'efw' needs ports, but after 'tunnel' no more than the IP header can be "
          "read: put 'efw' before it");
    CHECK(refusal({"in(eth0) -> out", "in(eth1) -> cipher -> efw -> out"}) ==
          "/chain/1/path: 'efw' needs ports, but after 'cipher' no more than the link header can "
          "be read: put 'efw' before it");
    // However far before, and through a label.
    CHECK(refusal({"in(eth0) -> tunnel -> cipher -> x; in(eth1) -> x; x: efw -> out"})
              .starts_with("/chain/0/path: 'efw' needs ports, but after 'tunnel' "));
    CHECK(refusal({"in(eth0) -> tunnel -> { tcp -> drop; otherwise -> out }"})
              .starts_with("/chain/0/path: the block needs ports, but after 'tunnel' "));
    CHECK(refusal({"in(eth0) -> efw -> tunnel -> cipher -> out"}) == "accepted");
    // Another way of the same chain does not count.
    CHECK(refusal({"in(eth0) -> tunnel -> out; in(eth1) -> efw -> out"}) == "accepted");
}

TEST_CASE("what a policy sends somewhere must be led there by some path")
{
    const auto policies = [](const std::string &to) {
        const json plain{{"name", "plain"}, {"application", {"DNS"}}, {"action", "drop"}};
        const json sent{
            {"name", "video"}, {"application", {"YouTube"}}, {"action", "send"}, {"to", to}};
        return json{{"edpi", {{"policy", {plain, sent}}}}};
    };
    const std::string plain = "in(eth0) -> edpi -> out",
                      ways = "in(eth1) -> edpi { way2 -> drop; otherwise -> out }";
    CHECK(refusal({plain}, policies("way2")) ==
          "/edpi/policy/1/to: policy 'video' sends packets to way2, which no chain's path leads "
          "anywhere: write, for example, edpi { way2 -> drop; otherwise -> out } in the path "
          "first");
    CHECK(refusal({plain, ways}, policies("way3"))
              .starts_with("/edpi/policy/1/to: policy 'video' sends packets to way3, which no "));
    // In one place of it.
    CHECK(refusal({plain, ways}, policies("way2")) == "accepted");
    CHECK(refusal({"in(eth0) -> efw -> out"}, policies("way2")) == "accepted"); // not in force
    json other = policies("way2");
    other["dpi2"] = {{"vnf", "edpi"}};
    CHECK(refusal({plain, "in(eth1) -> dpi2 { way2 -> drop; otherwise -> out }"}, other)
              .starts_with("/edpi/policy/1/to: "));
}

TEST_CASE("a load balancer must see the answers too")
{
    const std::string alone = "/chain/0/path: 'elb' sees only what comes in by eth0: the answers "
                              "would pass it by, and keep the server's own address; let them in "
                              "too, for example with in(eth1) -> elb -> out; or, if servers";
    CHECK(refusal({"in(eth0) -> elb -> out"}).starts_with(alone));
    CHECK(refusal({"in(eth0) -> efw -> elb -> out; in(eth1) -> efw -> out"}).starts_with(alone));
    CHECK(refusal({"in(eth1) -> out", "in(eth0) -> elb -> out"})
              .starts_with("/chain/1/path: 'elb' sees only what comes in by eth0"));
    json named{{"web", {{"vnf", "elb"}}}};
    CHECK(refusal({"in(eth0) -> web -> out; in(eth1) -> elb -> out; in(eth2) -> elb -> out"}, named)
              .starts_with("/chain/0/path: 'web' sees only what comes in by eth0"));

    CHECK(refusal({"in(eth0) -> elb -> out"}, {{"elb", {{"one_armed", true}}}}) == "accepted");
    CHECK(refusal({"in(eth0, eth1) -> elb -> out"}) == "accepted");
    CHECK(refusal({"in(eth0) -> efw -> elb -> out; in(eth1) -> elb -> out"}) == "accepted");
    CHECK(refusal({"in(eth0) -> elb -> out", "in(eth1) -> elb -> out"}) == "accepted");
    CHECK(refusal({"in(eth0) -> elb -> hairpin"}) == "accepted");
    CHECK(refusal({"in(eth0) -> efw -> out"}) == "accepted"); // no chain has it
}

TEST_CASE("a load balancer whose backends answer past it need not see the answers")
{
    const auto with = [](const std::vector<std::string> &ways) {
        json services = json::array();
        for (const auto &way : ways) {
            services.push_back(service("192.0.2." + std::to_string(services.size() + 10), 80));
            services.back()["forward"] = way;
            if (way == "tunnel")
                services.back()["sources"] = {"10.0.0.5"};
        }
        return json{{"elb", {{"service", services}}}};
    };
    const std::vector<std::string> one{"in(eth0) -> elb -> out"};
    CHECK(refusal(one, with({"tunnel"})) == "accepted");
    CHECK(refusal(one, with({"direct"})) == "accepted");
    CHECK(refusal(one, with({"direct", "tunnel"})) == "accepted");
    CHECK(refusal(one, with({"direct", "nat"}))
              .starts_with("/chain/0/path: 'elb' sees only what comes in by eth0"));
    CHECK(refusal(one, with({})).starts_with("/chain/0/path: 'elb' sees only"));
    // Only "out" asks a packet where it wants to go.
    const auto only_out = [&](const std::string &path, const std::string &end) {
        CHECK(refusal({path}, with({"direct"})) ==
              "/chain/0/path: 'elb' has service tcp 192.0.2.10:80 with forward = \"direct\", whose "
              "packets only 'out' can send: let them end there, not in " +
                  end);
    };
    only_out("in(eth0) -> elb -> hairpin", "hairpin");
    only_out("in(eth0) -> elb -> efw -> wire(eth1)", "a wire");
    CHECK(refusal({"in(eth0) -> elb -> hairpin"}, with({"tunnel"})) == "accepted");
    CHECK(refusal({"in(eth0) -> efw -> { udp -> hairpin; otherwise -> elb -> out }"},
                  with({"direct"})) == "accepted");
    // They keep their destination.
    CHECK(refusal({"in(eth0) -> elb -> efw -> out"},
                  {{"efw", {{"rules", {"ip daddr 192.0.2.10 tcp dport 80 accept"}}}},
                   {"elb", with({"direct"})["elb"]}}) == "accepted");
}

TEST_CASE("what a load balancer has rewritten cannot be matched behind it")
{
    const std::string behind = both + std::string("elb -> efw -> out");
    const std::string before = both + std::string("efw -> elb -> out");
    CHECK(refusal({behind}, efw("ip daddr 192.0.2.10 tcp dport 80 accept")) ==
          "/efw/rules/0: this never matches behind 'elb' in chain 'c0': rule 'ip daddr "
          "192.0.2.10 tcp dport 80 accept' asks for service tcp 192.0.2.10:80, which has another "
          "destination by then; put 'efw' before 'elb', or match what it writes");
    CHECK(refusal({before}, efw("ip daddr 192.0.2.10 tcp dport 80 accept")) == "accepted");
    CHECK(refusal({behind}, efw("ip daddr 192.0.2.10/32 tcp dport {80} length 40 accept")) !=
          "accepted");
    // Only what can never match is refused.
    for (const auto *rule :
         {"ip daddr 192.0.2.10 tcp dport 81 accept", "ip daddr 192.0.2.10 udp dport 80 accept",
          "ip daddr 192.0.2.10 tcp dport 80-81 accept", "ip daddr 192.0.2.10 accept",
          "ip daddr 192.0.2.0/24 tcp dport 80 accept", "tcp dport 80 accept",
          "ip daddr { 192.0.2.10, 192.0.2.12 } tcp dport 80 accept",
          "ip daddr != 192.0.2.10 tcp dport 80 accept",
          "ip daddr 192.0.2.10 tcp dport != 80 accept",
          "ip daddr 192.0.2.10 protocol { tcp, udp } dport 80 accept"})
        CHECK(refusal({behind}, efw(rule)) == "accepted");

    const std::string block = "{ ip daddr 192.0.2.10 tcp dport 80 -> drop; otherwise -> out }";
    CHECK(refusal({both + ("elb -> " + block)}) ==
          "/chain/0/path: this never matches behind 'elb' in chain 'c0': condition 'ip daddr "
          "192.0.2.10 tcp dport 80' asks for service tcp 192.0.2.10:80, which has another "
          "destination by then; put the block before 'elb', or match what it writes");
    CHECK(refusal({both + std::string("{ ip daddr 192.0.2.10 tcp dport 80 -> elb -> out; "
                                      "otherwise -> out }")}) == "accepted");
    CHECK(refusal({both + std::string("elb -> { ip daddr 192.0.2.10 tcp dport 81 -> drop; "
                                      "otherwise -> out }")}) == "accepted");
    // A way that does not lead through it is free.
    CHECK(refusal({"in(eth0, eth1) -> elb -> out; in(eth2) -> efw -> out"},
                  efw("ip daddr 192.0.2.10 tcp dport 80 accept")) == "accepted");
}

TEST_CASE("a verb that would make a rule useless is refused as the document is")
{
    const json rules = efw("ip daddr 192.0.2.10 tcp dport 80 drop");
    const json before = *check_document(document({both + std::string("elb -> efw -> out")}), {});
    json after = before;
    after["efw"] = (*check_document(document({"in(eth0) -> efw -> out"}, rules), {}))["efw"];
    const auto r = check_composition(chains_of(after), instances_of(after));
    REQUIRE_FALSE(r);
    CHECK(r.error().where == "/efw/rules/0");
    CHECK(check_composition(chains_of(before), instances_of(before)));
}

TEST_CASE("a tap is of one instance, and an interface of its own")
{
    const auto with = [](const json &a, const json &b = nullptr) {
        json more{{"a", a}};
        if (!b.is_null())
            more["b"] = b;
        return more;
    };
    const std::string chain = "in(eth0) -> a -> out";
    CHECK(refusal({chain}, with(tapped("tap0"))) == "accepted");
    CHECK(refusal({chain}, with(tapped("eth0"))) ==
          "/a/tap: eth0 is used already: a tap is an interface of its own");
    CHECK(refusal({chain, "in(eth1) -> wire(eth2)"}, with(tapped("eth2"))) ==
          "/a/tap: eth2 is used already: a tap is an interface of its own");
    CHECK(refusal({"in(eth0) -> a -> b -> out"}, with(tapped("tap0"), tapped("tap0"))) ==
          "/b/tap: tap0 is used already: a tap is an interface of its own");
    CHECK(refusal({"in(eth0) -> a -> b -> out"}, with(tapped("tap0"), tapped("tap1"))) ==
          "accepted");
}

TEST_CASE("what comes back by a tap must know where it was")
{
    const json more{{"a", tapped("tap0")}};
    CHECK(refusal({"in(eth0) -> a -> out; in(eth1) -> a -> out"}, more) ==
          "/a/tap: packets come back from tap0 to one place, but 'a' stands at 2: use an instance "
          "with a tap of its own for each");
    CHECK(
        refusal({"in(eth0) -> a -> out", "in(eth1) -> a -> out"}, more)
            .starts_with("/a/tap: packets come back from tap0 to one place, but 'a' stands at 2"));
    CHECK(refusal({"in(eth0) -> x; in(eth1) -> x; x: a -> out"}, more) == "accepted");
    CHECK(refusal({"in(eth0, eth1) -> a -> hairpin"}, more) ==
          "/a/tap: packets come back from tap0 to one place, but 'a' is reached from 2 interfaces, "
          "and hairpin must know which it was");
    CHECK(refusal({"in(eth0) -> a -> hairpin"}, more) == "accepted");
    CHECK(refusal({"in(eth0, eth1) -> a -> out"}, more) == "accepted");
}

TEST_CASE("an interface is a cable's end or a router's port")
{
    CHECK(refusal({"in(eth0) -> { tcp -> wire(eth1); otherwise -> out }"}) ==
          "/chain/0/path: from eth0 packets can come to wire(eth1) and to out: a wire carries all "
          "frames, 'out' routes those that are for this host; let all of them end in wires, or "
          "none");
    CHECK(refusal({"in(eth2) -> out", "in(eth0, eth1) -> { tcp -> out; udp -> efw -> drop; "
                                      "otherwise -> efw -> wire(eth2) }"})
              .starts_with("/chain/1/path: from eth0 packets can come to wire(eth2) and to out"));
    CHECK(refusal({"in(eth0) -> efw -> wire(eth1); in(eth1) -> out"}) == "accepted");
    CHECK(refusal({"in(eth0) -> { tcp -> wire(eth1); otherwise -> wire(eth2) }"}) == "accepted");
    CHECK(refusal({"in(eth0) -> { tcp -> wire(eth1); udp -> host; otherwise -> drop }"}) ==
          "accepted");
}
