// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/names.hpp"

#include <netinet/in.h>

#include <array>

#include "abi/pkt.h"

namespace evnf::match
{

namespace
{

constexpr std::array icmp{
    Name{"echo-reply", 0},           Name{"destination-unreachable", 3},
    Name{"source-quench", 4},        Name{"redirect", 5},
    Name{"echo-request", 8},         Name{"router-advertisement", 9},
    Name{"router-solicitation", 10}, Name{"time-exceeded", 11},
    Name{"parameter-problem", 12},   Name{"timestamp-request", 13},
    Name{"timestamp-reply", 14},     Name{"info-request", 15},
    Name{"info-reply", 16},          Name{"address-mask-request", 17},
    Name{"address-mask-reply", 18},
};

constexpr std::array icmpv6{
    Name{"destination-unreachable", 1}, Name{"packet-too-big", 2},
    Name{"time-exceeded", 3},           Name{"parameter-problem", 4},
    Name{"echo-request", 128},          Name{"echo-reply", 129},
    Name{"mld-listener-query", 130},    Name{"mld-listener-report", 131},
    Name{"mld-listener-done", 132},     Name{"mld-listener-reduction", 132},
    Name{"nd-router-solicit", 133},     Name{"nd-router-advert", 134},
    Name{"nd-neighbor-solicit", 135},   Name{"nd-neighbor-advert", 136},
    Name{"nd-redirect", 137},           Name{"router-renumbering", 138},
    Name{"ind-neighbor-solicit", 141},  Name{"ind-neighbor-advert", 142},
    Name{"mld2-listener-report", 143},
};

constexpr std::array dscp{
    Name{"cs0", 0},   Name{"be", 0},    Name{"df", 0},    Name{"lephb", 1}, Name{"cs1", 8},
    Name{"af11", 10}, Name{"af12", 12}, Name{"af13", 14}, Name{"cs2", 16},  Name{"af21", 18},
    Name{"af22", 20}, Name{"af23", 22}, Name{"cs3", 24},  Name{"af31", 26}, Name{"af32", 28},
    Name{"af33", 30}, Name{"cs4", 32},  Name{"af41", 34}, Name{"af42", 36}, Name{"af43", 38},
    Name{"cs5", 40},  Name{"va", 44},   Name{"ef", 46},   Name{"cs6", 48},  Name{"cs7", 56},
};

constexpr std::array fragment{
    Name{"none", PKT_FRAG_NONE},
    Name{"first", PKT_FRAG_FIRST},
    Name{"later", PKT_FRAG_LATER},
};

constexpr std::array tcp_flags{
    Name{"fin", 0x01}, Name{"syn", 0x02}, Name{"rst", 0x04}, Name{"psh", 0x08},
    Name{"ack", 0x10}, Name{"urg", 0x20}, Name{"ecn", 0x40}, Name{"cwr", 0x80},
};

} // namespace

NameTable icmp_types(std::uint8_t protocol)
{
    return protocol == IPPROTO_ICMPV6 ? NameTable(icmpv6) : NameTable(icmp);
}

NameTable dscp_names()
{
    return dscp;
}

NameTable fragment_names()
{
    return fragment;
}

NameTable tcp_flag_names()
{
    return tcp_flags;
}

std::optional<std::uint8_t> value_named(NameTable names, std::string_view name)
{
    for (const auto &n : names)
        if (n.name == name)
            return n.value;
    return std::nullopt;
}

std::string_view name_of(NameTable names, unsigned value)
{
    for (const auto &n : names)
        if (n.value == value)
            return n.name;
    return {};
}

} // namespace evnf::match
