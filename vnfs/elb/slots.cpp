// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/slots.hpp"

#include <algorithm>
#include <numeric>

namespace evnf::elb
{

namespace
{

constexpr std::uint16_t nobody = 0xffff;
static_assert(ELB_MAX_BACKENDS < nobody);

std::uint64_t hash_of(const Endpoint &e)
{
    std::uint64_t h = 0xcbf29ce484222325; // FNV-1a, then a finalizer
    auto add = [&](std::uint8_t byte) { h = (h ^ byte) * 0x100000001b3; };
    const auto *bytes = reinterpret_cast<const std::uint8_t *>(&e.address.raw());
    std::for_each(bytes, bytes + sizeof(ip_addr), add);
    add(static_cast<std::uint8_t>(e.port >> 8));
    add(static_cast<std::uint8_t>(e.port));
    h = (h ^ h >> 32) * 0x9e3779b97f4a7c15;
    return h ^ h >> 29;
}

// How many slots each backend gets: its share, the rest to the largest remainders. Whoever would
// have none but has a weight takes one from the richest: it is to get connections, if only a few.
std::vector<unsigned> shares(const std::vector<Weighted> &backends,
                             const std::vector<std::size_t> &order, std::uint64_t total,
                             unsigned slots)
{
    std::vector<unsigned> out(backends.size());
    std::vector<std::pair<std::uint64_t, std::size_t>> rest;
    unsigned given = 0;
    for (const std::size_t b : order) {
        const std::uint64_t exact = std::uint64_t{slots} * backends[b].weight;
        out[b] = static_cast<unsigned>(exact / total);
        given += out[b];
        rest.emplace_back(exact % total, b);
    }
    std::stable_sort(rest.begin(), rest.end(),
                     [](const auto &a, const auto &b) { return a.first > b.first; });
    for (std::size_t i = 0; given < slots; ++i, ++given)
        ++out[rest[i].second];
    for (const std::size_t b : order)
        if (out[b] == 0 && backends[b].weight > 0) {
            --out[*std::max_element(order.begin(), order.end(),
                                    [&](std::size_t x, std::size_t y) { return out[x] < out[y]; })];
            out[b] = 1;
        }
    return out;
}

// Who takes a slot after whom. How often a backend's turn comes goes with its share, so that all
// are done at the same time: its kth slot is due in round (k - 1) * slots / share.
std::vector<std::size_t> turns(const std::vector<unsigned> &share,
                               const std::vector<std::size_t> &order, unsigned slots)
{
    const auto round = [&](unsigned k, std::size_t b) {
        return static_cast<std::size_t>(std::uint64_t{k} * slots / share[b]);
    };
    std::vector<unsigned> begins(slots + 1); // of each round: a counting sort
    for (const std::size_t b : order)
        for (unsigned k = 0; k < share[b]; ++k)
            ++begins[round(k, b) + 1];
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    std::vector<std::size_t> out(slots);
    for (const std::size_t b : order)
        for (unsigned k = 0; k < share[b]; ++k)
            out[begins[round(k, b)]++] = b;
    return out;
}

// The slots in the order in which one backend would like them: all of them, since the
// stride is odd and their number a power of two.
class Preference
{
public:
    Preference(std::uint64_t hash, unsigned slots)
        : at_(static_cast<unsigned>(hash)),
          stride_(static_cast<unsigned>(hash >> 32) | 1),
          mask_(slots - 1)
    {
    }
    unsigned next()
    {
        const unsigned slot = at_ & mask_;
        at_ += stride_;
        return slot;
    }

private:
    unsigned at_;
    unsigned stride_;
    unsigned mask_;
};

} // namespace

std::vector<std::uint16_t> fill_slots(const std::vector<Weighted> &backends)
{
    std::uint64_t total = 0;
    for (const auto &b : backends)
        total += b.weight;
    if (total == 0)
        return {};
    const unsigned slots_of_all = backends.size() > ELB_FEW_BACKENDS ? ELB_MANY_SLOTS : ELB_SLOTS;
    std::vector<std::size_t> order(backends.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return backends[a].endpoint < backends[b].endpoint;
    });
    std::vector<Preference> preferences;
    for (const auto &b : backends)
        preferences.emplace_back(hash_of(b.endpoint), slots_of_all);
    std::vector<std::uint16_t> slots(slots_of_all, nobody);
    // Turn by turn, each takes the next slot it likes that is free.
    for (const std::size_t b :
         turns(shares(backends, order, total, slots_of_all), order, slots_of_all)) {
        unsigned slot = preferences[b].next();
        while (slots[slot] != nobody)
            slot = preferences[b].next();
        slots[slot] = static_cast<std::uint16_t>(b);
    }
    return slots;
}

} // namespace evnf::elb
