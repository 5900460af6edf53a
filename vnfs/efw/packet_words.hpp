// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a packet's text that stand for numbers.
#pragma once

#include <array>
#include <string_view>

#include "match/match.hpp"

namespace evnf::efw
{

struct Named {
    std::string_view name;
    unsigned value;
};
inline constexpr std::array flag_names{Named{"fin", 0x01}, Named{"syn", 0x02}, Named{"rst", 0x04},
                                       Named{"psh", 0x08}, Named{"ack", 0x10}, Named{"urg", 0x20},
                                       Named{"ecn", 0x40}, Named{"cwr", 0x80}};

struct KeyName {
    std::string_view name;
    match::SetKey key;
};
inline constexpr std::array key_names{KeyName{"saddr", match::SetKey::saddr},
                                      KeyName{"daddr", match::SetKey::daddr},
                                      KeyName{"sport", match::SetKey::sport},
                                      KeyName{"dport", match::SetKey::dport},
                                      KeyName{"saddr.sport", match::SetKey::saddr_sport},
                                      KeyName{"daddr.dport", match::SetKey::daddr_dport}};

} // namespace evnf::efw
