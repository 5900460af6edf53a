// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/timeouts.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

struct Key {
    const char *name;
    std::uint32_t Timeouts::*seconds;
};
constexpr std::array keys{
    Key{"opening", &Timeouts::opening},
    Key{"tcp_established", &Timeouts::tcp_established},
    Key{"sctp_established", &Timeouts::sctp_established},
    Key{"fin_wait", &Timeouts::fin_wait},
    Key{"close", &Timeouts::close},
    Key{"udp", &Timeouts::udp},
};

// With what a checked table says.
Timeouts with(Timeouts timeouts, const json &table)
{
    for (const auto &key : keys)
        if (table.is_object())
            timeouts.*key.seconds = table.value(key.name, timeouts.*key.seconds);
    return timeouts;
}

} // namespace

Result<> check_timeouts(const json &table, const std::string &where, TimeoutLevel level)
{
    if (!table.is_object())
        return bad_input("timeouts are a table, such as { tcp_established = 7200 }", where);
    const TableReader reader(table, where);
    std::set<std::string> names;
    for (const auto &key : keys)
        names.insert(key.name);
    if (auto r = reader.only(names, "timeouts"); !r)
        return r;
    for (const auto &key : keys)
        if (reader.has(key.name))
            if (auto seconds = reader.number(key.name, 1, longest_timeout); !seconds)
                return seconds.error();
    if (level == TimeoutLevel::service && reader.has("opening"))
        return bad_input("opening counts for all services: give it in [elb.timeouts]",
                         reader.at("opening"));
    return Unit{};
}

BackendTimeouts timeouts_of(const json &section)
{
    BackendTimeouts out(with({}, section.value("timeouts", json())));
    for (std::size_t i = 0; i < section["service"].size(); ++i)
        if (const auto own = own_timeouts(section, i))
            for (const auto &backend : section["service"][i]["backends"])
                out.own[backend["id"].get<unsigned>()] = *own;
    return out;
}

std::optional<Timeouts> own_timeouts(const json &section, std::size_t service)
{
    const json &table = section["service"][service];
    if (!table.contains("timeouts"))
        return {};
    return with(with({}, section.value("timeouts", json())), table["timeouts"]);
}

json to_json(const Timeouts &timeouts)
{
    json out;
    for (const auto &key : keys)
        out[key.name] = timeouts.*key.seconds;
    return out;
}

std::uint32_t timeout_of(const Timeouts &timeouts, std::uint8_t protocol, unsigned to_backend,
                         unsigned to_client)
{
    if (protocol == IPPROTO_UDP)
        return timeouts.udp;
    if (to_backend & to_client & ELB_SEEN_FIN || (to_backend | to_client) & ELB_SEEN_RST)
        return timeouts.close;
    if (to_backend | to_client)
        return timeouts.fin_wait;
    return protocol == IPPROTO_SCTP ? timeouts.sctp_established : timeouts.tcp_established;
}

std::uint32_t least_timeout(const Timeouts &timeouts)
{
    return std::min({timeouts.tcp_established, timeouts.sctp_established, timeouts.fin_wait,
                     timeouts.close, timeouts.udp});
}

} // namespace evnf::elb
