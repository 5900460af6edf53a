// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/text.hpp"
#include "vnfs/elb/monitor/weights.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

constexpr unsigned longest_deadline = 7 * 24 * 3600;

// Only elb's fast path comes with elb's routes, and it has weights.
HasWeights &weighed(FastPath &fast_path)
{
    return dynamic_cast<HasWeights &>(fast_path);
}

Weights &weights_of(FastPath &fast_path)
{
    return weighed(fast_path).weights();
}

// Whoever is answered may rely on it: the next connection is placed by what was said.
Result<json> in_force(FastPath &fast_path, json reply)
{
    if (auto r = weighed(fast_path).reweigh(); !r)
        return std::move(r).context("it is noted, and done within half a second").error();
    return reply;
}

json named(const BackendKey &key)
{
    return {{"service", key.first}, {"backend", key.second}};
}

Result<json> show_health(FastPath &fast_path, const Request &)
{
    return weights_of(fast_path).health();
}

Result<json> show_feedback(FastPath &fast_path, const Request &)
{
    return weights_of(fast_path).feedback();
}

Result<json> drain(FastPath &fast_path, const Request &request)
{
    Weights &weights = weights_of(fast_path);
    auto key = weights.find(request);
    if (!key)
        return key.error();
    const json body = request.body.is_null() ? json::object() : request.body;
    const TableReader reader(body, "");
    if (auto r = reader.only({"deadline", "reset"}, "a drain"); !r)
        return r.error();
    json reply = named(*key);
    std::optional<double> deadline;
    if (reader.has("deadline")) {
        auto seconds = reader.number("deadline", 1, longest_deadline);
        if (!seconds)
            return seconds.error();
        deadline = *seconds;
        reply["deadline"] = *seconds;
    }
    auto resets = reader.flag("reset", false);
    if (!resets)
        return resets.error();
    if (*resets && !deadline)
        return bad_input("what is left is reset at a deadline: give one", "/reset");
    if (*resets)
        reply["reset"] = true;
    weights.monitor()->drain(*key, deadline, *resets);
    return in_force(fast_path, std::move(reply));
}

Result<json> undrain(FastPath &fast_path, const Request &request)
{
    Weights &weights = weights_of(fast_path);
    auto key = weights.find(request);
    if (!key)
        return key.error();
    if (!weights.monitor()->undrain(*key))
        return Error{.code = ENOENT,
                     .what = "backend " + key->second + " of " + key->first + " does not drain"};
    return in_force(fast_path, named(*key));
}

} // namespace

// The backend that a path names.
Result<BackendKey> Weights::find(const Request &request) const
{
    auto protocol = parse_protocol(request.words.at(0));
    if (!protocol)
        return protocol.error();
    auto service = parse_service(request.words.at(1));
    if (!service)
        return service.error();
    auto backend = parse_backend(request.words.at(2));
    if (!backend)
        return backend.error();
    const std::string name = Service{service->first, service->second, *protocol, {}}.name();
    if (!backend->port)
        backend->port = service->second.one().value_or(0);
    for (const auto &s : watched_) {
        if (s.name != name)
            continue;
        for (const auto &b : s.backends)
            if (b.endpoint == *backend)
                return BackendKey(name, backend->text());
        return Error{.code = ENOENT, .what = name + " has no backend " + backend->text()};
    }
    return Error{.code = ENOENT, .what = "there is no service " + name};
}

std::vector<LiveRoute> weights_routes()
{
    const std::string backend = "/services/([a-z]+)/([^/]+)/backends/([^/]+)";
    return {{"GET", "/health", show_health},
            {"GET", "/feedback", show_feedback},
            {"PUT", backend + "/drain", drain},
            {"DELETE", backend + "/drain", undrain}};
}

} // namespace evnf::elb
