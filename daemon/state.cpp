// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/state.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>

#include "base/file.hpp"

namespace evnf
{

namespace
{

constexpr int version = 1;

std::string now()
{
    const std::time_t t = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&t, &utc);
    char text[sizeof "2026-01-01T00:00:00Z"];
    return {text, std::strftime(text, sizeof text, "%FT%TZ", &utc)};
}

json to_json(const std::vector<Change> &history)
{
    json out = json::array();
    for (const auto &c : history)
        out.push_back({{"number", c.number},
                       {"time", c.time},
                       {"what", c.what},
                       {"changes", c.lines},
                       {"document", c.document}});
    return out;
}

std::vector<Change> history_of(const json &j)
{
    std::vector<Change> out;
    for (const auto &c : j)
        out.push_back(
            {c.at("number"), c.at("time"), c.at("what"), c.at("changes"), c.at("document")});
    return out;
}

} // namespace

void State::change(const json &next, const std::string &what, std::vector<std::string> lines)
{
    if (next == document && !history.empty())
        return;
    const unsigned number = history.empty() ? 1 : history.back().number + 1;
    history.push_back({number, now(), what, std::move(lines), next});
    if (history.size() > max_history)
        history.erase(history.begin());
    document = next;
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
    if (!j.is_object() || j.value("version", 0) != version)
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

Result<> write_state(const std::string &path, const State &state)
{
    const json j{{"version", version},
                 {"document", state.document},
                 {"slots", state.slots},
                 {"incorporated", state.incorporated},
                 {"history", to_json(state.history)}};
    return replace_file(path, j.dump(1) + "\n");
}

} // namespace evnf
