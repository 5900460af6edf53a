// SPDX-License-Identifier: GPL-2.0-or-later
// Token buckets of user space: for all, and for each of many addresses in bounded memory.
// Each is kept as the time at which it will be full again, as in limit.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/net.hpp"

namespace evnf::efw
{

// So many tokens come in a second; so many may be taken at once after a pause.
struct Rate {
    std::uint64_t per_second;
    std::uint64_t burst;
};

class Bucket
{
public:
    // Whether there is a token, which then is gone. `now` in nanoseconds.
    bool take(std::uint64_t now, Rate rate)
    {
        const std::uint64_t each = 1'000'000'000 / rate.per_second;
        const std::uint64_t full = (full_at_ > now ? full_at_ : now) + each;
        if (full - now > rate.burst * each)
            return false;
        full_at_ = full;
        return true;
    }

private:
    std::uint64_t full_at_ = 0;
};

// Addresses that fall on the same place take it from each other, and then find a full
// bucket: what must hold for all has a bucket of its own.
class AddressBuckets
{
public:
    bool take(const Address &address, std::uint64_t now, Rate rate)
    {
        const auto &words = address.raw().w;
        const std::string_view bytes(reinterpret_cast<const char *>(words), sizeof words);
        Entry &e = entries_[std::hash<std::string_view>()(bytes) % entries_.size()];
        if (!(e.address == address))
            e = {address, {}};
        return e.bucket.take(now, rate);
    }

private:
    struct Entry {
        Address address;
        Bucket bucket;
    };
    std::vector<Entry> entries_ = std::vector<Entry>(4096);
};

} // namespace evnf::efw
