// SPDX-License-Identifier: GPL-2.0-or-later
// The named sets of a running fast path, and the files in which their elements outlive a
// reboot: FOLDER/NAME.TYPE.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "vnfs/efw/set_elements.hpp"

namespace evnf::efw
{

class Sets
{
public:
    explicit Sets(SetElements elements) : elements_(std::move(elements)) {}

    // Those of the section in force. Elements of others stay until the next keep().
    void declare(std::vector<DeclaredSet> sets);
    [[nodiscard]] const std::vector<DeclaredSet> &declared() const { return sets_; }
    [[nodiscard]] Result<DeclaredSet> find(std::string_view name) const;

    SetElements &elements() { return elements_; }
    // As SetElements has them.
    Result<SetElements::Changed> change(const DeclaredSet &set, Elements add, Elements del);
    Result<SetElements::Changed> replace(const DeclaredSet &set, Elements wanted);

    // See FastPath. A set whose elements are in the map already is left as it is.
    Result<> restore(const std::string &folder);
    Result<> keep(const std::string &folder);

private:
    Result<SetElements::Changed> changed(const DeclaredSet &set,
                                         Result<SetElements::Changed> result);

    SetElements elements_;
    std::vector<DeclaredSet> sets_;
    std::set<std::string> unkept_; // by name
    bool tidy_ = false;            // nothing of other sets is left
};

} // namespace evnf::efw
