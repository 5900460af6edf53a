// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/feed.hpp"

#include <algorithm>

namespace evnf
{

std::vector<nlohmann::json> Feed::Reader::read(std::chrono::milliseconds timeout)
{
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, timeout, [&] { return !lines_.empty(); });
    std::vector<nlohmann::json> out(lines_.begin(), lines_.end());
    lines_.clear();
    if (lost_ != lost_told_)
        out.push_back({{"lost", lost_}});
    lost_told_ = lost_;
    return out;
}

void Feed::Reader::put(const nlohmann::json &line)
{
    {
        const std::lock_guard lock(mutex_);
        if (lines_.size() == most) {
            ++lost_;
            return;
        }
        lines_.push_back(line);
    }
    came_.notify_one();
}

std::shared_ptr<Feed::Reader> Feed::open()
{
    auto reader = std::make_shared<Reader>();
    const std::lock_guard lock(mutex_);
    readers_.push_back(reader);
    return reader;
}

bool Feed::has_readers() const
{
    const std::lock_guard lock(mutex_);
    return std::any_of(readers_.begin(), readers_.end(),
                       [](const auto &reader) { return !reader.expired(); });
}

void Feed::put(const nlohmann::json &line)
{
    const std::lock_guard lock(mutex_);
    std::erase_if(readers_, [&](const auto &weak) {
        const auto reader = weak.lock();
        if (reader)
            reader->put(line);
        return !reader;
    });
}

} // namespace evnf
