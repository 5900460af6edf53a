// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/field.hpp"

namespace evnf::match
{

namespace
{

constexpr int address_bytes = sizeof(ip_addr);

// Adds `step`, 1 or -1, to the address as a number.
Address moved(const Address &a, int step)
{
    ip_addr raw = a.raw();
    auto *bytes = reinterpret_cast<std::uint8_t *>(&raw);
    const std::uint8_t wraps_to = step > 0 ? 0x00 : 0xff;
    for (int i = address_bytes - 1; i >= 0; --i) {
        bytes[i] = static_cast<std::uint8_t>(bytes[i] + step);
        if (bytes[i] != wraps_to)
            break;
    }
    return Address(raw);
}

} // namespace

Address Space<Address>::greatest()
{
    return Address(ip_addr{{~0U, ~0U, ~0U, ~0U}});
}

Address Space<Address>::after(const Address &a)
{
    return moved(a, 1);
}

Address Space<Address>::before(const Address &a)
{
    return moved(a, -1);
}

Range<Address> range_of(const Prefix &prefix)
{
    ip_addr last = prefix.address.raw();
    auto *bytes = reinterpret_cast<std::uint8_t *>(&last);
    const unsigned fixed = prefix.length + (prefix.address.is_v4() ? 96U : 0U);
    for (unsigned i = fixed; i < 8U * address_bytes; ++i)
        bytes[i / 8] = static_cast<std::uint8_t>(bytes[i / 8] | 0x80U >> i % 8);
    return {prefix.address, Address(last)};
}

Prefix covering(const Range<Address> &range)
{
    ip_addr first = range.first.raw();
    const ip_addr last = range.last.raw();
    auto *low = reinterpret_cast<std::uint8_t *>(&first);
    const auto *high = reinterpret_cast<const std::uint8_t *>(&last);
    const unsigned mapped = range.first.is_v4() ? 96 : 0;
    unsigned common = 0;
    while (common < 8U * address_bytes &&
           ((low[common / 8] ^ high[common / 8]) & 0x80U >> common % 8) == 0)
        ++common;
    for (unsigned i = common; i < 8U * address_bytes; ++i)
        low[i / 8] = static_cast<std::uint8_t>(low[i / 8] & ~(0x80U >> i % 8));
    return {Address(first), common - mapped};
}

} // namespace evnf::match
