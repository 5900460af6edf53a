// SPDX-License-Identifier: GPL-2.0-or-later
// elb's choice of a backend besides weights: source affinity, against a plain model, and least
// connections, with the counts of connections that it goes by.
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "support/beside.hpp"
#include "support/elb_connected.hpp"
#include "vnfs/elb/clients.hpp"
#include "vnfs/elb/connections.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

class Placed : public Connected
{
public:
    void serve(const std::vector<json> &backends, const json &choice, unsigned connections = 4096)
    {
        json s = service(vip, 80, "tcp", backends);
        s.update(choice);
        configure({s}, connections);
    }
    void set_clock(std::uint32_t now)
    {
        must(must(bpf::Map<__u32, __u32>::bind(maps, "elb_clock")).put(0, now));
    }
    std::size_t clients_known()
    {
        return must(bpf::Map<elb_client_key, elb_client>::bind(maps, "elb_clients")).keys().size();
    }
    std::vector<json> backends_shown()
    {
        return fast_path->show(section)["service"][0]["backends"];
    }
    std::uint64_t sum(const char *table, const char *key)
    {
        std::uint64_t out = 0;
        for (const auto &b : backends_shown())
            out += (*table ? b[table] : b)[key].get<std::uint64_t>();
        return out;
    }
    std::vector<unsigned> active()
    {
        std::vector<unsigned> out;
        for (const auto &b : backends_shown())
            out.push_back(b["active"]);
        return out;
    }
    // A new connection of some client that nobody else is.
    Frame next_client()
    {
        const unsigned n = next_++;
        return to_vip("203.0." + std::to_string(n / 250) + "." + std::to_string(1 + n % 250),
                      2000 + n);
    }
    void end(Frame f, const std::string &at, std::uint8_t flags, bool by_client)
    {
        f.tcp_flags = flags;
        run(build(by_client ? f : answer_to(f, at, 8080, flags)));
    }

private:
    unsigned next_ = 0;
};

std::string client_address(unsigned n)
{
    return "198.51." + std::to_string(n / 200) + "." + std::to_string(1 + n % 200);
}

const json by_source{{"affinity", "source"}};
const json least{{"balance", "least_connections"}};

} // namespace

TEST_CASE_METHOD(Placed, "a client stays with a backend that takes part, as a model has it")
{
    Random random(11);
    struct Where {
        std::string backend;
        std::uint32_t seen;
    };
    std::map<unsigned, Where> model;
    std::vector<json> backends = servers(6);
    std::uint32_t now = 1000;
    json choice = by_source;
    choice["affinity_timeout"] = 100;
    serve(backends, choice);
    set_clock(now);
    const auto takes_part = [&](const std::string &address) {
        return std::any_of(backends.begin(), backends.end(), [&](const json &b) {
            return b["address"] == address && b["weight"] > 0;
        });
    };
    unsigned followed = 0, port = 1024, moved = 0;
    for (int i = 0; i < 3000; ++i) {
        switch (roll(random, 40)) {
        case 0:
            for (auto &b : backends)
                b["weight"] = 1 + roll(random, 20);
            serve(backends, choice);
            break;
        case 1: // drained, or gone and back
            backends[roll(random, 6)]["weight"] = 0;
            serve(backends, choice);
            break;
        case 2:
            now += roll(random, 60);
            set_clock(now);
            break;
        case 3: {
            auto fewer = backends;
            const auto gone = roll(random, 6); // what comes back is another
            std::erase_if(model, [&](const auto &known) {
                return known.second.backend == backends[gone]["address"];
            });
            fewer.erase(fewer.begin() + gone);
            serve(fewer, choice);
            serve(backends, choice);
            break;
        }
        default:
            break;
        }
        const unsigned client = roll(random, 60);
        const Frame f = to_vip(client_address(client), port++);
        const std::string at = goes_to(f);
        const bool none = std::none_of(backends.begin(), backends.end(),
                                       [](const json &b) { return b["weight"] > 0; });
        if (none) {
            CHECK(at == vip);
            continue;
        }
        CHECK(takes_part(at));
        const auto known = model.find(client);
        if (known != model.end() && now - known->second.seen <= 100 &&
            takes_part(known->second.backend)) {
            REQUIRE(at == known->second.backend);
            ++followed;
        } else if (known != model.end() && known->second.backend != at) {
            ++moved;
        }
        model[client] = {at, now};
    }
    CHECK(followed > 1000);
    CHECK(moved > 10);
    CHECK(sum("affinity", "followed") <= followed); // of some the counters began anew
    CHECK(clients_known() >= model.size());
}

TEST_CASE_METHOD(Placed, "a client is all addresses of its prefix, and of its service alone")
{
    json narrow = service(vip, 80, "tcp", servers(8)), other = service(vip, 81, "tcp", servers(8));
    narrow.update({{"affinity", "source"}, {"affinity_prefix", 20}});
    json wide = service(vip6, 80, "tcp",
                        {backend("2001:db8:2::11", 80), backend("2001:db8:2::12", 80),
                         backend("2001:db8:2::13", 80), backend("2001:db8:2::14", 80)});
    wide.update({{"affinity", "source"}, {"affinity_prefix", 57}});
    configure({narrow, other, wide});
    std::set<std::string> one, beside, without, one6, beside6;
    for (unsigned i = 0; i < 64; ++i) {
        const std::string n = std::to_string(i);
        one.insert(goes_to(to_vip("198.51.9" + std::to_string(6 + i % 4) + "." + n, 4000 + i)));
        beside.insert(goes_to(to_vip("198.51." + std::to_string(100 + i) + ".1", 4000)));
        Frame f = to_vip(client, 5000 + i);
        f.dport = 81;
        without.insert(goes_to(f));
        one6.insert(goes_to(to_vip("2001:db8:9:" + n + "::1", 4000 + i)));
        beside6.insert(goes_to(to_vip("2001:db8:9:" + n + "00::1", 4000 + i)));
    }
    CHECK(one.size() == 1);
    CHECK(beside.size() > 1);
    CHECK(without.size() > 4);
    CHECK(one6.size() == 1);
    CHECK(beside6.size() > 1);
}

TEST_CASE_METHOD(Placed, "without room a client goes by its hash, which is counted")
{
    constexpr unsigned room = 1024, clients = 1500;
    serve(servers(4), by_source, room);
    std::map<unsigned, std::string> first;
    for (unsigned i = 0; i < clients; ++i)
        first[i] = goes_to(to_vip(client_address(i), 4000));
    CHECK(clients_known() + sum("affinity", "not_kept") == clients);
    CHECK(clients_known() <= room);
    for (unsigned i = 0; i < clients; ++i)
        CHECK(goes_to(to_vip(client_address(i), 4001)) == first[i]); // the same hash
    // Who is known stays, whatever others do; who is not goes where its hash leads now.
    const std::vector<json> one_heavy{backend("10.0.2.11", 8080, 50), backend("10.0.2.12", 8080),
                                      backend("10.0.2.13", 8080), backend("10.0.2.14", 8080)};
    serve(one_heavy, by_source, room);
    unsigned stayed = 0;
    for (unsigned i = 0; i < clients; ++i)
        stayed += goes_to(to_vip(client_address(i), 4002)) == first[i];
    CHECK(stayed >= clients_known());
    CHECK(stayed < clients);
}

TEST_CASE_METHOD(Placed, "clients whose time is over are forgotten, and those of no service")
{
    json choice = by_source;
    choice["affinity_timeout"] = 30;
    serve(servers(2), choice);
    elb::Clients clients = must(elb::Clients::bind(maps));
    clients.put(elb::services_of(section));
    set_clock(100);
    goes_to(to_vip(client_address(1), 4000));
    set_clock(120);
    goes_to(to_vip(client_address(2), 4000));
    const auto left = [&](std::uint32_t now) {
        must(clients.tick(now));
        return clients_known();
    };
    CHECK(left(130) == 2);
    CHECK(left(131) == 1);
    CHECK(left(150) == 1);
    serve(servers(2), json::object());
    clients.put(elb::services_of(section));
    CHECK(left(121) == 0);
}

TEST_CASE_METHOD(Placed, "a client does not follow its backend's id to another service")
{
    const auto with = [](unsigned port, const std::vector<json> &backends) {
        json s = service(vip, port, "tcp", backends);
        s.update(by_source);
        return s;
    };
    configure({with(80, servers(2))});
    const unsigned gone = goes_to(to_vip(client, 4000)) == "10.0.2.11" ? 0 : 1;
    const json stays = servers(2)[1 - gone];
    section["next_id"] = gone;
    configure({with(80, {stays}), with(81, {backend("10.0.2.13", 8080)})});
    REQUIRE(section["service"][1]["backends"][0]["id"] == gone);
    CHECK(fast_path->show(section)["service"][1]["backends"][0]["connections"] == 0);
    CHECK(goes_to(to_vip(client, 4001)) == stays["address"]);
    // And the other's clients follow theirs.
    for (unsigned i = 0; i < 2; ++i) {
        Frame f = to_vip(client, 5000 + i);
        f.dport = 81;
        CHECK(goes_to(f) == "10.0.2.13");
    }
    CHECK(fast_path->show(section)["service"][1]["backends"][0]["affinity"]["followed"] == 1);
}

TEST_CASE_METHOD(Placed, "who has fewer connections for its weight gets the next")
{
    const auto with = [&](unsigned one, unsigned other) {
        serve({backend("10.0.2.11", 8080, one), backend("10.0.2.12", 8080, other)}, least);
    };
    with(1, 0);
    for (int i = 0; i < 60; ++i)
        establish(next_client());
    with(1, 1);
    CHECK(active() == std::vector<unsigned>{60, 0});
    for (int i = 0; i < 60; ++i)
        establish(next_client());
    CHECK(active()[0] <= 66); // with no regard to connections about 90
    with(1, 4);
    for (int i = 0; i < 400; ++i)
        establish(next_client());
    CHECK(active()[0] + active()[1] == 520);
    CHECK(active()[0] >= 90); // of 520 a fifth is 104
    CHECK(active()[0] <= 118);
}

TEST_CASE_METHOD(Placed, "the busiest of many is hardly busier than the others")
{
    constexpr unsigned n = 64, each = 10;
    const auto busiest = [&](const json &choice) {
        std::map<std::string, unsigned> load;
        serve(servers(n), choice, 8192);
        for (unsigned i = 0; i < n * each; ++i)
            ++load[establish(next_client())];
        unsigned most = 0;
        for (const auto &[at, connections] : load)
            most = std::max(most, connections);
        return most;
    };
    // Two choices: the mean and about log log n; one: the mean and about its root times three.
    CHECK(busiest(least) <= each + 3);
    CHECK(busiest(json::object()) >= each + 6);
}

TEST_CASE_METHOD(Placed, "a SYN sent again is placed where it was, whoever is less busy by then")
{
    serve(servers(2), least);
    std::vector<std::pair<Frame, std::string>> waiting;
    for (int i = 0; i < 20; ++i) {
        const Frame f = next_client();
        waiting.emplace_back(f, goes_to(f));
    }
    for (int i = 0; i < 40; ++i) // whose loads turn about
        establish(next_client());
    for (const auto &[f, at] : waiting)
        CHECK(goes_to(f) == at);
    CHECK(sum("", "moved") == 0);
    CHECK(sum("", "connections") == 60);
    serve({backend("10.0.2.12", 8080)}, least); // but not where nobody takes it
    for (const auto &[f, at] : waiting)
        CHECK(goes_to(f) == "10.0.2.12");
}

TEST_CASE_METHOD(Placed, "connections that a backend has are counted, however they end")
{
    using std::chrono::seconds;
    Random random(5);
    serve(servers(3), least);
    elb::Connections connections = must(elb::Connections::bind(maps));
    const auto begin = std::chrono::steady_clock::now();
    std::uint32_t now = 0;
    const auto pass = [&] {
        for (unsigned i = 0; i < 4; ++i)
            must(connections.tick(begin + seconds(now), elb::Timeouts()));
    };
    struct Open {
        Frame frame;
        std::string at;
        bool client_reset = false; // forged maybe: who goes on has sent none
    };
    std::vector<Open> open;
    for (int i = 0; i < 600; ++i) {
        const unsigned what = roll(random, 10);
        if (what < 5 || open.empty()) {
            const Frame f = next_client();
            open.push_back({f, establish(f)});
        } else {
            const std::size_t k = roll(random, static_cast<unsigned>(open.size()));
            Open &o = open[k];
            if (what == 5 && !o.client_reset) { // a RST that was none
                end(o.frame, o.at, rst, true);
                o.client_reset = true;
            } else if (o.client_reset) {
                connections.next_epoch(); // as the next half second
                end(o.frame, o.at, ack, true);
                o.client_reset = false;
            } else {
                const bool client_first = roll(random, 2);
                const std::uint8_t how = roll(random, 3) ? fin | ack : rst;
                end(o.frame, o.at, how, client_first);
                if (roll(random, 2))
                    end(o.frame, o.at, fin | ack, !client_first);
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(k));
            }
        }
        if (roll(random, 50) == 0) {
            ++now;
            pass(); // which has nothing to mend
        }
        std::vector<unsigned> model(3);
        for (const auto &o : open)
            model[static_cast<unsigned>(o.at.back() - '1')] += !o.client_reset;
        REQUIRE(active() == model);
    }
    for (int i = 0; i < 200; ++i) // a flood is none that a backend has
        run(build(next_client()));
    const auto still =
        std::count_if(open.begin(), open.end(), [](const Open &o) { return !o.client_reset; });
    CHECK(sum("", "active") == static_cast<std::uint64_t>(still));
    // What is wrong, as when they were counted by nobody, is mended by a look at all.
    const auto before = active();
    auto table = must(bpf::Map<__u32, elb_active>::bind(maps, "elb_active"));
    must(table.put(0, {0, 0}));
    must(table.put(1, {1000, 7}));
    must(table.put(2, {7, 1000}));
    pass();
    CHECK(active() == before);
    // In silence.
    now += 8000;
    pass();
    CHECK(established() == 0);
    CHECK(active() == std::vector<unsigned>(3));
}

// What a packet reads is one slot of one table.
TEST_CASE_METHOD(Placed, "while weights change each packet is placed by the old ones or the new, "
                         "and no connection moves")
{
    constexpr unsigned flows = 40;
    const auto few = servers(5), many = servers(100); // which have more slots, too
    const auto weigh = [](std::vector<json> backends, unsigned seed) {
        Random random(seed);
        for (auto &b : backends)
            b["weight"] = 1 + roll(random, 100);
        return backends;
    };
    const std::vector<std::vector<json>> placements{weigh(many, 1), weigh(many, 2), weigh(few, 3),
                                                    weigh(few, 4)};
    std::vector<std::string> kept;
    serve(many, json::object());
    for (unsigned i = 0; i < flows; ++i)
        kept.push_back(establish(to_vip(client, 2000 + i)));
    // Where the same would go that is new each time: no backend answers it.
    std::vector<std::set<std::string>> may(flows);
    for (const auto &p : placements) {
        serve(p, json::object());
        for (unsigned i = 0; i < flows; ++i)
            may[i].insert(goes_to(to_vip(client, 4000 + i)));
    }
    std::atomic<bool> stop = false;
    std::atomic<unsigned> changes = 0;
    std::atomic<bool> beside = true;
    std::thread operator_([&] {
        beside = beside_the_packets();
        for (unsigned i = 0; !stop; ++i, ++changes)
            serve(placements[i % placements.size()], json::object());
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::set<std::string> strange;
    unsigned moved = 0;
    while (changes < 40 && std::chrono::steady_clock::now() < deadline)
        for (unsigned i = 0; i < flows; ++i) {
            if (const auto at = goes_to(to_vip(client, 4000 + i)); !may[i].contains(at))
                strange.insert(at);
            Frame data = to_vip(client, 2000 + i);
            data.tcp_flags = ack;
            moved += goes_to(data) != kept[i];
        }
    stop = true;
    operator_.join();
    CHECK(beside);
    CHECK(changes >= 40);
    CHECK(strange.empty());
    CHECK(moved == 0);
}
