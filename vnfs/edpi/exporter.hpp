// SPDX-License-Identifier: GPL-2.0-or-later
// Where records go, a line of JSON each. What cannot be written now is refused, whole, for the
// caller to try again: nothing is dropped here.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "base/fd.hpp"
#include "base/net.hpp"
#include "base/result.hpp"

namespace evnf::edpi
{

// "stdout", "file:/PATH", "unix:/PATH" or "tcp:ADDRESS:PORT".
struct Destination {
    enum class Kind { none, standard, file, local, tcp };

    Kind kind = Kind::none;
    std::string path;  // of a file or a socket
    Endpoint endpoint; // of TCP

    static Result<Destination> parse(const std::string &text);
};

class Exporter
{
public:
    explicit Exporter(Destination to) : to_(std::move(to)) {}

    // Whether records can go there: for a file; who listens may come later.
    Result<> check();
    bool put(const nlohmann::json &record);

private:
    using Clock = std::chrono::steady_clock;

    Result<> open_file();
    Result<> connect();
    bool ready();
    bool write_file(const std::string &line) const;
    bool write_stream(std::string line);
    void complain(const std::string &what);

    Destination to_;
    Fd fd_;
    Clock::time_point looked_{};  // when it was opened, or tried last
    std::string rest_;            // of a line that a stream has begun to take
    std::string begun_;           // that line
    Clock::time_point stalled_{}; // when a stream took no more
    bool complained_ = false;
};

} // namespace evnf::edpi
