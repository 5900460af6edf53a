// SPDX-License-Identifier: GPL-2.0-or-later
// The part of the API that watches packets: traces as they come, and times.
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
    std::unique_ptr<Trace> trace;
    unsigned generation = 0;
    std::function<void()> end;
    ~Watching() { end(); }
};

} // namespace

void Api::add_watch_routes()
{
    auto &server = serving_->server;
    server.Get("/v1/trace", [this](const httplib::Request &request, httplib::Response &response) {
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
        auto watching = std::make_shared<Watching>();
        watching->trace = *std::move(trace);
        watching->generation = generation;
        watching->end = [this] { loop_.call([this] { daemon_.end_watching(); }); };
        response.set_chunked_content_provider(
            "application/x-ndjson", [this, watching](std::size_t, httplib::DataSink &sink) {
                if (serving_->ending) { // the client sees the connection end
                    sink.done();
                    return true;
                }
                unsigned now = 0;
                loop_.call([&] { now = daemon_.generation(); });
                if (now != watching->generation) {
                    const std::string line =
                        json{{"ended", "the chains were changed: watch again"}}.dump() + "\n";
                    sink.write(line.data(), line.size());
                    sink.done();
                    return true;
                }
                const auto records = watching->trace->read(poll_ms);
                std::string lines;
                for (const auto &record : records)
                    lines += record.dump() + "\n";
                // Also when there is nothing: only a write tells that the client is gone.
                if (lines.empty())
                    lines = "\n";
                return sink.write(lines.data(), lines.size());
            });
    });
    server.Get("/v1/plan", [this](const httplib::Request &, httplib::Response &response) {
        json plan;
        if (loop_.call([&] { plan = daemon_.plan(); }))
            return answer(response, plan);
        answer(response, sys_error("evnfd is ending", ECANCELED));
    });
    server.Get("/v1/times", [this](const httplib::Request &request, httplib::Response &response) {
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
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(*seconds);
        while (!serving_->ending && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(50ms);
        json times;
        loop_.call([&] {
            times = daemon_.times();
            daemon_.end_watching();
        });
        answer(response, times);
    });
}

} // namespace evnf
