// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/api.hpp"

#include <grp.h>
#include <httplib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "base/log.hpp"
#include "daemon/serving.hpp"
#include "openapi.h"

namespace evnf
{

namespace
{

constexpr std::size_t max_body = 128 << 20; // the elements of the greatest set
constexpr auto max_wait = std::chrono::seconds(10);

// The body as JSON; null for none.
Result<json> body_of(const httplib::Request &request)
{
    if (request.body.empty())
        return json();
    json body = json::parse(request.body, nullptr, false);
    if (body.is_discarded())
        return bad_input("the body is not JSON");
    return body;
}

// What is misspelt changes nothing.
bool is_dry_run(const httplib::Request &request)
{
    return request.has_param("dry_run") && request.get_param_value("dry_run") != "false";
}

Result<json> reply(const Daemon::Changes &changes, bool dry_run)
{
    if (!changes)
        return changes.error();
    return json{{"changes", *changes}, {"applied", !dry_run}};
}

Result<json> set_chain(Daemon &daemon, const httplib::Request &request)
{
    auto body = body_of(request);
    if (!body)
        return body.error();
    const bool dry_run = is_dry_run(request);
    return reply(daemon.set_chain(request.matches[1], *body, dry_run), dry_run);
}

Result<json> roll_back(Daemon &daemon, const httplib::Request &request)
{
    auto body = body_of(request);
    if (!body)
        return body.error();
    const json given = body->is_null() ? json::object() : *body;
    const json to = given.is_object() ? given.value("to", json()) : json();
    if (!given.is_object() || given.size() != given.count("to"))
        return bad_input("a rollback is {\"to\": NUMBER}, or {} for the change before the last");
    if (given.contains("to") && !to.is_number_unsigned())
        return bad_input("to is the number of a change, as in /v1/history", "/to");
    const bool dry_run = is_dry_run(request);
    const auto number = to.is_null() ? std::nullopt : std::optional(to.get<std::uint64_t>());
    return reply(daemon.roll_back(number, dry_run), dry_run);
}

} // namespace

Result<std::unique_ptr<Api>> Api::listen(const std::string &socket_path, Loop &loop, Daemon &daemon)
{
    if (socket_path.size() >= sizeof(sockaddr_un::sun_path))
        return bad_input(socket_path +
                         " is too long for a Unix socket: choose a shorter --run-dir");
    std::unique_ptr<Api> api(new Api(socket_path, loop, daemon));
    api->add_routes();
    if (auto r = api->open_socket(); !r)
        return std::move(r).context("control socket " + socket_path).error();
    return api;
}

Api::Api(std::string socket_path, Loop &loop, Daemon &daemon)
    : socket_path_(std::move(socket_path)),
      loop_(loop),
      daemon_(daemon),
      serving_(std::make_unique<Serving>())
{
}

Api::~Api()
{
    serving_->ending = true;
    serving_->server.stop();
    if (serving_->thread.joinable())
        serving_->thread.join();
    ::unlink(socket_path_.c_str());
}

// The socket exists with its final mode from the first moment: nobody else gets in
// between. One that a killed daemon left is taken away; its lock is ours.
Result<> Api::open_socket()
{
    if (::unlink(socket_path_.c_str()) && errno != ENOENT)
        return sys_error("remove the old one");
    auto &server = serving_->server;
    server.set_address_family(AF_UNIX);
    server.set_payload_max_length(max_body);
    server.set_read_timeout(max_wait);
    server.set_keep_alive_max_count(1); // a client that stays must not hold a thread
    const mode_t before = ::umask(0117);
    const bool bound = server.bind_to_port(socket_path_, 80);
    ::umask(before);
    if (!bound)
        return sys_error("listen");
    const group *g = ::getgrnam("evnf");
    if (g && ::chown(socket_path_.c_str(), static_cast<uid_t>(-1), g->gr_gid))
        return sys_error("give it to the group evnf");
    serving_->thread = std::thread([this] { serving_->server.listen_after_bind(); });
    // Until then stop() does nothing, and whoever waits for the thread would wait for ever.
    while (!server.is_running())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Unit{};
}

void Api::add_routes()
{
    auto &server = serving_->server;
    using Handler = std::function<Result<json>(const httplib::Request &)>;
    auto on_loop = [this](Handler handler) {
        return [this, handler = std::move(handler)](const httplib::Request &request,
                                                    httplib::Response &response) {
            Result<json> result = sys_error("evnfd is ending", ECANCELED);
            loop_.call([&] { result = handler(request); });
            if (result)
                answer(response, *result);
            else
                answer(response, result.error());
        };
    };
    auto get = [&](const char *path, json (Daemon::*read)() const) {
        server.Get(path, on_loop([this, read](const httplib::Request &) -> Result<json> {
                       return (daemon_.*read)();
                   }));
    };
    get("/v1/status", &Daemon::status);
    get("/v1/chains", &Daemon::chains);
    get("/v1/counters", &Daemon::counters);
    server.Get("/v1/config", on_loop([this](const httplib::Request &) -> Result<json> {
                   return daemon_.document();
               }));
    server.Put("/v1/config", on_loop([this](const httplib::Request &request) -> Result<json> {
                   auto body = body_of(request);
                   if (!body)
                       return body.error();
                   const bool dry_run = is_dry_run(request);
                   return reply(daemon_.apply(*body, dry_run, Daemon::From::request), dry_run);
               }));
    get("/v1/history", &Daemon::history);
    server.Put("/v1/chains/(.+)", on_loop([this](const httplib::Request &request) {
                   return set_chain(daemon_, request);
               }));
    server.Delete("/v1/chains/(.+)",
                  on_loop([this](const httplib::Request &request) -> Result<json> {
                      const bool dry_run = is_dry_run(request);
                      return reply(daemon_.remove_chain(request.matches[1], dry_run), dry_run);
                  }));
    server.Post("/v1/rollback", on_loop([this](const httplib::Request &request) {
                    return roll_back(daemon_, request);
                }));
    server.Get("/v1/openapi.json", [](const httplib::Request &, httplib::Response &response) {
        response.set_content(openapi_document, json_type);
    });
    server.Get("/metrics", [this](const httplib::Request &, httplib::Response &response) {
        std::string text;
        if (loop_.call([&] { text = daemon_.metrics(); }))
            response.set_content(text, "text/plain; version=0.0.4");
        else
            response.status = 503;
    });
    add_watch_routes();
    for (const auto *type : vnf_types())
        if (!type->inner)
            add_vnf_routes(*type);

    server.set_error_handler([](const httplib::Request &request, httplib::Response &response) {
        if (response.body.empty())
            answer(response, {{"error", "no " + request.method + " " + request.path +
                                            " here: see /v1/openapi.json"}});
    });
    server.set_exception_handler(
        [](const httplib::Request &, httplib::Response &response, std::exception_ptr thrown) {
            // A bug: input is checked by hand and refused as an Error.
            try {
                std::rethrow_exception(std::move(thrown));
            } catch (const std::exception &e) {
                log_error(std::string("in a request: ") + e.what());
            } catch (...) {
                log_error("in a request: an exception");
            }
            answer(response, sys_error("evnfd could not carry this out", EIO));
        });
}

void Api::add_vnf_routes(const VnfType &type)
{
    auto &server = serving_->server;
    const std::string base = "/v1/" + type.name;
    // A named instance is asked for by ?instance=NAME.
    server.Get(base, [this, &type](const httplib::Request &request, httplib::Response &response) {
        Result<json> shown = sys_error("evnfd is ending", ECANCELED);
        const std::string instance = request.get_param_value("instance");
        loop_.call([&] { shown = daemon_.show(type, instance); });
        if (shown)
            answer(response, *shown);
        else
            answer(response, shown.error());
    });
    const auto add = [&](const std::string &method, const std::string &pattern, auto call) {
        auto handler = [this, call](const httplib::Request &request, httplib::Response &response) {
            auto body = body_of(request);
            if (!body)
                return answer(response, body.error());
            Request verb{{}, *std::move(body)};
            for (std::size_t i = 1; i < request.matches.size(); ++i)
                verb.words.push_back(request.matches[i].str());
            for (const auto &[key, value] : request.params)
                verb.query.emplace(key, value);
            Result<LiveRoute::Rest> rest = sys_error("evnfd is ending", ECANCELED);
            loop_.call([&] { rest = call(request, verb); });
            const auto result = rest ? (*rest)() : Result<json>(rest.error());
            if (!result)
                return answer(response, result.error());
            answer(response, *result);
        };
        const std::string whole = base + pattern;
        if (method == "GET")
            server.Get(whole, handler);
        else if (method == "POST")
            server.Post(whole, handler);
        else if (method == "PUT")
            server.Put(whole, handler);
        else
            server.Delete(whole, handler);
    };
    for (const Route &route : type.routes)
        add(route.method, route.pattern,
            [this, &type, &route, base](const httplib::Request &request,
                                        const Request &verb) -> Result<LiveRoute::Rest> {
                const std::string what = request.method + " " + request.path.substr(base.size());
                auto done =
                    daemon_.edit(type, request.get_param_value("instance"), route, verb, what);
                if (!done)
                    return done.error();
                return LiveRoute::Rest(
                    [done = *std::move(done)]() -> Result<json> { return done; });
            });
    for (const LiveRoute &route : type.live)
        add(route.method, route.pattern,
            [this, &type, &route](const httplib::Request &request, const Request &verb) {
                return daemon_.call_live(type, request.get_param_value("instance"), route, verb);
            });
}

} // namespace evnf
