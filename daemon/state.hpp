// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
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
    // What makes the document after it the one before (RFC 6902). As text, for it may be a whole
    // document of many rules, is written with each change, and is hardly ever read.
    std::shared_ptr<const std::string> undo;
};

// What a daemon keeps in STATE_DIR/NAME.json, so that the next one goes on with it. Changes
// that are small are kept in NAME.journal beside it.
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
    void change(json next, const std::string &what, std::vector<std::string> lines);
    // The same by a patch of the document.
    void change_by(const json &patch, const std::string &what, std::vector<std::string> lines);
    // Undoes the last change, as if it had never been.
    void take_back();
    // The change of that number, null if it is not kept.
    [[nodiscard]] const Change *find_change(std::uint64_t number) const;
    // The document after a change that is kept.
    [[nodiscard]] json document_after(const Change &change) const;

private:
    void remember(const std::string &what, std::vector<std::string> lines, const json &undo);
};

// Without a value: there is none yet.
Result<std::optional<State>> read_state(const std::string &path);
// Replaces the file as a whole: a crash leaves the old one or the new one. Gives its size.
Result<std::size_t> write_state(const std::string &path, const State &state);

// The last change of a state, of which `patch` is of the document, for a Journal; and such
// changes of a state that has been read.
json journal_entry(const State &state, const json &patch);
Result<> replay(State &state, const std::vector<json> &entries);

} // namespace evnf
