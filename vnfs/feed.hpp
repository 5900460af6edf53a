// SPDX-License-Identifier: GPL-2.0-or-later
// What a VNF tells, line by line, to whoever reads it at the moment; to nobody, if nobody
// does. A reader who is slow loses lines, which it is told, and holds up nobody.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

namespace evnf
{

class Feed
{
public:
    class Reader
    {
    public:
        // Waits for lines; {"lost": n} says how many were lost since the beginning.
        std::vector<nlohmann::json> read(std::chrono::milliseconds timeout);

    private:
        friend class Feed;
        void put(const nlohmann::json &line);

        static constexpr std::size_t most = 4096; // lines that wait
        std::mutex mutex_;
        std::condition_variable came_;
        std::deque<nlohmann::json> lines_;
        std::uint64_t lost_ = 0, lost_told_ = 0;
    };

    // Reads what is put from now on, for as long as it lives.
    std::shared_ptr<Reader> open();
    [[nodiscard]] bool has_readers() const;
    void put(const nlohmann::json &line);

private:
    mutable std::mutex mutex_;
    std::vector<std::weak_ptr<Reader>> readers_;
};

} // namespace evnf
