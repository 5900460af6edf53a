// SPDX-License-Identifier: GPL-2.0-or-later
// Files of rules, of elements and of captured packets; the first byte says which.
#include <algorithm>

#include "fuzz/file.hpp"
#include "fuzz/target.hpp"
#include "vnfs/efw/pcap.hpp"
#include "vnfs/efw/rule_file.hpp"
#include "vnfs/efw/set_file.hpp"

using namespace evnf;

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (!size)
        return 0;
    const fuzz::File file(data + 1, size - 1);
    const std::string path = file.path();
    switch (data[0] % 5) {
    case 0:
        if (const auto frames = efw::read_pcap(path))
            for (const auto &frame : *frames)
                REQUIRE(frame.size() <= std::max<std::size_t>(size, 4096));
        break;
    case 1:
        if (const auto rules = efw::read_rule_file(path))
            for (const auto &rule : *rules)
                REQUIRE(rule.line >= 1 && rule.text.size() <= size);
        break;
    default:
        const auto type = static_cast<efw::SetType>(data[0] % 5 - 2);
        if (const auto elements = efw::read_set_file(path, type))
            for (const auto &element : *elements)
                REQUIRE(efw::parse_element(efw::element_text(element, type), type));
    }
    return 0;
}
