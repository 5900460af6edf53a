// SPDX-License-Identifier: GPL-2.0-or-later
// Attributes of a netlink message or of a nest in one, by type. One that is too short for
// what is asked of it counts as not there.
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace evnf
{

template <std::size_t N>
class Attributes
{
public:
    Attributes(const nlmsghdr *h, std::size_t header)
    {
        mnl_attr_parse(h, static_cast<unsigned>(header), keep, this);
    }
    explicit Attributes(const nlattr *nest) { mnl_attr_parse_nested(nest, keep, this); }
    const nlattr *operator[](unsigned type) const { return type < N ? by_type_[type] : nullptr; }
    [[nodiscard]] std::uint32_t u32(unsigned type) const
    {
        const auto *a = (*this)[type];
        return a && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
    }
    [[nodiscard]] std::optional<std::uint64_t> u64(unsigned type) const
    {
        const auto *a = (*this)[type];
        if (!a || mnl_attr_get_payload_len(a) < 8)
            return std::nullopt;
        return mnl_attr_get_u64(a);
    }
    [[nodiscard]] std::string text(unsigned type) const
    {
        const auto *a = (*this)[type];
        if (!a || mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
            return "";
        return mnl_attr_get_str(a);
    }

private:
    static int keep(const nlattr *a, void *self)
    {
        const auto type = mnl_attr_get_type(a);
        if (type < N)
            static_cast<Attributes *>(self)->by_type_[type] = a;
        return MNL_CB_OK;
    }
    std::array<const nlattr *, N> by_type_{};
};

} // namespace evnf
