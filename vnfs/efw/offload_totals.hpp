// SPDX-License-Identifier: GPL-2.0-or-later
// What offloaded decisions have counted for each rule of netfilter, over all plans, chains
// and runs of the daemon: netfilter's own counters go on through these, too.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "abi/chain.h"
#include "base/result.hpp"

namespace evnf::efw
{

class Offloaded;

struct OffloadTotal {
    counter count{};
    // The daemon was killed: of its last second it is not known what was decided.
    bool at_least = false;
    friend bool operator==(const OffloadTotal &a, const OffloadTotal &b)
    {
        return a.count.packets == b.count.packets && a.count.bytes == b.count.bytes &&
               a.at_least == b.at_least;
    }
};

class OffloadTotals
{
public:
    using Totals = std::map<std::string, OffloadTotal>; // by offload::key_of()

    // Those of an instance: while one generation of the chains replaces another, both
    // fast paths have the same. They are read from a file in `folder`, if there is one.
    static Result<std::shared_ptr<OffloadTotals>> of(const std::string &folder);
    OffloadTotals() = default; // of no instance
    OffloadTotals(const OffloadTotals &) = delete;
    OffloadTotals &operator=(const OffloadTotals &) = delete;
    ~OffloadTotals(); // keeps them for the last time

    // All that follows is under this: the sources are of different threads.
    std::mutex mutex;
    Totals past;                         // of plans that are in force no more
    std::set<const Offloaded *> sources; // whose plans are
    bool interrupted = false;            // and no plan has been put in force since

    [[nodiscard]] Totals now() const;
    Result<> keep(bool ends);

private:
    Result<> read();

    std::string folder_;
    std::string kept_; // what the file has
};

} // namespace evnf::efw
