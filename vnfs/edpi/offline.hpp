// SPDX-License-Identifier: GPL-2.0-or-later
// The whole of edpi without an interface: packets go through the root and the stage by
// BPF_PROG_TEST_RUN, and their copies to the flows as a worker gives them.
#pragma once

#include <memory>
#include <span>

#include "vnfs/edpi/flows.hpp"

namespace evnf::edpi
{

class Offline
{
public:
    // `section` has been checked.
    static Result<std::unique_ptr<Offline>> start(const json &section);
    ~Offline();
    Offline(const Offline &) = delete;
    Offline &operator=(const Offline &) = delete;

    // An Ethernet frame, at a time of any clock; its copy is inspected at once, so that what
    // comes out is always the same. False if the stage has not had it: it is no IP packet,
    // malformed, or longer than an XDP program takes.
    Result<bool> run(std::span<const std::uint8_t> frame, std::uint64_t ms);
    // The two halves of that; a thread may send while another inspects what is in the ring.
    Result<> send(std::span<const std::uint8_t> frame);
    void inspect(std::uint64_t ms);
    // All flows ended: their records, in the order of their first packets.
    std::vector<json> finish();
    [[nodiscard]] const Flows &flows() const;

private:
    struct Loaded;
    explicit Offline(std::unique_ptr<Loaded> loaded);
    std::unique_ptr<Loaded> loaded_;
};

} // namespace evnf::edpi
