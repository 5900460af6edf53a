// SPDX-License-Identifier: GPL-2.0-or-later
// Applications by the names that people give them.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>

namespace evnf::edpi
{

inline std::string lower(std::string text)
{
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

// Whether an application such as "TLS.Google" is one that `name`, in small letters, means: it
// all, or a part of it.
inline bool has_part(const std::string &application, const std::string &name)
{
    return ("." + lower(application) + ".").find("." + name + ".") != std::string::npos;
}

} // namespace evnf::edpi
