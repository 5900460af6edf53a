// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes in JSON: base64, RFC 4648 section 4.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evnf
{

inline constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline std::string base64(std::span<const std::uint8_t> bytes)
{
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t n = bytes.size() - i < 3 ? bytes.size() - i : 3;
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k)
            group = group << 8 | (k < n ? bytes[i + k] : 0U);
        for (std::size_t k = 0; k < 4; ++k)
            out += k <= n ? base64_digits[group >> (18 - 6 * k) & 63] : '=';
    }
    return out;
}

// Nothing if it is not base64.
inline std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text)
{
    std::vector<std::uint8_t> out;
    if (text.size() % 4)
        return std::nullopt;
    for (std::size_t i = 0; i < text.size(); i += 4) {
        std::string_view digits = text.substr(i, 4);
        while (i + 4 == text.size() && digits.size() > 2 && digits.back() == '=')
            digits.remove_suffix(1);
        std::uint32_t group = 0;
        for (const char digit : digits) {
            const auto value = base64_digits.find(digit);
            if (value == base64_digits.npos)
                return std::nullopt;
            group = group << 6 | static_cast<std::uint32_t>(value);
        }
        group <<= 6 * (4 - digits.size());
        for (std::size_t k = 0; k + 1 < digits.size(); ++k)
            out.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * k)));
    }
    return out;
}

} // namespace evnf
