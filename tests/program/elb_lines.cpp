// SPDX-License-Identifier: GPL-2.0-or-later
// What a CPU remembers of elb's connections is what the table has, or nothing.
#include <catch2/catch.hpp>
#include <cstring>
#include <map>

#include "support/elb_connected.hpp"
#include "vnfs/elb/connections.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

struct KeyOrder {
    bool operator()(const flow_key &a, const flow_key &b) const
    {
        return std::memcmp(&a, &b, sizeof a) < 0;
    }
};

class Lines : public Connected
{
public:
    Lines()
    {
        configure({service(vip, 80, "tcp", servers(1))});
        table.emplace(must(bpf::Map<flow_key, elb_conn>::bind(maps, "elb_conns")));
        connections.emplace(must(elb::Connections::bind(maps)));
    }

    // IPv6 packets may have IPv4-mapped addresses, which nobody may configure.
    static ip_addr addr_of(const std::string &text)
    {
        const bool mapped = text.starts_with("::ffff:");
        return must(Address::parse(mapped ? text.substr(7) : text)).raw();
    }

    static flow_key key_of(const Frame &f)
    {
        flow_key key{};
        key.saddr = addr_of(f.src);
        key.daddr = addr_of(f.dst);
        key.sport = htons(f.sport);
        key.dport = htons(f.dport);
        key.proto = f.proto;
        key.family = f.src.find(':') == std::string::npos ? 4 : 6;
        return key;
    }

    // Of many that are alike but for one thing, so that one taken for another shows.
    Frame random_flow()
    {
        // The second is, in a table's key, what the first of IPv4 is.
        static const std::vector<std::string> nets{"192.0.2.", "::ffff:192.0.2.",
                                                   "2001:db8::", "2001:db8:1::", "2001:db8:0:1::"};
        const unsigned from = roll(random, 5), to = from < 2 ? from : 2 + roll(random, 3);
        Frame f{.src = nets[from] + "1",
                .dst = nets[to] + "2",
                .proto = static_cast<std::uint8_t>(roll(random, 2) ? IPPROTO_TCP : IPPROTO_UDP),
                .sport = 1000,
                .dport = 80,
                .tcp_flags = ack};
        const unsigned n = roll(random, 6000);
        switch (roll(random, 4)) {
        case 0:
            f.sport = static_cast<std::uint16_t>(1000 + n);
            break;
        case 1:
            f.dport = static_cast<std::uint16_t>(1000 + n);
            break;
        case 2:
            f.src = from < 2 ? (from ? "::ffff:" : "") + std::string("10.1.") +
                                   std::to_string(n / 250) + "." + std::to_string(n % 250)
                             : nets[from] + std::to_string(n);
            break;
        default:
            f.dst = from < 2 ? (from ? "::ffff:" : "") + std::string("10.1.") +
                                   std::to_string(n / 250) + "." + std::to_string(n % 250)
                             : nets[to] + std::to_string(n);
        }
        return f;
    }

    elb_conn random_conn(std::uint8_t family)
    {
        elb_conn c{};
        c.addr = must(Address::parse(family == 4 ? "10.0.3.1" : "2001:db8:ff::1")).raw();
        c.addr.w[3] ^= htonl(roll(random, 250));
        c.port = htons(static_cast<std::uint16_t>(1 + roll(random, 60000)));
        c.backend = static_cast<__u16>(roll(random, 100));
        c.rewrite = static_cast<__u8>(roll(random, 2) ? ELB_TO_BACKEND : ELB_TO_CLIENT);
        if (roll(random, 4) == 0) {
            c.forward = ELB_SOURCE_NAT;
            c.far.addr = c.addr;
            c.far.addr.w[3] ^= htonl(roll(random, 250));
            c.far.port = htons(static_cast<std::uint16_t>(1 + roll(random, 60000)));
        }
        return c;
    }

    // As the table says, or, without an entry, not by it.
    void check(const Frame &f, const elb_conn *c)
    {
        INFO(f.src << ":" << f.sport << " > " << f.dst << ":" << f.dport);
        const flow_key was = key_of(f);
        const flow_key is = run(build(f)).seen.flow;
        flow_key wanted = was;
        if (c) {
            (c->rewrite == ELB_TO_BACKEND ? wanted.daddr : wanted.saddr) = c->addr;
            (c->rewrite == ELB_TO_BACKEND ? wanted.dport : wanted.sport) = c->port;
            if (c->forward == ELB_SOURCE_NAT) {
                (c->rewrite == ELB_TO_BACKEND ? wanted.saddr : wanted.daddr) = c->far.addr;
                (c->rewrite == ELB_TO_BACKEND ? wanted.sport : wanted.dport) = c->far.port;
            }
        }
        REQUIRE(std::memcmp(&is, &wanted, sizeof is) == 0);
    }

    std::optional<bpf::Map<flow_key, elb_conn>> table;
    std::optional<elb::Connections> connections;
    Random random{1};
};

} // namespace

TEST_CASE_METHOD(Lines, "each packet meets the entry of its own flow")
{
    std::map<flow_key, elb_conn, KeyOrder> conns;
    std::vector<Frame> flows;
    unsigned removed = 0;
    for (int step = 0; step < 120'000; ++step) {
        const bool again = !flows.empty() && roll(random, 3) != 0;
        const Frame f =
            again ? flows[roll(random, static_cast<unsigned>(flows.size()))] : random_flow();
        const flow_key key = key_of(f);
        auto found = conns.find(key);
        if (found == conns.end() && roll(random, 4) != 0 && conns.size() < 8000) {
            found = conns.emplace(key, random_conn(key.family)).first;
            must(table->put(key, found->second));
            flows.push_back(f);
        } else if (found != conns.end() && roll(random, 64) == 0) {
            connections->forget({key, found->second, {}});
            conns.erase(found);
            found = conns.end();
            ++removed;
        }
        check(f, found == conns.end() ? nullptr : &found->second);
    }
    CHECK(removed > 1000);
}

TEST_CASE_METHOD(Lines, "an entry learns twice a second that its flow is alive")
{
    const Frame f{.src = client, .dst = vip, .sport = 4000, .tcp_flags = ack};
    elb_conn c = random_conn(4);
    must(table->put(key_of(f), c));
    auto clock = must(bpf::Map<__u32, __u32>::bind(maps, "elb_clock"));
    const auto began = std::chrono::steady_clock::now();
    for (int second = 0; second < 5; ++second) {
        must(connections->tick(began + std::chrono::seconds(second), {}));
        check(f, &c);
        check(f, &c);
        CHECK(table->get(key_of(f))->seen == *clock.get(0));
    }
    CHECK(*clock.get(0) == 4);
}

TEST_CASE_METHOD(Lines, "what ends a connection is always seen")
{
    Frame f{.src = client, .dst = vip, .sport = 4000, .tcp_flags = ack};
    const elb_conn c = random_conn(4);
    must(table->put(key_of(f), c));
    check(f, &c);
    check(f, &c);
    f.tcp_flags = fin | ack;
    check(f, &c);
    CHECK(table->get(key_of(f))->flags == ELB_SEEN_FIN);
    f.tcp_flags = ack;
    check(f, &c);
    f.tcp_flags = rst;
    check(f, &c);
    CHECK(table->get(key_of(f))->flags == (ELB_SEEN_FIN | ELB_SEEN_RST));
}
