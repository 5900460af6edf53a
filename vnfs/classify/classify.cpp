// SPDX-License-Identifier: GPL-2.0-or-later
// classify for the daemon: loads the fast path and swaps its ruleset.
#include "base/text.hpp"
#include "classify.skel.h"
#include "match/compile.hpp"
#include "match/store.hpp"
#include "vnfs/classify/abi.h"
#include "vnfs/classify/section.hpp"

namespace evnf::classify
{

namespace
{

using Skeleton = bpf::Skeleton<classify_bpf>;

// A few rules need little.
constexpr std::size_t table_bytes = 256 * 1024;

class ClassifyFastPath : public FastPath
{
public:
    ClassifyFastPath(Skeleton skel, match::Store store)
        : skel_(std::move(skel)),
          store_(std::move(store))
    {
    }

    [[nodiscard]] int program() const override { return bpf_program__fd(skel_->progs.classify); }

    Result<> apply(const json &section) override
    {
        std::vector<match::Entry> rules;
        for (auto &match : rules_of(section))
            rules.push_back({std::move(match), {.action = static_cast<__u8>(rules.size())}});
        auto tables = match::compile(rules, {.action = CLASSIFY_MAX_RULES}, {interfaces(), {}});
        if (!tables)
            return tables.error();
        return store_.put(*std::move(tables));
    }

    // What each rule has matched is in the counters of the slot.
    [[nodiscard]] json show(const json &section) const override { return section; }
    [[nodiscard]] std::vector<Metric> metrics(const json & /*section*/) const override
    {
        return {};
    }

private:
    Skeleton skel_;
    match::Store store_;
};

Result<std::unique_ptr<FastPath>> load(bpf::MapSet &maps, const json &section,
                                       const json & /*running*/)
{
    if (auto r = match::prepare(maps, table_bytes, 0); !r)
        return r.error();
    auto skel = Skeleton::load(maps);
    if (!skel)
        return skel.error();
    auto store = match::Store::bind(maps);
    if (!store)
        return store.error();
    auto fast_path = std::make_unique<ClassifyFastPath>(*std::move(skel), *std::move(store));
    if (auto r = fast_path->apply(section); !r)
        return r.error();
    return std::unique_ptr<FastPath>(std::move(fast_path));
}

std::vector<Destination> destinations(const json &section)
{
    std::vector<Destination> out;
    for (std::size_t i = 0; i < section["rules"].size(); ++i) {
        const auto text = section["rules"][i].get<std::string>();
        if (const auto m = match::parse_match(text))
            out.push_back(
                destination_of(*m, "condition " + in_quotes(text), "/rules/" + std::to_string(i)));
    }
    return out;
}

const VnfType type{.name = "classify",
                   .descriptor = {.has_rules = true, .cost_ns = 30},
                   .inner = true,
                   .only_own_outputs = true,
                   .reasons = {CLASSIFY_REASONS(EVNF_REASON_ROW)},
                   .routes = {},
                   .check = check_section,
                   .diff = diff_sections,
                   .load = load,
                   .matches = destinations};
const Registration registration(type);

} // namespace

} // namespace evnf::classify
