// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/destination.hpp"

#include <sys/un.h>

#include <map>

#include "base/text.hpp"

namespace evnf::edpi
{

Result<Destination> Destination::parse(const std::string &text)
{
    static const std::map<std::string, std::pair<Kind, bool>> schemes{
        {"file", {Kind::file, false}},    {"unix", {Kind::local, false}},
        {"tcp", {Kind::tcp, false}},      {"ipfix-udp", {Kind::udp, true}},
        {"ipfix-tcp", {Kind::tcp, true}},
    };
    if (text.empty())
        return Destination{};
    if (text == "stdout")
        return Destination{.kind = Kind::standard, .path = {}, .endpoint = {}};
    const auto colon = text.find(':');
    const std::string name = text.substr(0, colon);
    const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
    const auto scheme = schemes.find(name);
    if (scheme == schemes.end())
        return bad_input(in_quotes(text) + " is no place for records: stdout, file:/PATH, "
                                           "unix:/PATH, tcp:ADDRESS:PORT, ipfix-udp:ADDRESS:PORT "
                                           "or ipfix-tcp:ADDRESS:PORT",
                         "", 0, text.size());
    const auto [kind, ipfix] = scheme->second;
    if (kind == Kind::tcp || kind == Kind::udp) {
        auto endpoint = Endpoint::parse(rest);
        if (!endpoint)
            return bad_input(endpoint.error().what, "", colon + 1, rest.size());
        return Destination{.kind = kind, .ipfix = ipfix, .path = {}, .endpoint = *endpoint};
    }
    if (rest.empty() || rest[0] != '/')
        return bad_input("the path begins with /, as in " + name + ":/run/records", "",
                         name.size() + 1, rest.size());
    if (kind == Kind::local && rest.size() >= sizeof(sockaddr_un::sun_path))
        return bad_input("the path of a socket has at most " +
                             std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes",
                         "", name.size() + 1, rest.size());
    return Destination{.kind = kind, .path = rest, .endpoint = {}};
}

} // namespace evnf::edpi
