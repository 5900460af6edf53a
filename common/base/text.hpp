// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace evnf
{

// 'text', as messages show what a person wrote.
inline std::string in_quotes(std::string_view text)
{
    return "'" + std::string(text) + "'";
}

} // namespace evnf
