// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "abi/trace.h"
#include "base/bpf.hpp"
#include "daemon/generation.hpp"

struct ring_buffer;

namespace evnf
{

// What somebody wants to watch.
struct TraceRequest {
    trace_filter filter{};
    bool all = true;     // the filter asks for nothing
    std::string place;   // "elb" or "in/elb"; empty: all
    unsigned verdicts{}; // a bit for each
    unsigned snap = 0;   // bytes of each frame to send
};
// From the words of a request: a filter, a place, "dropped" and the like. Errors of the
// filter carry offset and length within it.
Result<TraceRequest> trace_request(const std::string &filter, const std::string &place,
                                   const std::string &when, const std::string &snap);

// Packets of one generation, as they pass. Read by one thread, any; the generation may end
// meanwhile.
class Trace
{
public:
    static Result<std::unique_ptr<Trace>> begin(const Generation &generation,
                                                const TraceRequest &request);
    ~Trace();
    Trace(const Trace &) = delete;
    Trace &operator=(const Trace &) = delete;

    // Waits up to some milliseconds; gives what has come, an object for each place that a
    // packet has left; and {"lost": n}, once a second at most, when the fast path had no
    // room for more records: n since the beginning.
    std::vector<json> read(int timeout_ms);

private:
    struct PlaceNames {
        std::string chain, place;
        std::vector<Reason> reasons;
        const Instance *instance = nullptr;
    };
    struct RingFree {
        void operator()(ring_buffer *r) const;
    };

    explicit Trace(const Generation &generation);
    static constexpr std::size_t batch = 1000; // records of one read()
    static int on_record(void *self, void *data, std::size_t size);
    [[nodiscard]] json describe(const trace_record &record, const std::uint8_t *frame) const;
    void tell_lost();

    std::vector<Instance> instances_;
    std::map<unsigned, PlaceNames> places_; // by slot
    std::map<unsigned, std::string> interfaces_;
    std::set<unsigned> wanted_; // slots; empty: all
    std::int64_t epoch_;        // what to add to the kernel's clock
    Fd ring_map_;
    std::unique_ptr<ring_buffer, RingFree> ring_;
    std::vector<json> read_;
    std::size_t taken_ = 0; // records, since read() was called
    Fd states_map_;
    std::optional<bpf::PerCpuCounters<trace_state>> states_;
    std::uint64_t lost_ = 0; // as told
    std::chrono::steady_clock::time_point lost_told_at_;
};

} // namespace evnf
