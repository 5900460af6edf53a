// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/changes.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "daemon/journal.hpp"
#include "daemon/state.hpp"
#include "match/compile.hpp"

namespace evnf::bench
{

namespace
{

constexpr int times = 5;

double since(std::chrono::steady_clock::time_point begin)
{
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
}

void keep_least(double &least, double now)
{
    least = least == 0 ? now : std::min(least, now);
}

// A state as the daemon keeps it, with the section as its only one.
class Kept
{
public:
    explicit Kept(json section)
    {
        char folder[] = "/var/tmp/evnf-bench-XXXXXX";
        folder_ = ::mkdtemp(folder) ? folder : "/var/tmp";
        journal_.emplace(folder_ + "/state.journal");
        state_.change({{"efw", std::move(section)}}, "bench", {});
    }
    Kept(const Kept &) = delete;
    Kept &operator=(const Kept &) = delete;
    ~Kept()
    {
        std::error_code ec;
        std::filesystem::remove(folder_ + "/state.json", ec);
        std::filesystem::remove(folder_ + "/state.journal", ec);
        std::filesystem::remove(folder_, ec); // not if others have something there
    }

    [[nodiscard]] const json &section() const { return state_.document["efw"]; }

    Result<> whole(const json &section)
    {
        json next{{"efw", section}};
        auto lines = find_vnf("efw")->diff(this->section(), section);
        state_.change(next, "bench", std::move(lines));
        auto size = write_state(folder_ + "/state.json", state_);
        return size ? Result<>(Unit{}) : size.error();
    }

    Result<> step(const Step &step)
    {
        json patch = step.patch;
        for (auto &op : patch)
            op["path"] = "/efw" + op["path"].get<std::string>();
        state_.change_by(patch, "bench", step.lines);
        return journal_->add(journal_entry(state_, patch));
    }

private:
    std::string folder_;
    State state_;
    std::optional<Journal> journal_;
};

class Timer
{
public:
    Timer(FastPath &fast_path, json section) : fast_path_(fast_path), kept_(std::move(section)) {}

    [[nodiscard]] const json &section() const { return kept_.section(); }

    // By the verb of this method, as the daemon does it: efw has one of each.
    Result<> change(const char *method, const Request &request, Change &to)
    {
        const auto route = std::find_if(efw_.routes.begin(), efw_.routes.end(),
                                        [&](const Route &r) { return r.method == method; });
        if (!route->step)
            return whole(*route, request, to);
        if (!stepper_)
            stepper_ = efw_.stepper(section());
        const auto began = std::chrono::steady_clock::now();
        auto step = route->step(*stepper_, section(), request);
        if (!step)
            return whole(*route, request, to);
        keep_least(to.edit, since(began));
        const auto edited = std::chrono::steady_clock::now();
        if (auto r = fast_path_.step(step->patch); !r)
            return r;
        keep_least(to.apply, since(edited));
        const auto applied = std::chrono::steady_clock::now();
        stepper_->taken(section(), step->patch);
        auto r = kept_.step(*step);
        keep_least(to.keep, since(applied));
        return r;
    }

private:
    Result<> whole(const Route &route, const Request &request, Change &to)
    {
        const auto began = std::chrono::steady_clock::now();
        auto edit = route.edit(section(), request);
        if (!edit)
            return edit.error();
        auto next = efw_.check(edit->section, section());
        if (!next)
            return next.error();
        keep_least(to.edit, since(began));
        const auto edited = std::chrono::steady_clock::now();
        if (auto r = fast_path_.apply(*next); !r)
            return r;
        keep_least(to.apply, since(edited));
        const auto applied = std::chrono::steady_clock::now();
        auto r = kept_.whole(*next);
        keep_least(to.keep, since(applied));
        stepper_.reset();
        return r;
    }

    const VnfType &efw_ = *find_vnf("efw");
    FastPath &fast_path_;
    Kept kept_;
    std::unique_ptr<Stepper> stepper_; // of what is kept
};

json texts_of(const json &section)
{
    json out = json::array();
    for (const auto &r : section["rules"])
        out.push_back(r["rule"]);
    return out;
}

} // namespace

Result<Changes> time_changes(const Ruleset &ruleset)
{
    Changes out;
    auto section = section_of(ruleset);
    if (!section)
        return section.error();
    std::vector<match::Entry> entries;
    for (auto &m : matches_of(*section))
        entries.push_back({std::move(m), {}});
    for (int i = 0; i < times; ++i) {
        const auto began = std::chrono::steady_clock::now();
        if (auto tables = match::compile(entries, {}); !tables)
            return tables.error();
        keep_least(out.compile, since(began));
    }
    bpf::MapSet maps("");
    auto fast_path = find_vnf("efw")->load(maps, *section, nullptr);
    if (!fast_path)
        return fast_path.error();
    out.bytes = (*fast_path)->show(*section)["memory"]["used"];

    Timer timer(**fast_path, *section);
    for (int i = 0; i < times; ++i) {
        const json body{{"rule", "ip saddr 203.0.113." + std::to_string(i) + " drop"}};
        if (auto r = timer.change("POST", {{}, body}, out.add_one); !r)
            return r.error();
    }
    for (int i = 0; i < times; ++i) {
        const auto &rules = timer.section()["rules"];
        const std::string id = rules[rules.size() / 2]["id"].dump();
        if (auto r = timer.change("DELETE", {{id}, nullptr}, out.delete_one); !r)
            return r.error();
    }
    // From none, so that all are new.
    const json all = texts_of(*section);
    for (int i = 0; i < times; ++i) {
        Change unused;
        if (auto r = timer.change("PUT", {{}, {{"rules", json::array()}}}, unused); !r)
            return r.error();
        if (auto r = timer.change("PUT", {{}, {{"rules", all}}}, out.replace_all); !r)
            return r.error();
    }
    return out;
}

} // namespace evnf::bench
