// SPDX-License-Identifier: GPL-2.0-or-later
// Who takes new connections: health, drains, slow starts, load, backups and panic together.
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "vnfs/elb/monitor/weigh.hpp"

using namespace evnf;
using namespace evnf::elb;

namespace
{

using Weights = std::vector<unsigned>;

const Standing up{.weight = 1, .health = Health::up};
const Standing down{.weight = 1, .health = Health::down};
const Standing backup{.weight = 1, .backup = true, .health = Health::up};

} // namespace

TEST_CASE("who is down or drains gets nothing; what is not known counts as up")
{
    Standing drains = up, two = up, none = up, unknown;
    drains.drains = true;
    two.weight = 2;
    none.weight = 0;
    CHECK(weigh({up, down, drains, two, none, unknown}, 0).effective ==
          Weights{1000, 0, 0, 2000, 0, 1000});
}

TEST_CASE("a slow start and load change a weight, but never to zero")
{
    Standing starts = up, loaded = up, both = up;
    starts.ramp = 0.25;
    loaded.feedback = 1.05;
    both.ramp = 0.01;
    both.feedback = 0.01;
    CHECK(weigh({starts, loaded, both}, 0).effective == Weights{250, 1050, 1});
}

TEST_CASE("backups take part when no primary is up, and only then")
{
    auto w = weigh({up, down, backup}, 50);
    CHECK(w.effective == Weights{1000, 0, 0});
    CHECK_FALSE(w.on_backups);
    w = weigh({down, down, backup}, 50);
    CHECK(w.effective == Weights{0, 0, 1000});
    CHECK(w.on_backups);
    CHECK_FALSE(w.panics);
    Standing drains = up;
    drains.drains = true;
    CHECK(weigh({drains, backup}, 0).effective == Weights{0, 1000});
}

TEST_CASE("with less than the panic threshold up, all primaries are")
{
    CHECK(weigh({up, down, down}, 33).effective == Weights{1000, 0, 0});
    const auto w = weigh({up, down, down}, 34);
    CHECK(w.panics);
    CHECK(w.effective == Weights{1000, 1000, 1000});
    CHECK(weigh({down, down}, 1).effective == Weights{1000, 1000});
    CHECK(weigh({down, down}, 0).effective == Weights{0, 0});
    Standing drains = down;
    drains.drains = true; // the operator's word counts also then
    CHECK(weigh({down, drains}, 50).effective == Weights{1000, 0});
    Standing heavy = up;
    heavy.weight = 3; // it is the weight that counts, not the number
    CHECK_FALSE(weigh({heavy, down, down}, 60).panics);
}

TEST_CASE("for all that backends can be: no more than may take part, and somebody if anybody may")
{
    std::mt19937 random(11);
    for (int round = 0; round < 20000; ++round) {
        std::vector<Standing> all(1 + random() % 6);
        for (auto &b : all)
            b = {.weight = static_cast<unsigned>(random() % 4),
                 .backup = random() % 4 == 0,
                 .drains = random() % 5 == 0,
                 .health = static_cast<Health>(random() % 3),
                 .ramp = 0.01 + 0.99 * static_cast<double>(random() % 100) / 99,
                 .feedback = 0.01 + static_cast<double>(random() % 1000) / 100};
        const double panic = static_cast<double>(random() % 101);
        const auto w = weigh(all, panic);
        bool healthy = false, sum = false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto &b = all[i];
            const bool may = b.weight > 0 && !b.drains;
            healthy |= may && b.health != Health::down;
            sum |= w.effective[i] > 0;
            REQUIRE((may || w.effective[i] == 0));
            if (b.health == Health::down)
                REQUIRE((w.panics || w.effective[i] == 0));
            if (b.backup)
                REQUIRE((w.on_backups || w.effective[i] == 0));
        }
        REQUIRE((!healthy || sum));
    }
}
