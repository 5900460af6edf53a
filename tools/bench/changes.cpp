// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/changes.hpp"

#include <algorithm>
#include <chrono>

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

class Timer
{
public:
    Timer(FastPath &fast_path, json section) : fast_path_(fast_path), section_(std::move(section))
    {
    }

    // By the verb of this method: efw has one of each.
    Result<> change(const char *method, const json &body, Change &to)
    {
        const VnfType &efw = *find_vnf("efw");
        const auto route = std::find_if(efw.routes.begin(), efw.routes.end(),
                                        [&](const Route &r) { return r.method == method; });
        const auto began = std::chrono::steady_clock::now();
        auto edit = route->edit(section_, {{}, body});
        if (!edit)
            return edit.error();
        keep_least(to.edit, since(began));
        const auto edited = std::chrono::steady_clock::now();
        auto next = efw.check(edit->section, section_);
        if (!next)
            return next.error();
        keep_least(to.check, since(edited));
        const auto checked = std::chrono::steady_clock::now();
        if (auto r = fast_path_.apply(*next); !r)
            return r;
        keep_least(to.apply, since(checked));
        section_ = *std::move(next);
        return Unit{};
    }

private:
    FastPath &fast_path_;
    json section_;
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
        if (auto r = timer.change("POST", body, out.add_one); !r)
            return r.error();
    }
    // From none, so that all are new.
    const json all = texts_of(*section);
    for (int i = 0; i < times; ++i) {
        Change unused;
        if (auto r = timer.change("PUT", {{"rules", json::array()}}, unused); !r)
            return r.error();
        if (auto r = timer.change("PUT", {{"rules", all}}, out.replace_all); !r)
            return r.error();
    }
    return out;
}

} // namespace evnf::bench
