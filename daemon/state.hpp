// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/slots.hpp"

namespace evnf
{

// What a daemon keeps in STATE_DIR/NAME.json, so that the next one goes on with it.
struct State {
    json document; // in force, checked
    Slots slots;
    // Configurations, as written, that are part of `document` already: the file as it
    // was last read, and the last one applied. A file that is neither has been edited.
    std::vector<json> incorporated;

    [[nodiscard]] bool has_incorporated(const json &file) const;
};

// Without a value: there is none yet.
Result<std::optional<State>> read_state(const std::string &path);
// Replaces the file as a whole: a crash leaves the old one or the new one.
Result<> write_state(const std::string &path, const State &state);

} // namespace evnf
