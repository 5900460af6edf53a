// SPDX-License-Identifier: GPL-2.0-or-later
// The part of the API that watches packets: traces as they come, and times.
#include <cerrno>
#include <chrono>
#include <thread>

#include "daemon/serving.hpp"
#include "daemon/trace.hpp"

namespace evnf
{

namespace
{

using namespace std::chrono_literals;

constexpr int poll_ms = 200;
// Not application/json: that the server would compress, and so keep back what tells
// whether the client is still there.
constexpr const char *lines_type = "application/x-ndjson";
constexpr unsigned max_seconds = 60; // of a measurement

// One watches at a time, and that one has gone is seen only when something is sent to it.
constexpr auto others_end_within = 2s;

template <class Begin>
auto begin_after_others(const Begin &begin)
{
    const auto until = std::chrono::steady_clock::now() + others_end_within;
    auto r = begin();
    while (!r && r.error().code == EEXIST && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(50ms);
        r = begin();
    }
    return r;
}

// A watch ends with the connection, however that ends.
struct Watching {
    Watching(Loop &the_loop, Daemon &the_daemon) : loop(the_loop), daemon(the_daemon) {}
    ~Watching()
    {
        loop.call([this] { daemon.end_watching(); });
    }
    Watching(const Watching &) = delete;
    Watching &operator=(const Watching &) = delete;

    Loop &loop;
    Daemon &daemon;
    std::unique_ptr<Trace> trace; // none: only times are taken
    unsigned generation = 0;
};

// Each holds a thread of the server, which must have some left for those who steer.
constexpr unsigned max_following = 4;

// One reader of a feed. The chains may change meanwhile: then there is another feed, and
// the one before still tells of packets that were under way.
struct Following {
    explicit Following(std::atomic<unsigned> &the_readers) : readers(the_readers) {}
    ~Following() { --readers; }
    Following(const Following &) = delete;
    Following &operator=(const Following &) = delete;

    std::atomic<unsigned> &readers;
    std::shared_ptr<Feed::Reader> before, current;
    unsigned generation = 0;
};

bool write(httplib::DataSink &sink, const std::string &text)
{
    return sink.write(text.data(), text.size());
}

} // namespace

void Api::add_watch_routes()
{
    auto &server = serving_->server;
    server.Get("/v1/trace", [this](const httplib::Request &request, httplib::Response &response) {
        serve_trace(request, response);
    });
    server.Get("/v1/plan", [this](const httplib::Request &, httplib::Response &response) {
        json plan;
        if (loop_.call([&] { plan = daemon_.plan(); }))
            return answer(response, plan);
        answer(response, sys_error("evnfd is ending", ECANCELED));
    });
    server.Get("/v1/times", [this](const httplib::Request &request, httplib::Response &response) {
        serve_times(request, response);
    });
    for (const auto *type : vnf_types())
        if (!type->stream.empty())
            server.Get("/v1/" + type->name + type->stream,
                       [this, type](const httplib::Request &request, httplib::Response &response) {
                           serve_feed(*type, request, response);
                       });
}

void Api::serve_trace(const httplib::Request &request, httplib::Response &response)
{
    const auto param = [&](const char *name) { return request.get_param_value(name); };
    auto wanted = trace_request(param("filter"), param("place"), param("when"), param("snap"));
    if (!wanted)
        return answer(response, wanted.error());
    unsigned generation = 0;
    auto trace = begin_after_others([&] {
        Result<std::unique_ptr<Trace>> begun = sys_error("evnfd is ending", ECANCELED);
        loop_.call([&] {
            begun = daemon_.begin_trace(*wanted);
            generation = daemon_.generation();
        });
        return begun;
    });
    if (!trace)
        return answer(response, trace.error());
    auto watching = std::make_shared<Watching>(loop_, daemon_);
    watching->trace = *std::move(trace);
    watching->generation = generation;
    response.set_chunked_content_provider(
        lines_type, [this, watching](std::size_t, httplib::DataSink &sink) {
            if (serving_->ending) { // the client sees the connection end
                sink.done();
                return true;
            }
            unsigned now = 0;
            loop_.call([&] { now = daemon_.generation(); });
            if (now != watching->generation) {
                write(sink, json{{"ended", "the chains were changed: watch again"}}.dump() + "\n");
                sink.done();
                return true;
            }
            const auto records = watching->trace->read(poll_ms);
            std::string lines;
            for (const auto &record : records)
                lines += record.dump() + "\n";
            // Also when there is nothing: only a write tells that the client is gone.
            return write(sink, lines.empty() ? "\n" : lines);
        });
}

void Api::serve_feed(const VnfType &type, const httplib::Request &request,
                     httplib::Response &response)
{
    if (++serving_->following > max_following) {
        --serving_->following;
        return answer(response, Error{.code = EEXIST,
                                      .what = std::to_string(max_following) +
                                              " read this already: wait until one has ended"});
    }
    auto f = std::make_shared<Following>(serving_->following);
    // Takes the feed of the chains in force.
    const auto keep_up = [this, f, &type, instance = request.get_param_value("instance")] {
        Result<> r = sys_error("evnfd is ending", ECANCELED);
        loop_.call([&] {
            r = Unit{};
            if (f->current && daemon_.generation() == f->generation)
                return;
            auto feed = daemon_.feed(type, instance);
            if (!feed) {
                r = feed.error();
                return;
            }
            f->before = std::exchange(f->current, (*feed)->open());
            f->generation = daemon_.generation();
        });
        return r;
    };
    if (auto r = keep_up(); !r)
        return answer(response, r.error());
    response.set_chunked_content_provider(
        lines_type, [this, f, keep_up](std::size_t, httplib::DataSink &sink) {
            if (serving_->ending) { // the client sees the connection end
                sink.done();
                return true;
            }
            if (auto r = keep_up(); !r) {
                write(sink, json{{"ended", r.error().message()}}.dump() + "\n");
                sink.done();
                return true;
            }
            std::string lines;
            if (f->before)
                for (const auto &line : f->before->read(0ms))
                    lines += line.dump() + "\n";
            for (const auto &line : f->current->read(std::chrono::milliseconds(poll_ms)))
                lines += line.dump() + "\n";
            // Also when there is nothing: only a write tells that the client is gone.
            return write(sink, lines.empty() ? "\n" : lines);
        });
}

void Api::serve_times(const httplib::Request &request, httplib::Response &response)
{
    auto seconds = parse_number(request.get_param_value("seconds"), 1, max_seconds, "seconds");
    if (!seconds)
        return answer(response, seconds.error());
    const auto begun = begin_after_others([&] {
        Result<> r = sys_error("evnfd is ending", ECANCELED);
        loop_.call([&] { r = daemon_.begin_watching(); });
        return r;
    });
    if (!begun)
        return answer(response, begun.error());
    auto watching = std::make_shared<Watching>(loop_, daemon_);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(*seconds);
    // Blank lines before the line of JSON: only a write tells that the client is gone.
    response.set_chunked_content_provider(
        lines_type, [this, watching, until](std::size_t, httplib::DataSink &sink) {
            if (serving_->ending) // the client sees the connection end
                return false;
            const auto left = until - std::chrono::steady_clock::now();
            if (left > left.zero()) {
                std::this_thread::sleep_for(
                    std::min<std::chrono::nanoseconds>(left, std::chrono::milliseconds(poll_ms)));
                return write(sink, "\n");
            }
            json times;
            if (!loop_.call([&] { times = daemon_.times(); }))
                return false;
            write(sink, times.dump() + "\n");
            sink.done();
            return true;
        });
}

} // namespace evnf
