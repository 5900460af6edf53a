// SPDX-License-Identifier: GPL-2.0-or-later
// The words that say which packets to trace, as in tcpdump:
//
//   [ip|ip6] [tcp|udp|sctp|icmp|icmp6|proto N] [src|dst] host ADDRESS|net PREFIX|port N
//
// in any order, joined by blanks or `and`; all of them must hold. `src ADDRESS` is
// short for `src host ADDRESS`, and no word at all asks for every packet.
#pragma once

#include <string_view>

#include "abi/trace.h"
#include "base/result.hpp"

namespace evnf::filter
{

// An error names the word at fault with its offset and length in `text`.
Result<trace_filter> parse_filter(std::string_view text);

} // namespace evnf::filter
