// SPDX-License-Identifier: GPL-2.0-or-later
// What of an instance is there once, however many generations of the chains have its table: its
// flows, where their records go, and the thread that ends them. It stays as long as there are
// flows, also when no chain has the instance any more.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "vnfs/edpi/exporter.hpp"
#include "vnfs/edpi/flows.hpp"

namespace evnf::edpi
{

class Keeper
{
public:
    // What a section asks for, made ready: to put it in force cannot fail.
    struct Prepared {
        json section;
        json before; // in force when it was prepared
        unsigned turn;
        std::unique_ptr<Exporter> exporter; // null: the one that is there
        Flows::Inspectors inspectors;       // empty: those that are there
    };

    // That of the table in `maps`.
    static Result<std::shared_ptr<Keeper>> of(const bpf::MapSet &maps, const json &section);
    ~Keeper();
    Keeper(const Keeper &) = delete;
    Keeper &operator=(const Keeper &) = delete;

    Result<Prepared> prepare(const json &section);
    // Unless one that was prepared later is in force already.
    void put_in_force(Prepared prepared);

    [[nodiscard]] Flows &flows() { return *flows_; }
    [[nodiscard]] const Policies &policies() const { return *policies_; }
    [[nodiscard]] const std::shared_ptr<Feed> &feed() const { return feed_; }

private:
    Keeper() = default;
    static Result<std::shared_ptr<Keeper>> make(const bpf::MapSet &maps, const json &section);
    void run();
    bool export_record(const json &record);
    void judge_by(const json &section);

    std::mutex mutex_; // guards those up to feed_
    std::condition_variable changed_;
    std::unique_ptr<Exporter> exporter_;
    json section_;                  // in force
    unsigned turn_ = 0, turns_ = 0; // of it; given so far
    bool ending_ = false;
    const std::shared_ptr<Feed> feed_ = std::make_shared<Feed>();
    std::shared_ptr<Policies> policies_;
    std::unique_ptr<Flows> flows_;
    std::thread thread_; // last: it uses all of the above
};

// As many as there may be workers.
Result<Flows::Inspectors> make_inspectors(const json &section);

} // namespace evnf::edpi
