// SPDX-License-Identifier: GPL-2.0-or-later
// Where records go, as lines of JSON or as IPFIX messages. What cannot be written now is refused,
// whole, for the caller to try again: nothing is dropped here. What a collector has taken when it
// goes away may be lost, and is counted as far as it can be known.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "vnfs/edpi/destination.hpp"
#include "vnfs/edpi/ipfix.hpp"
#include "vnfs/edpi/transit.hpp"

namespace evnf::edpi
{

class Exporter
{
public:
    explicit Exporter(Destination to);

    // Whether records can go there: for a file; who listens may come later.
    Result<> check();
    bool put(const nlohmann::json &record);
    // Records that were put, and then did not arrive: since this was asked last.
    std::uint64_t lost() { return std::exchange(lost_, 0); }

private:
    using Clock = std::chrono::steady_clock;

    Result<> open_file();
    Result<> connect();
    bool ready();
    Message encode(const nlohmann::json &record) const;
    bool write_file(const std::string &line) const;
    bool write_datagram(Message message);
    bool write_stream(Message message);
    std::vector<Message> preamble();
    void begin_stream();
    void stamp(Message &message) const;
    [[nodiscard]] bool peer_has_gone() const;
    void hang_up(const std::string &why);
    void complain(const std::string &what);

    Destination to_;
    std::uint64_t lost_ = 0;
    std::unique_ptr<IpfixEncoder> ipfix_; // null: JSON
    std::uint32_t sequence_ = 0;          // of the next IPFIX message
    Fd fd_;
    Clock::time_point looked_{};  // when it was opened, or tried last
    Clock::time_point stalled_{}; // when a socket took no more
    bool complained_ = false;

    // Of a stream.
    std::string rest_;           // what it has begun to take, and not taken
    std::size_t begun_size_ = 0; // of all of that
    Message begun_;              // the record at its end
    Transit transit_;

    // Of datagrams.
    Clock::time_point told_{}; // when templates were sent
    bool under_way_ = false;   // the last one was a record
};

} // namespace evnf::edpi
