// SPDX-License-Identifier: GPL-2.0-or-later
// A program that is measured, and where its packets must go.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace evnf::bench
{

class Program
{
public:
    virtual ~Program() = default;

    [[nodiscard]] virtual int entry() const = 0;
    // The verdict of a packet that takes the way that is measured.
    [[nodiscard]] virtual unsigned verdict() const = 0;
    // Whether so many packets have taken it since the program was loaded.
    [[nodiscard]] virtual Result<> check_all_went(std::uint64_t packets) const = 0;
    // Lets the servers answer what has opened connections.
    [[nodiscard]] virtual Result<> answer_all() { return Unit{}; }
    // How many connections it has established; none if it places none.
    [[nodiscard]] virtual std::optional<std::uint64_t> connections() const { return {}; }

    // Several meters may send to one program, at once too.
    void sent(std::uint64_t packets) { packets_ += packets; }
    void opened(std::uint64_t flows) { flows_ += flows; }
    [[nodiscard]] Result<> check() const
    {
        if (auto r = check_all_went(packets_); !r)
            return r;
        const auto established = connections();
        if (established && *established != flows_)
            return Error{.what = "it established " + std::to_string(*established) +
                                 " connections instead of " + std::to_string(flows_)};
        return Unit{};
    }

private:
    std::atomic<std::uint64_t> packets_ = 0, flows_ = 0;
};

} // namespace evnf::bench
