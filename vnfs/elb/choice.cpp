// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/choice.hpp"

#include "vnfs/elb/timeouts.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

Result<Choice> read_choice(const json &table, const std::string &where, unsigned family)
{
    const TableReader reader(table, where);
    const auto balance = reader.word("balance", {"weights", "least_connections"}, "weights");
    if (!balance)
        return balance.error();
    const auto affinity = reader.word("affinity", {"none", "source"}, "none");
    if (!affinity)
        return affinity.error();
    Choice out;
    out.least_connections = *balance == "least_connections";
    out.by_source = *affinity == "source";
    if (!out.by_source) {
        for (const char *key : {"affinity_prefix", "affinity_timeout"})
            if (reader.has(key))
                return bad_input(std::string(key) + " is of affinity = \"source\", which is not "
                                                    "set",
                                 reader.at(key));
        return out;
    }
    const unsigned bits = family == 4 ? 32 : 128;
    if (auto r = take(out.prefix, reader.number("affinity_prefix", 1, bits, bits)); !r)
        return r.error();
    if (auto r =
            take(out.timeout, reader.number("affinity_timeout", 1, longest_timeout, out.timeout));
        !r)
        return r.error();
    return out;
}

} // namespace evnf::elb
