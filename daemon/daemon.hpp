// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.hpp"
#include "base/rtnl.hpp"
#include "daemon/fastplane.hpp"
#include "daemon/journal.hpp"
#include "daemon/nexthops.hpp"
#include "daemon/options.hpp"
#include "daemon/state.hpp"

namespace evnf
{

class Trace;
struct TraceRequest;

// The daemon's work, without its wiring: keeps the desired state and puts it in force.
// Lives on the loop's thread.
class Daemon
{
public:
    static Result<std::unique_ptr<Daemon>> create(const Options &options, Loop &loop);

    // Takes up the fast path that is there, or makes it: from the kept state, or from
    // the file where that has been edited since. `file` is the file as read.
    Result<> start(const json &file);

    // Replaces the whole desired state. `written` is the document as a person wrote it.
    // Gives the changes; with `dry_run` nothing else happens. The same for all that follow.
    using Changes = Result<std::vector<std::string>>;
    enum class From { file, request }; // the daemon's own file, or another
    Changes apply(const json &written, bool dry_run, From from = From::file);

    // Sets one chain, or takes it off. `chain` is as a person wrote it, without its name;
    // `where` of an error about it starts within it.
    Changes set_chain(const std::string &name, const json &chain, bool dry_run);
    Changes remove_chain(const std::string &name, bool dry_run);

    // Makes the document after a change the desired state again; without a number, that
    // after the last but one.
    Changes roll_back(std::optional<std::uint64_t> to, bool dry_run);

    // Carries out one verb of a VNF, on the instance that has its name or on a named one.
    // `verb` is what the history calls it, such as "POST /rules". Gives its reply.
    Result<json> edit(const VnfType &type, const std::string &instance, const Route &route,
                      const Request &request, const std::string &verb);

    // The same for a verb on the running fast path.
    // What is left to be called, on any thread.
    Result<LiveRoute::Rest> call_live(const VnfType &type, const std::string &instance,
                                      const LiveRoute &route, const Request &request);
    // Lets the fast paths keep what they have besides their sections: at the end, and before
    // they are replaced, but not by the ones before them.
    void keep_live();

    // One watches at a time. In watch.cpp.
    Result<> begin_watching();
    void end_watching();
    Result<std::unique_ptr<Trace>> begin_trace(const TraceRequest &request);
    // What an instance tells for VnfType::stream.
    [[nodiscard]] Result<std::shared_ptr<Feed>> feed(const VnfType &type,
                                                     const std::string &instance) const;
    // Sampled time of a packet at each place, since begin_watching().
    [[nodiscard]] json times() const;
    // The chains as they were asked for and as they run, with an estimate of their cost.
    [[nodiscard]] json plan() const;
    // In force, see FastPlane.
    [[nodiscard]] unsigned generation() const { return plane_->number(); }

    [[nodiscard]] json status() const;
    [[nodiscard]] json chains() const;
    [[nodiscard]] json counters() const;
    [[nodiscard]] json history() const;
    [[nodiscard]] Result<json> show(const VnfType &type, const std::string &instance) const;
    [[nodiscard]] const json &document() const { return state_.document; }
    [[nodiscard]] std::string metrics() const;

private:
    Daemon(const Options &options, Rtnl rtnl, Fd retire_timer);
    [[nodiscard]] Result<std::string> find_instance(const VnfType &type,
                                                    const std::string &name) const;
    Result<> cover(const std::vector<Link> &links);
    Result<> restore_live(const Generation &next) const;
    [[nodiscard]] std::string live_folder(const std::string &instance) const;
    void retire_replaced();
    void expire(); // what has had its time: see VnfType
    [[nodiscard]] json show_instance(const Instance &instance) const;
    [[nodiscard]] Result<json> check_kept(const json &wanted) const;
    Result<> put_in_force(const json &document, FastPlane::Missing missing);
    // What the state is told of a configuration that it has taken in.
    struct Written {
        const json *document = nullptr; // none: it was not a whole one
        From from = From::file;
    };
    Result<> save(const json &document, const std::string &what, Written written);
    // A verb that is a step, see there. None: it is not.
    Result<std::optional<json>> take_step(const VnfType &type, const std::string &name,
                                          const Route &route, const Request &request,
                                          const std::string &verb);
    Result<> save_step(const json &patch, const std::string &what,
                       const std::vector<std::string> &lines);
    Result<> check_interfaces(const json &written, const json &document);
    Changes change_to(const json &wanted, const std::string &what, bool dry_run, Written written);
    void links_changed();
    [[nodiscard]] std::vector<std::string> warnings() const;
    [[nodiscard]] std::vector<std::string> route_warnings() const;
    [[nodiscard]] json slot_json(const std::string &place, const std::string &name,
                                 const std::vector<Reason> &own) const;

    const Options options_;
    mutable Rtnl rtnl_; // asking changes its socket's sequence alone
    State state_;
    Journal journal_;            // since state_ was written as a whole
    std::size_t state_size_ = 0; // of that, in bytes
    std::map<std::string, std::unique_ptr<Stepper>> steppers_; // by instance, of state_.document
    std::unique_ptr<FastPlane> plane_;
    std::unique_ptr<NextHops> nexthops_;
    std::map<std::string, Link> known_links_; // as the generation in force was built for
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point replaced_at_; // a generation, last
    std::chrono::steady_clock::time_point keep_at_;     // not before this
    bool watching_ = false;
    Fd retire_timer_;
    Loop::Watch retire_watch_; // last: it names the descriptor above
};

} // namespace evnf
