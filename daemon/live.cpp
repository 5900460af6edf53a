// SPDX-License-Identifier: GPL-2.0-or-later
// What running fast paths have besides their sections: their verbs, and where they keep it.
#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/daemon.hpp"

namespace evnf
{

namespace
{

// At the most once a second, and no more than a tenth of the time: the loop has other work.
constexpr auto keep_every = std::chrono::seconds(1);
constexpr int keep_share = 10;

} // namespace

std::string Daemon::live_folder(const std::string &instance) const
{
    return options_.live_path() + "/" + instance;
}

Result<LiveRoute::Rest> Daemon::call_live(const VnfType &type, const std::string &instance,
                                          const LiveRoute &route, const Request &request)
{
    auto name = find_instance(type, instance);
    if (!name)
        return name.error();
    FastPath *fast_path = plane_->current()->fast_path(*name);
    if (!fast_path)
        return Error{.code = ENOENT,
                     .what = in_quotes(*name) + " is in no chain, so nothing of it runs: put it "
                                                "into one first"};
    if (route.begin)
        return route.begin(*fast_path, request);
    auto done = route.call(*fast_path, request);
    if (!done)
        return done.error();
    return LiveRoute::Rest([done = *std::move(done)]() -> Result<json> { return done; });
}

Result<> Daemon::restore_live(const Generation &next) const
{
    for (const auto &i : next.plan().instances)
        if (auto *fast_path = next.fast_path(i.name))
            if (auto r = fast_path->restore(live_folder(i.name)); !r)
                return std::move(r).context(i.name);
    return Unit{};
}

void Daemon::keep_live()
{
    if (!plane_ || !plane_->current())
        return;
    const auto began = std::chrono::steady_clock::now();
    for (const auto &i : plane_->current()->plan().instances)
        if (auto *fast_path = plane_->current()->fast_path(i.name))
            if (auto r = fast_path->keep(live_folder(i.name)); !r)
                log_error("keep what " + i.name + " has", r.error(), {{"instance", i.name}});
    const auto now = std::chrono::steady_clock::now();
    keep_at_ =
        now + std::max<std::chrono::steady_clock::duration>(keep_every, keep_share * (now - began));
}

} // namespace evnf
