// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/state.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <utility>

#include "base/file.hpp"

namespace evnf
{

namespace
{

constexpr int version = 2;

std::string now()
{
    const std::time_t t = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&t, &utc);
    char text[sizeof "2026-01-01T00:00:00Z"];
    return {text, std::strftime(text, sizeof text, "%FT%TZ", &utc)};
}

std::string to_json(const std::vector<Change> &history)
{
    std::string out = "[";
    for (const auto &c : history) {
        const json known{
            {"number", c.number}, {"time", c.time}, {"what", c.what}, {"changes", c.lines}};
        std::string entry = known.dump();
        entry.back() = ','; // instead of the bracket
        out += (out.size() > 1 ? ",\n" : "\n") + entry + "\"undo\":" + *c.undo + "}";
    }
    return out + "\n]";
}

std::shared_ptr<const std::string> as_text(const json &undo)
{
    return std::make_shared<const std::string>(undo.dump());
}

json operation(const char *op, const std::string &path, json value)
{
    return {{"op", op}, {"path", path}, {"value", std::move(value)}};
}

// Version 1 had the documents after each change.
std::vector<Change> history_of(const json &j)
{
    std::vector<Change> out;
    json before;
    for (const auto &c : j) {
        const json undo =
            c.contains("undo") ? c["undo"] : json::array({operation("replace", "", before)});
        out.push_back({c.at("number"), c.at("time"), c.at("what"), c.at("changes"), as_text(undo)});
        if (!c.contains("undo"))
            before = c.at("document");
    }
    return out;
}

// The operation that takes one back which is about to be done.
json inverse(const json &document, const json &change)
{
    const auto &op = change.at("op").get_ref<const std::string &>();
    const auto &path = change.at("path").get_ref<const std::string &>();
    if (op == "add" && path.ends_with("/-")) {
        const auto list = path.substr(0, path.size() - 2);
        return {
            {"op", "remove"},
            {"path", list + "/" + std::to_string(document.at(json::json_pointer(list)).size())}};
    }
    const json::json_pointer at(path);
    if (op == "remove")
        return operation("add", path, document.at(at));
    if (op == "replace")
        return operation("replace", path, document.at(at));
    return {{"op", "remove"}, {"path", path}};
}

} // namespace

void State::change(json next, const std::string &what, std::vector<std::string> lines)
{
    if (next == document && !history.empty())
        return;
    json before = std::exchange(document, std::move(next));
    remember(what, std::move(lines), json::array({operation("replace", "", std::move(before))}));
}

void State::change_by(const json &patch, const std::string &what, std::vector<std::string> lines)
{
    json undo = json::array();
    for (const auto &op : patch) {
        undo.insert(undo.begin(), inverse(document, op));
        document.patch_inplace(json::array({op}));
    }
    remember(what, std::move(lines), undo);
}

void State::remember(const std::string &what, std::vector<std::string> lines, const json &undo)
{
    const unsigned number = history.empty() ? 1 : history.back().number + 1;
    history.push_back({number, now(), what, std::move(lines), as_text(undo)});
    if (history.size() > max_history)
        history.erase(history.begin());
}

void State::take_back()
{
    document.patch_inplace(json::parse(*history.back().undo));
    history.pop_back();
}

json State::document_after(const Change &change) const
{
    json out = document;
    for (auto c = history.rbegin(); c != history.rend() && c->number != change.number; ++c)
        out.patch_inplace(json::parse(*c->undo));
    return out;
}

const Change *State::find_change(std::uint64_t number) const
{
    const auto it = std::find_if(history.begin(), history.end(),
                                 [&](const Change &c) { return c.number == number; });
    return it == history.end() ? nullptr : &*it;
}

bool State::has_incorporated(const json &file) const
{
    return std::find(incorporated.begin(), incorporated.end(), file) != incorporated.end();
}

Result<std::optional<State>> read_state(const std::string &path)
{
    std::ifstream in(path);
    if (!in && errno == ENOENT)
        return std::optional<State>();
    if (!in)
        return sys_error("read " + path);
    const json j = json::parse(in, nullptr, false);
    const std::string mend = ": it is not what evnfd writes; remove it to start from the "
                             "configuration file alone";
    if (!j.is_object() || j.value("version", 0) < 1 || j.value("version", 0) > version)
        return bad_input(path + mend);
    try {
        State s;
        s.document = j.at("document");
        s.slots = j.at("slots").get<Slots>();
        s.incorporated = j.at("incorporated").get<std::vector<json>>();
        s.history = history_of(j.value("history", json::array())); // not in older files
        return std::optional<State>(std::move(s));
    } catch (const json::exception &) {
        return bad_input(path + mend);
    }
}

Result<std::size_t> write_state(const std::string &path, const State &state)
{
    const json known{{"version", version},
                     {"document", state.document},
                     {"slots", state.slots},
                     {"incorporated", state.incorporated}};
    std::string text = known.dump(1);
    text.erase(text.rfind('\n'));
    text += ",\n \"history\": " + to_json(state.history) + "\n}\n";
    if (auto r = replace_file(path, text); !r)
        return r.error();
    return text.size();
}

json journal_entry(const State &state, const json &patch)
{
    const auto &c = state.history.back();
    return {{"number", c.number},
            {"time", c.time},
            {"what", c.what},
            {"changes", c.lines},
            {"patch", patch}};
}

// The journal may be older than the state, if the daemon ended before it could clear it.
Result<> replay(State &state, const std::vector<json> &entries)
{
    try {
        for (const auto &e : entries) {
            const unsigned last = state.history.empty() ? 0 : state.history.back().number;
            const unsigned number = e.at("number");
            if (number <= last)
                continue;
            if (number != last + 1)
                return bad_input("change " + std::to_string(last + 1) + " is missing in it");
            state.change_by(e.at("patch"), e.at("what"), e.at("changes"));
            state.history.back().time = e.at("time");
        }
    } catch (const json::exception &) {
        return bad_input("it is not of this state");
    }
    return Unit{};
}

} // namespace evnf
