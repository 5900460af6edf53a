// SPDX-License-Identifier: GPL-2.0-or-later
// Records as IPFIX (RFC 7011): bidirectional flows (RFC 5103), with the application's id, whose
// name is told in an options record (RFC 6759) before the first flow that has it.
// docs/edpi.md lists the elements.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace evnf::edpi
{

// Also a line of JSON, which has no sequence number.
struct Message {
    std::string bytes;
    std::uint32_t records = 0; // that sequence numbers count

    void set_sequence(std::uint32_t sequence);
};

class IpfixEncoder
{
public:
    IpfixEncoder();
    ~IpfixEncoder();
    IpfixEncoder(const IpfixEncoder &) = delete;
    IpfixEncoder &operator=(const IpfixEncoder &) = delete;

    // Who listens needs these first: templates, and the names told so far.
    std::vector<Message> preamble();
    // A record as flow_json() and unaccounted_json() make it.
    Message encode(const nlohmann::json &record);
    // The message that was encoded last will be sent: what it told need not be told again.
    void taken();

private:
    using Names = std::map<std::string, std::string>;
    struct Told {
        Names names; // of applications, by their ids in IPFIX
        std::uint64_t unaccounted_packets = 0, unaccounted_bytes = 0;
    };
    struct Library;

    std::unique_ptr<Library> library_;
    Told told_; // so far
    Told next_; // by the message that was encoded last, if it is sent
};

} // namespace evnf::edpi
