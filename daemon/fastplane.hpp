// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rtnl.hpp"
#include "daemon/attachment.hpp"
#include "daemon/generation.hpp"
#include "daemon/pins.hpp"

namespace evnf
{

// The fast path as a whole: the generation in force and what attaches it.
class FastPlane
{
public:
    // Called with a generation that is complete and not yet in force.
    using BeforeActivation = std::function<Result<>(Generation &)>;

    FastPlane(Pins pins, std::string pin_root, Slots slots)
        : pins_(std::move(pins)),
          pin_root_(std::move(pin_root)),
          slots_(std::move(slots))
    {
    }

    enum class Missing { refuse, skip };

    // Puts the chains and rules of a checked document in force: builds a generation
    // beside the running one (of this daemon or of one that died), then attaches it
    // everywhere, or fails and leaves everything as it was. `running` is the document
    // in force until now, or null.
    Result<> install(const json &document, const json &running, Rtnl &rtnl, Missing missing,
                     const BeforeActivation &before);

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
    void detach_unused(const Plan &plan);

    Pins pins_;
    std::string pin_root_;
    Slots slots_;
    unsigned number_ = 0;
    std::map<std::string, Attachment> attachments_; // by interface
    std::unique_ptr<Generation> current_;
};

} // namespace evnf
