// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/slots.hpp"

namespace evnf
{

// A change of the desired state.
struct Change {
    unsigned number;                // from 1, never used again
    std::string time;               // RFC 3339, UTC
    std::string what;               // who or what made it: "apply", "efw: POST /rules"
    std::vector<std::string> lines; // as diff_documents() gives them
    json document;                  // after it
};

// What a daemon keeps in STATE_DIR/NAME.json, so that the next one goes on with it.
struct State {
    static constexpr std::size_t max_history = 16;

    json document; // in force, checked
    Slots slots;
    // Configurations, as written, that are part of `document` already: the file as it
    // was last read, and the last one applied. A file that is neither has been edited.
    std::vector<json> incorporated;

    // The last changes, the oldest first: the last one made `document`.
    std::vector<Change> history;

    [[nodiscard]] bool has_incorporated(const json &file) const;
    // Makes `next` the document, and that a change, if it is one.
    void change(const json &next, const std::string &what, std::vector<std::string> lines);
    // The change of that number, null if it is not kept.
    [[nodiscard]] const Change *find_change(std::uint64_t number) const;
};

// Without a value: there is none yet.
Result<std::optional<State>> read_state(const std::string &path);
// Replaces the file as a whole: a crash leaves the old one or the new one.
Result<> write_state(const std::string &path, const State &state);

} // namespace evnf
