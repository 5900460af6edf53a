// SPDX-License-Identifier: GPL-2.0-or-later
// efw for the daemon: loads the fast path and swaps its ruleset.
#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <mutex>
#include <set>

#include "base/log.hpp"
#include "base/text.hpp"
#include "efw.skel.h"
#include "match/rulesets.hpp"
#include "vnfs/efw/explain/query.hpp"
#include "vnfs/efw/offload/watcher.hpp"
#include "vnfs/efw/offload_account.hpp"
#include "vnfs/efw/offloaded.hpp"
#include "vnfs/efw/section.hpp"
#include "vnfs/efw/section_sets.hpp"
#include "vnfs/efw/set_verbs.hpp"
#include "vnfs/efw/sets.hpp"
#include "vnfs/efw/standing.hpp"
#include "vnfs/efw/steps.hpp"
#include "vnfs/efw/tables.hpp"
#include "vnfs/efw/worker.hpp"

namespace evnf::efw
{

namespace
{

using Skeleton = bpf::Skeleton<efw_bpf>;
using Counters = bpf::PerCpuCounters<counter>;

// Also for elements of sets that are others or smaller now: those are removed only when
// nothing looks for them any more. The kernel's table takes a power of two anyway.
std::size_t room_for_sets(const json &section, const json &running)
{
    std::map<unsigned, DeclaredSet> sets; // by number
    for (const auto *s : {&running, &section})
        for (const auto &set : declared_sets(*s)) {
            auto &known = sets.emplace(set.number, set).first->second;
            known.size = std::max(known.size, set.size);
        }
    std::vector<DeclaredSet> all;
    for (const auto &[number, set] : sets)
        all.push_back(set);
    return std::bit_ceil(SetElements::room_for(all));
}

class EfwFastPath : public FastPath
{
public:
    EfwFastPath(const bpf::MapSet &maps, Skeleton skel, Counters counters, match::Store store,
                SetElements elements, Counters offloaded)
        : maps_(maps),
          skel_(std::move(skel)),
          counters_(counters),
          rulesets_(std::move(store)),
          sets_(std::move(elements)),
          offloaded_(offloaded)
    {
    }

    // Counters that go on: those of the rules in force until now.
    void adopt(const json &running)
    {
        if (running.is_object())
            for (const auto &r : running["rules"])
                counting_.insert(r["counter"].get<unsigned>());
    }

    [[nodiscard]] int program() const override { return bpf_program__fd(skel_->progs.efw); }

    Result<> apply(const json &section) override
    {
        const bool offload = section["offload"].get<bool>();
        const bool ends = watcher_ && !offload;
        if (ends)
            watcher_.reset(); // first: its thread may wait for the lock
        {
            const std::scoped_lock lock(mutex_);
            if (ends)
                offloaded_.plan(nullptr);
            if (auto r = put(section); !r)
                return r;
            section_ = section;
        }
        sets_.declare(declared_sets(section));
        if (!offload || watcher_)
            return Unit{};
        auto watcher = offload::Watcher::start(
            maps_, [this](std::shared_ptr<const offload::Plan> plan) -> Result<> {
                const std::scoped_lock guard(mutex_);
                offloaded_.plan(std::move(plan));
                return put(section_);
            });
        if (!watcher)
            return watcher.error();
        watcher_ = *std::move(watcher);
        return Unit{};
    }

    Result<> step(const json &patch) override
    {
        const std::scoped_lock lock(mutex_);
        const auto step = rule_step(section_, patch);
        if (!step)
            return bad_input("a step is one rule more or less");
        if (auto r = put_step(section_, *step); !r)
            return r;
        section_.patch_inplace(patch);
        return Unit{};
    }

    Result<> restore(const std::string &folder) override
    {
        {
            const std::scoped_lock lock(mutex_);
            if (auto r = offloaded_.restore(folder); !r)
                return r;
        }
        return sets_.restore(folder);
    }
    Result<> keep(const std::string &folder) override
    {
        {
            const std::scoped_lock lock(mutex_);
            if (auto r = offloaded_.keep(); !r)
                return r;
        }
        return sets_.keep(folder);
    }
    Sets &sets() { return sets_; }

    [[nodiscard]] Result<json> explain(const json &request) const
    {
        Live live{
            {bpf_map__fd(skel_->maps.match_sets), bpf_map__fd(skel_->maps.match_set_lengths)}};
        if (watcher_) {
            live.lease = bpf_map__fd(skel_->maps.efw_offload);
            live.links = bpf_map__fd(skel_->maps.efw_offload_links);
        }
        // The lease must be that of the plan: another one may have come meanwhile.
        for (int attempts = 3;; --attempts) {
            live.plan = plan_in_force();
            auto out = efw::explain(section_, live, request);
            if (!out || attempts == 1 || live.plan == plan_in_force())
                return out;
        }
    }

    // The offload with netfilter's rules one by one, which takes time to read.
    LiveRoute::Rest account()
    {
        const std::scoped_lock lock(mutex_);
        return [out = offload_json(), plan = offloaded_.plan(),
                totals = offloaded_.totals()]() -> Result<json> {
            auto rules = offload::read_live();
            if (!rules)
                return Error{.code = rules.error().code ? rules.error().code : EIO,
                             .what = "read netfilter's rules: " + rules.error().what};
            json whole = out;
            whole["rules"] = offload_account(offload::origins_of(*rules), plan.get(), totals);
            return whole;
        };
    }

    [[nodiscard]] json show(const json &section) const override
    {
        const std::scoped_lock lock(mutex_);
        const counter otherwise = counters_.sum(default_counter);
        json rules = json::array();
        for (const auto &r : ordered_rules(section)) {
            const counter c = counters_.sum(r.counter);
            json row{{"id", r.id},
                     {"rule", text_of(r.rule)},
                     {"priority", r.rule.priority},
                     {"action", std::string(action_text(r.rule.action))},
                     {"packets", c.packets},
                     {"bytes", c.bytes}};
            if (!r.owner.empty())
                row["owner"] = r.owner;
            if (r.expires)
                row["expires"] = *r.expires;
            rules.push_back(std::move(row));
        }
        const auto answers = rejecter_ ? rejecter_->counts() : Rejecter::Counts{};
        const auto lines = log_.counts();
        return {{"default", section["default"]},
                {"answers",
                 {{"sent", answers.sent},
                  {"limited", answers.limited},
                  {"silent", answers.silent},
                  {"failed", answers.failed}}},
                {"log", {{"written", lines.written}, {"left_out", lines.left_out}}},
                {"memory",
                 {{"used", rulesets_.store().used()},
                  {"room", rulesets_.store().room()},
                  {"added", rulesets_.added()},
                  {"removed", rulesets_.removed()}}},
                {"default_packets", otherwise.packets},
                {"default_bytes", otherwise.bytes},
                {"offload", offload_json()},
                {"rules", std::move(rules)}};
    }

    [[nodiscard]] std::vector<Metric> metrics(const json &section) const override
    {
        std::vector<Metric> out;
        const json shown = show(section);
        auto add = [&](const std::string &id, const std::string &rule, double packets,
                       double bytes) {
            const std::vector<std::pair<std::string, std::string>> labels{{"id", id},
                                                                          {"rule", rule}};
            out.push_back(
                {"evnf_efw_rule_packets_total", "Frames that a rule decided", labels, packets});
            out.push_back({"evnf_efw_rule_bytes_total", "Bytes of frames that a rule decided",
                           labels, bytes});
        };
        for (const auto &r : shown["rules"])
            add(std::to_string(r["id"].get<unsigned>()), r["rule"], r["packets"], r["bytes"]);
        add("default", shown["default"], shown["default_packets"], shown["default_bytes"]);
        for (const auto &[result, n] : shown["answers"].items())
            out.push_back({"evnf_efw_answers_total",
                           "What became of answers to rejected packets",
                           {{"result", result}},
                           n});
        for (const auto &[result, n] : shown["log"].items())
            out.push_back(
                {"evnf_efw_log_lines_total", "Lines of logged packets", {{"result", result}}, n});
        add_offload_metrics(out);
        return out;
    }

    [[nodiscard]] std::unique_ptr<PacketWorker> make_worker() override
    {
        return std::make_unique<EfwWorker>(log_, answering_);
    }
    void tick() override
    {
        log_.tell_left_out();
        const std::scoped_lock lock(mutex_);
        if (auto r = rulesets_.tidy(standing_.rules()); !r)
            log_error("compile the rules anew", r.error(), {{"vnf", "efw"}});
    }
    [[nodiscard]] std::shared_ptr<Feed> feed() override { return log_.feed(); }

private:
    // Rules of efw's own first: they are the operator's word over netfilter's.
    Result<> put(const json &section)
    {
        const auto rules = ordered_rules(section);
        std::set<unsigned> counting;
        PacketLog::Rules logged;
        bool rejects = false;
        for (const auto &r : rules) {
            counting.insert(r.counter);
            if (r.rule.log_sample)
                logged[r.counter] = {r.id, r.rule.name};
            rejects |= r.rule.action == EFW_REJECT;
        }
        if (rejects)
            if (auto r = prepare_answers(); !r)
                return r;
        for (const unsigned counter : counting)
            if (!counting_.contains(counter))
                if (auto r = counters_.clear(counter); !r)
                    return r;
        log_.set_rules(std::move(logged)); // before there are packets of them
        Standing standing = standing_;
        standing.set(rules, offloaded_.entries());
        if (auto r = rulesets_.put(standing.rules(), default_rule(section), names_in(section)); !r)
            return r;
        standing_ = std::move(standing);
        counting_ = std::move(counting);
        return offloaded_.settle();
    }

    // Of rules that make no copies.
    Result<> put_step(const json &section, const RuleStep &step)
    {
        if (step.added)
            if (auto r = counters_.clear(step.added->counter); !r)
                return r;
        if (step.removed)
            standing_.remove(step.removed->counter);
        if (step.added)
            standing_.add(*step.added);
        auto put = rulesets_.put(standing_.rules(), default_rule(section), names_in(section));
        if (!put) {
            standing_.set(ordered_rules(section), offloaded_.entries());
            return put;
        }
        if (step.removed)
            counting_.erase(step.removed->counter);
        if (step.added)
            counting_.insert(step.added->counter);
        return Unit{};
    }

    [[nodiscard]] std::shared_ptr<const offload::Plan> plan_in_force() const
    {
        const std::scoped_lock lock(mutex_);
        return offloaded_.plan();
    }

    // Of rules for which the fast path has decided something: most of many have none.
    void add_offload_metrics(std::vector<Metric> &out) const
    {
        const std::scoped_lock lock(mutex_);
        const auto plan = offloaded_.plan();
        if (!plan)
            return;
        const auto totals = offloaded_.totals();
        std::set<std::string> told;
        for (const auto &o : plan->origins) {
            const std::string key = key_of(o);
            const auto t = totals.find(key);
            if (t == totals.end() || t->second.count.packets == 0 || !told.insert(key).second)
                continue;
            const std::vector<std::pair<std::string, std::string>> labels{
                {"family", offload::report(o)["family"]},
                {"table", o.table},
                {"chain", o.chain},
                {"number", std::to_string(o.number)},
                {"rule", o.text}};
            const auto &[packets, bytes] = t->second.count;
            out.push_back({"evnf_efw_offloaded_packets_total",
                           "Packets of a rule of netfilter that the fast path decided", labels,
                           static_cast<double>(packets)});
            out.push_back({"evnf_efw_offloaded_bytes_total",
                           "Bytes of packets of a rule of netfilter that the fast path decided",
                           labels, static_cast<double>(bytes)});
        }
    }

    [[nodiscard]] json offload_json() const
    {
        if (!watcher_)
            return {{"enabled", false}};
        const auto status = watcher_->status();
        json out{{"enabled", true},
                 {"state", status.state},
                 {"seen_by_kernel", status.seen_by_kernel},
                 {"plans", status.plans},
                 {"took_ms", status.took.count()}};
        if (!status.error.empty())
            out["error"] = status.error;
        if (const auto plan = offloaded_.plan())
            out["plan"] = offload::summary(*plan);
        return out;
    }

    Result<> prepare_answers()
    {
        if (rejecter_)
            return Unit{};
        auto rejecter = Rejecter::open();
        if (!rejecter)
            return rejecter.error();
        rejecter_ = *std::move(rejecter);
        answering_ = rejecter_.get();
        return Unit{};
    }

    const bpf::MapSet &maps_;
    Skeleton skel_;
    Counters counters_;
    match::Rulesets rulesets_;
    Sets sets_;
    Standing standing_;
    std::set<unsigned> counting_; // counters in use by the rules in force
    mutable std::mutex mutex_;    // of what the watcher changes too: all above and this
    Offloaded offloaded_;
    json section_;
    PacketLog log_;
    std::unique_ptr<Rejecter> rejecter_;         // once a rule rejects
    std::atomic<Rejecter *> answering_{nullptr}; // the same, for the workers
    std::unique_ptr<offload::Watcher> watcher_;  // last: its thread uses the rest
};

Result<std::unique_ptr<FastPath>> load(bpf::MapSet &maps, const json &section, const json &running)
{
    const auto memory = section["memory"].get<std::size_t>() * 1024 * 1024;
    if (auto r = match::prepare(maps, memory, room_for_sets(section, running)); !r)
        return r.error();
    auto skel = Skeleton::load(maps);
    if (!skel)
        return skel.error();
    auto counters = Counters::bind(maps, "efw_counters");
    if (!counters)
        return counters.error();
    auto store = match::Store::bind(maps);
    if (!store)
        return store.error();
    auto elements = SetElements::bind(maps);
    if (!elements)
        return elements.error();
    auto offloaded = Counters::bind(maps, "efw_offload_counters");
    if (!offloaded)
        return offloaded.error();
    auto fast_path = std::make_unique<EfwFastPath>(
        maps, *std::move(skel), *counters, *std::move(store), *std::move(elements), *offloaded);
    fast_path->adopt(running);
    if (auto r = fast_path->apply(section); !r)
        return r.error();
    return std::unique_ptr<FastPath>(std::move(fast_path));
}

std::vector<Destination> destinations(const json &section)
{
    std::vector<Destination> out;
    for (std::size_t i = 0; i < section["rules"].size(); ++i) {
        const auto text = section["rules"][i]["rule"].get<std::string>();
        if (const auto rule = parse_rule(text))
            out.push_back(destination_of(rule->match, "rule " + in_quotes(text),
                                         "/rules/" + std::to_string(i)));
    }
    return out;
}

bool accepts_all(const json &section)
{
    return section["rules"].empty() && section["default"] == "accept" &&
           section["offload"] == false;
}

// Only rules that have the words are read for good: there may be many.
bool some_make_copies(const json &section)
{
    return std::ranges::any_of(section["rules"], [](const json &r) {
        const auto &text = r["rule"].get_ref<const std::string &>();
        if (text.find("log") == text.npos && text.find("reject") == text.npos)
            return false;
        const auto rule = parse_rule(text);
        return rule && makes_copies(*rule);
    });
}

// Its detail is a rule's counter and one.
std::string rule_of(const json &section, unsigned detail)
{
    if (detail & EFW_DETAIL_OFFLOADED)
        return "a rule of netfilter, as it was read";
    if (detail == default_counter + 1U)
        return "default " + section["default"].get<std::string>();
    for (const auto &r : section["rules"])
        if (r["counter"].get<unsigned>() + 1 == detail)
            return "rule " + r["id"].dump() + ": " + r["rule"].get<std::string>();
    return "a rule that is gone";
}

Sets &sets_of(FastPath &fast_path)
{
    return static_cast<EfwFastPath &>(fast_path).sets();
}

Result<json> explain_packets(FastPath &fast_path, const Request &request)
{
    return static_cast<EfwFastPath &>(fast_path).explain(request.body);
}

std::vector<LiveRoute> live_routes()
{
    auto out = set_routes(sets_of);
    out.push_back({"POST", "/explain", explain_packets});
    out.push_back(
        {.method = "GET", .pattern = "/offload", .begin = [](FastPath &fast_path, const Request &) {
             return static_cast<EfwFastPath &>(fast_path).account();
         }});
    return out;
}

const VnfType type{.name = "efw",
                   .descriptor = {.drops = true, .has_rules = true, .copies = true, .cost_ns = 37},
                   .reasons = {EFW_REASONS(EVNF_REASON_ROW)},
                   .routes = section_routes(),
                   .live = live_routes(),
                   .check = check_section,
                   .diff = diff_sections,
                   .load = load,
                   .matches = destinations,
                   .idle = accepts_all,
                   .expire = without_expired,
                   .stepper = make_rule_steps,
                   .copies = some_make_copies,
                   .stream = "/log",
                   .explain = rule_of};
const Registration registration(type);

} // namespace

} // namespace evnf::efw
