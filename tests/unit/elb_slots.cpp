// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>

#include "vnfs/elb/slots.hpp"

using namespace evnf;
using namespace evnf::elb;

namespace
{

std::vector<Weighted> servers(const std::vector<unsigned> &weights)
{
    std::vector<Weighted> out;
    for (std::size_t i = 0; i < weights.size(); ++i)
        out.push_back({*Endpoint::parse("10.0." + std::to_string(i / 250) + "." +
                                        std::to_string(i % 250 + 1) + ":80"),
                       weights[i]});
    return out;
}

std::vector<Endpoint> owners(const std::vector<Weighted> &backends)
{
    std::vector<Endpoint> out;
    for (const auto b : fill_slots(backends))
        out.push_back(backends[b].endpoint);
    return out;
}

std::size_t moved(const std::vector<Weighted> &from, const std::vector<Weighted> &to)
{
    const auto a = owners(from), b = owners(to);
    std::size_t n = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        n += !(a[i] == b[i]);
    return n;
}

} // namespace

TEST_CASE("each backend has exactly its share of the slots")
{
    std::mt19937 random(1);
    for (int round = 0; round < 50; ++round) {
        std::vector<unsigned> weights;
        for (auto n = 1 + random() % (round % 5 ? 40 : 400); n > 0; --n)
            weights.push_back(static_cast<unsigned>(random() % 101));
        weights[0] = 1 + weights[0];
        std::map<std::size_t, unsigned> has;
        unsigned total = 0;
        const auto slots = fill_slots(servers(weights));
        CHECK(slots.size() == (weights.size() > ELB_FEW_BACKENDS ? ELB_MANY_SLOTS : ELB_SLOTS));
        for (const auto b : slots)
            ++has[b];
        for (const unsigned w : weights)
            total += w;
        for (std::size_t b = 0; b < weights.size(); ++b) {
            const double exact = static_cast<double>(slots.size()) * weights[b] / total;
            CHECK(has[b] >= static_cast<unsigned>(exact));
            CHECK(has[b] <= static_cast<unsigned>(exact) + 1);
            CHECK((weights[b] > 0 || has[b] == 0));
        }
    }
    CHECK(fill_slots(servers({0, 0})).empty());
    CHECK(fill_slots({}).empty());
}

TEST_CASE("who has a weight has a slot, however small it is")
{
    for (const unsigned n : {2U, 64U, 65U, 500U}) {
        std::vector<unsigned> weights(n, 1);
        weights[0] = 1'000'000;
        weights[n / 2] = 2'000'000;
        std::map<std::size_t, unsigned> has;
        const auto slots = fill_slots(servers(weights));
        for (const auto b : slots)
            ++has[b];
        for (unsigned b = 0; b < n; ++b)
            CHECK(has[b] >= 1);
        CHECK(has[n / 2] > slots.size() / 2);
    }
}

TEST_CASE("the table depends on the set alone, not on its order")
{
    auto backends = servers({1, 2, 3, 4, 5});
    const auto before = owners(backends);
    std::swap(backends[0], backends[4]);
    std::swap(backends[1], backends[2]);
    CHECK(owners(backends) == before);
}

TEST_CASE("a change moves little more than its share")
{
    // 410 slots must move; Maglev moves some of the others too.
    const auto ten = servers(std::vector<unsigned>(10, 1));
    auto nine = ten;
    nine.pop_back();
    CHECK(moved(ten, nine) >= 409);
    CHECK(moved(ten, nine) < 700);
    // One weight from 10 to 9 of 100: 1 % or so must move.
    auto lighter = servers(std::vector<unsigned>(10, 10));
    lighter[3].weight = 9;
    CHECK(moved(servers(std::vector<unsigned>(10, 10)), lighter) < 400);
}

TEST_CASE("shares of many backends are not coarse")
{
    for (const unsigned n : {64U, 65U, 1000U}) {
        std::map<std::size_t, unsigned> has;
        const auto slots = fill_slots(servers(std::vector<unsigned>(n, 7)));
        for (const auto b : slots)
            ++has[b];
        for (const auto &[b, held] : has) {
            const double share = static_cast<double>(held) * n / static_cast<double>(slots.size());
            CHECK(share > 0.98);
            CHECK(share < 1.02);
        }
    }
}

// Not run with the others: prints the table of docs/elb.md.
TEST_CASE("what a change moves", "[.measure]")
{
    std::mt19937 random(7);
    for (const unsigned n : {3U, 10U, 64U, 100U, 1000U}) {
        std::vector<unsigned> weights;
        for (unsigned i = 0; i < n; ++i)
            weights.push_back(500 + static_cast<unsigned>(random() % 1500));
        const auto before = servers(weights);
        double total = 0, removed = 0, removed_must = 0, lighter = 0, lighter_must = 0;
        for (const unsigned w : weights)
            total += w;
        constexpr int times = 20;
        const auto slots = owners(before);
        const auto all = static_cast<double>(slots.size());
        double off = 0; // of a share, at most
        for (const auto &b : before) {
            const auto held = std::count(slots.begin(), slots.end(), b.endpoint);
            off = std::max(off, std::abs(static_cast<double>(held) * total / b.weight / all - 1));
        }
        for (int i = 0; i < times; ++i) {
            const std::size_t at = random() % n;
            const double w = weights[at];
            auto after = before;
            after[at].weight = 0;
            removed += static_cast<double>(moved(before, after));
            removed_must += all * w / total;
            after[at].weight = weights[at] * 9 / 10;
            lighter += static_cast<double>(moved(before, after));
            lighter_must += all * (w / total - 0.9 * w / (total - 0.1 * w));
        }
        std::printf("%4u backends, %5zu slots: shares are off by %.2f %% at most; without one "
                    "%.2f %% of the slots move, %.2f %% must; one 10 %% lighter: %.3f %%, "
                    "%.3f %%\n",
                    n, slots.size(), 100 * off, 100 * removed / times / all,
                    100 * removed_must / times / all, 100 * lighter / times / all,
                    100 * lighter_must / times / all);
    }
}
