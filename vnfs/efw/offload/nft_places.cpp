// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/nft_places.hpp"

namespace evnf::efw::offload
{

std::vector<NftItem> nft_places(std::string_view text)
{
    // How many braces and brackets are open before an item, {"rule": {"expr": [EXPRESSION]}}.
    constexpr std::size_t item = 2, expression = item + 3;
    std::vector<NftItem> out;
    std::string open;
    Place at{1, 0};
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        ++at.column;
        if (c == '\n')
            at = {at.line + 1, 0};
        if (quoted && c == '\\') {
            ++i, ++at.column;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == '{' || c == '[')) {
            const bool listed = open.ends_with('[') && c == '{';
            if (listed && open.size() == item)
                out.push_back({at, {}});
            else if (listed && open.size() == expression && !out.empty())
                out.back().expressions.push_back(at);
            open += c;
        } else if (!quoted && (c == '}' || c == ']') && !open.empty()) {
            open.pop_back();
        }
    }
    return out;
}

} // namespace evnf::efw::offload
