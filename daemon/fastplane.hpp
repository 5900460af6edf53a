// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/rtnl.hpp"
#include "daemon/attachment.hpp"
#include "daemon/generation.hpp"
#include "daemon/pins.hpp"
#include "daemon/xsk.hpp"

namespace evnf
{

// The fast path as a whole: the generation in force and what attaches it.
class FastPlane
{
public:
    // Called with a generation that is complete and not yet in force.
    using BeforeActivation = std::function<Result<>(Generation &)>;

    // `owner` as Pins::owner() gives it.
    FastPlane(Pins pins, std::string pin_root, Slots slots, unsigned owner)
        : pins_(std::move(pins)),
          pin_root_(std::move(pin_root)),
          slots_(std::move(slots)),
          owner_(owner)
    {
    }

    // Where nothing could be put in force, what has other layouts goes on alone.
    ~FastPlane()
    {
        if (!current_)
            pins_.leave_foreign();
    }

    enum class Missing { refuse, skip };

    // Puts the chains and rules of a checked document in force: builds a generation
    // beside the running one (of this daemon or of one that died), then attaches it
    // everywhere, or fails and leaves everything as it was. `running` is the document
    // in force until now, or null.
    Result<> install(const json &document, const json &running, Rtnl &rtnl, Missing missing,
                     const BeforeActivation &before);

    // Takes all filters at tc away that evnfd number `owner` has in this network namespace.
    static void remove_filters(unsigned owner);

    // Whether the generations from the next one on can be watched.
    void set_observe(bool on) { observe_ = on; }

    // Ends the generations that were replaced. Packets that were with their slow path then
    // had their time to come back: call it some seconds after install().
    void retire_old();
    // Called about twice a second: workers come and go with the load.
    void scale_workers();
    // Packets that the kernel had no room for at our AF_XDP sockets.
    [[nodiscard]] std::uint64_t xsk_lost() const;
    // Packets may leave by any interface after their slow path: also by one that is new.
    Result<> cover(const std::vector<Link> &links);

    [[nodiscard]] Generation *current() const { return current_.get(); }
    [[nodiscard]] const Slots &slots() const { return slots_; }
    [[nodiscard]] unsigned number() const { return number_; }
    [[nodiscard]] const std::map<std::string, Attachment> &attachments() const
    {
        return attachments_;
    }

private:
    Result<Plan> plan(const json &document, const json &running, Rtnl &rtnl, Missing missing) const;
    Result<> activate(const Generation &next);
    Result<> attach_tc(const Generation &next);
    void end_foreign_filters(const Generation &next);
    void unguard(const Generation &next);
    void open_xsks(const Generation &next);
    void close_xsks(const Generation &current);
    [[nodiscard]] Result<> tell_generations(const Generation &next) const;
    Result<> go_back_at_tc(const Generation &next);
    void give(const xsk_meta &meta, unsigned ifindex, std::span<const std::uint8_t> frame);
    void detach_unused(const Generation &generation);
    [[nodiscard]] unsigned take_handle() const;

    Pins pins_;
    std::string pin_root_;
    Slots slots_;
    unsigned owner_;
    unsigned number_ = 0;
    bool observe_ = false;
    std::map<std::string, Attachment> attachments_; // by interface
    std::set<unsigned> covered_;                    // ifindexes with our tc egress filter
    std::mutex workers_mutex_;                      // between the loop and the threads of XskPorts
    std::unique_ptr<Generation> current_;
    std::unique_ptr<Generation> replaced_; // until retire_old()
    // By ifindex. Last: their threads use all of the above.
    std::map<unsigned, std::unique_ptr<XskPort>> xsk_ports_;
};

} // namespace evnf
