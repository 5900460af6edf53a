// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/conn_verbs.hpp"

#include <arpa/inet.h>

#include <limits>
#include <set>

#include "base/net.hpp"
#include "base/text.hpp"
#include "vnfs/elb/ports.hpp"

namespace evnf::elb
{

namespace
{

using Known = Connections::Known;

// Which connections are meant; what is not given is any.
struct Filter {
    std::optional<std::pair<Address, Ports>> service;
    std::optional<Endpoint> backend; // without a port: any
    std::optional<Address> client;

    [[nodiscard]] bool takes(const Known &k) const
    {
        return (!service || (service->first == Address(k.flow.daddr) &&
                             service->second.contains(ntohs(k.flow.dport)))) &&
               (!backend || (backend->address == Address(k.there.addr) &&
                             (!backend->port || backend->port == ntohs(k.there.port)))) &&
               (!client || *client == Address(k.flow.saddr));
    }
};

Result<> take(Filter &filter, const std::string &key, const std::string &text)
{
    if (key == "client") {
        auto address = Address::parse(text);
        if (!address)
            return bad_input(address.error().what, "/client", 0, text.size());
        filter.client = *address;
        return Unit{};
    }
    const auto refused = [&](const Error &e) {
        return bad_input(e.what, "/" + key, 0, text.size());
    };
    if (key == "service") {
        auto service = parse_service(text);
        if (!service)
            return refused(service.error());
        filter.service = *std::move(service);
        return Unit{};
    }
    auto backend = parse_backend(text);
    if (!backend)
        return refused(backend.error());
    filter.backend = *backend;
    return Unit{};
}

const std::set<std::string> filter_keys{"service", "backend", "client"};

const char *state_of(const Known &k)
{
    const unsigned there = k.there.flags, back = k.back ? k.back->flags : 0U;
    if ((there | back) & ELB_SEEN_RST || there & back & ELB_SEEN_FIN)
        return "closed";
    return there | back ? "closing" : "established";
}

std::string endpoint(const ip_addr &a, __be16 port)
{
    return Endpoint{Address(a), ntohs(port)}.text();
}

Result<json> list(const Connections &connections, const Request &request)
{
    Filter filter;
    std::uint32_t from = 0;
    for (const auto &[key, text] : request.query) {
        if (key == "from") {
            auto n = parse_number(text, 0, std::numeric_limits<std::uint32_t>::max(), "from");
            if (!n)
                return n.error();
            from = static_cast<std::uint32_t>(*n);
        } else if (filter_keys.contains(key)) {
            if (auto r = take(filter, key, text); !r)
                return r.error();
        }
    }
    const auto page = connections.page(from);
    if (!page)
        return page.error();
    json out{{"connections", json::array()}};
    for (const auto &k : page->connections) {
        if (!filter.takes(k))
            continue;
        out["connections"].push_back({{"protocol", protocol_text(k.flow.proto)},
                                      {"client", endpoint(k.flow.saddr, k.flow.sport)},
                                      {"service", endpoint(k.flow.daddr, k.flow.dport)},
                                      {"backend", endpoint(k.there.addr, k.there.port)},
                                      {"state", state_of(k)},
                                      {"silent_s", connections.silent(k)}});
        if (k.there.forward == ELB_SOURCE_NAT)
            out["connections"].back()["source"] = endpoint(k.there.far.addr, k.there.far.port);
    }
    if (page->next)
        out["next"] = *page->next;
    return out;
}

Result<json> flush(Connections &connections, const Request &request)
{
    constexpr const char *example =
        R"({"service": "192.0.2.10:80", "backend": "10.0.2.11:8080", "client": "198.51.100.7"}, )"
        "or some of them, or {} for all";
    Filter filter;
    if (!request.body.is_object())
        return bad_input(std::string("the body is ") + example);
    for (const auto &[key, value] : request.body.items()) {
        if (!filter_keys.contains(key) || !value.is_string())
            return bad_input(in_quotes(key) + ": the body is " + example, "/" + key);
        if (auto r = take(filter, key, value.get<std::string>()); !r)
            return r.error();
    }
    std::size_t forgotten = 0;
    for (std::optional<std::uint32_t> from = 0; from;) {
        const auto page = connections.page(*from);
        if (!page)
            return page.error();
        for (const auto &k : page->connections)
            if (filter.takes(k)) {
                connections.forget(k);
                ++forgotten;
            }
        from = page->next;
    }
    return json{{"forgotten", forgotten}};
}

} // namespace

std::vector<LiveRoute> connection_routes(std::function<Connections &(FastPath &)> of)
{
    return {{"GET", "/connections",
             [of](FastPath &f, const Request &request) { return list(of(f), request); }},
            {"POST", "/connections/flush",
             [of](FastPath &f, const Request &request) { return flush(of(f), request); }}};
}

} // namespace evnf::elb
