// SPDX-License-Identifier: GPL-2.0-or-later
// What drivers are known for, where the kernel cannot be asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace evnf::preflight
{

// Of the kernel.
struct Version {
    unsigned major = 0, minor = 0;
    friend auto operator<=>(const Version &, const Version &) = default;
};
// None for what is no release, such as "6.1.0-26-amd64".
std::optional<Version> parse_version(std::string_view release);
std::string text_of(Version version);

struct Driver {
    std::string_view name; // as ethtool(8) has it
    Version native_since;  // major 0: it has none
    // The largest MTU at which it takes a program that sees a frame in one piece, on pages of
    // 4096 bytes. 0: not known.
    unsigned max_mtu = 0;
    bool refuses_lro = false; // takes no program while it is on
    // Queues that receive are at most half of all, since each needs one that XDP sends by.
    bool half_queues = false;
    bool only_combined = false; // queues that receive and send are the same
    bool keeps_link = false;    // while the number of its queues changes
};

// Null if it is not known.
const Driver *find_driver(std::string_view name);
// Whether links of this ip-link(8) kind are without native XDP in every kernel.
bool is_generic_kind(std::string_view kind);

// The room in a page for a frame's IP packet, beside what XDP needs: 256 bytes before the frame,
// the kernel's skb_shared_info after it.
unsigned one_page_mtu(std::uint64_t page_size);

} // namespace evnf::preflight
