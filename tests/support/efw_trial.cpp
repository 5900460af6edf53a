// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/efw_trial.hpp"

#include <chrono>
#include <sstream>

#include "vnfs/vnf.hpp"

namespace evnf::efw
{

namespace
{

using model::Answer;
using test::must;

void add(counter &to, const pkt &p)
{
    ++to.packets;
    to.bytes += p.len;
}

counter difference(const counter &after, const counter &before)
{
    return {after.packets - before.packets, after.bytes - before.bytes};
}

bool same(const counter &a, const counter &b)
{
    return a.packets == b.packets && a.bytes == b.bytes;
}

__u32 reason_of(efw_action action, bool by_default)
{
    switch (action) {
    case EFW_ACCEPT:
        return by_default ? __u32{EFW_NEXT_DEFAULT} : __u32{NEXT};
    case EFW_DROP:
        return by_default ? EFW_DROP_DEFAULT : EFW_DROP_RULE;
    case EFW_SLOW:
        return by_default ? EFW_SLOW_DEFAULT : EFW_SLOW_RULE;
    case EFW_REJECT:
        return EFW_DROP_REJECT;
    case EFW_COUNT:
        break;
    }
    return CHAIN_MAX_REASONS; // none: the packet goes on
}

__u32 reason_of(const Trial &trial, const pkt &p, const Answer &answer)
{
    if (answer.counted.size() == EFW_MAX_STEPS)
        return EFW_SLOW_STEPS;
    if (answer.rule == model::cannot_tell)
        return p.frag == PKT_FRAG_NONE ? __u32{SLOW_L4_UNKNOWN} : __u32{SLOW_FRAGMENT};
    if (answer.rule == model::by_default)
        return reason_of(trial.otherwise, true);
    return reason_of(trial.rules[static_cast<std::size_t>(answer.rule)].action, false);
}

// More counting rules than the program follows end the packet's way before the rest.
Answer cut(Answer answer)
{
    if (answer.counted.size() >= EFW_MAX_STEPS)
        answer = {{answer.counted.begin(), answer.counted.begin() + EFW_MAX_STEPS},
                  model::cannot_tell};
    return answer;
}

// Takes away what is not needed for it to fail, in ever smaller parts.
template <class List, class Fails>
void shrink(List &list, const Fails &fails)
{
    for (std::size_t part = std::max<std::size_t>(list.size() / 2, 1);; part /= 2) {
        for (std::size_t at = 0; at < list.size();) {
            const List whole = list;
            const auto begin = list.begin() + static_cast<std::ptrdiff_t>(at);
            list.erase(begin,
                       begin + static_cast<std::ptrdiff_t>(std::min(part, list.size() - at)));
            if (!fails()) {
                list = whole;
                at += part;
            }
        }
        if (part <= 1)
            return;
    }
}

std::string text_of(const Answer &answer, const Trial &trial)
{
    std::ostringstream out;
    for (const auto i : answer.counted)
        out << "counted by rule " << i << ", ";
    if (answer.rule >= 0)
        out << "rule " << answer.rule;
    else
        out << (answer.rule == model::by_default ? "the default" : "cannot be told");
    out << " of " << trial.rules.size();
    return out.str();
}

void describe(std::ostream &out, const Trial &trial, const Counts &seen)
{
    const Counts expected = expected_counts(trial);
    for (const auto &[name, set] : trial.world.sets) {
        out << "set " << name << ":";
        for (const auto &e : set) {
            out << " ";
            if (e.address)
                out << e.address->first.text() << "-" << e.address->last.text();
            if (e.port)
                out << ":" << e.port->first;
        }
        out << "\n";
    }
    auto counts = [&](const std::string &what, const counter &model, const counter &program) {
        if (!same(model, program))
            out << "  " << what << ": model " << model.packets << " packets, program "
                << program.packets << "\n";
    };
    for (std::size_t i = 0; i < trial.rules.size(); ++i)
        out << "rule " << i << ": " << text_of(trial.rules[i]) << "\n";
    const model::Model model(trial.rules, trial.world);
    for (const auto &p : trial.packets)
        out << "packet: " << model::describe(p, trial.world)
            << "\n  model: " << text_of(cut(model.decide(p)), trial) << "\n";
    for (std::size_t i = 0; i < trial.rules.size(); ++i)
        counts("rule " + std::to_string(i), expected.rules[i], seen.rules[i]);
    counts("default", expected.otherwise, seen.otherwise);
    auto reasons = expected.reasons;
    for (const auto &[reason, count] : seen.reasons)
        reasons.emplace(reason, counter{});
    for (const auto &[reason, count] : reasons) {
        const auto it = seen.reasons.find(reason);
        counts("reason " + std::to_string(reason), count,
               it == seen.reasons.end() ? counter{} : it->second);
    }
}

} // namespace

json section_of(const Trial &trial, const json &running)
{
    json sets = json::object();
    for (const auto &[name, family, ports] : model::set_names)
        if (trial.world.sets.contains(name))
            sets[name] = {{"type", !ports ? "addr" : family ? "addr_port" : "port"}};
    json texts = json::array();
    for (const auto &r : trial.rules)
        texts.push_back(text_of(r));
    return must(find_vnf("efw")->check({{"default", std::string(action_text(trial.otherwise))},
                                        {"memory", 64}, // for the most rules
                                        {"rules", std::move(texts)},
                                        {"sets", std::move(sets)}},
                                       running));
}

void fill_sets(const Trial &trial, const json &section, SetElements elements)
{
    for (const auto &set : declared_sets(section)) {
        Elements wanted;
        for (const auto &[address, port] : trial.world.sets.at(set.name))
            if (address && port)
                wanted.push_back(element_of(Endpoint{address->first, port->first}));
            else
                wanted.push_back(address ? element_of(match::covering(*address))
                                         : element_of_port(port->first));
        must(elements.replace(set, std::move(wanted)));
    }
}

bool operator==(const Counts &a, const Counts &b)
{
    return std::equal(a.rules.begin(), a.rules.end(), b.rules.begin(), b.rules.end(), same) &&
           same(a.otherwise, b.otherwise) &&
           std::equal(a.reasons.begin(), a.reasons.end(), b.reasons.begin(), b.reasons.end(),
                      [](const auto &x, const auto &y) {
                          return x.first == y.first && same(x.second, y.second);
                      });
}

Counts expected_counts(const Trial &trial)
{
    const model::Model model(trial.rules, trial.world);
    Counts out;
    out.rules.resize(trial.rules.size());
    for (const auto &p : trial.packets) {
        const Answer answer = cut(model.decide(p));
        for (const auto i : answer.counted)
            add(out.rules[i], p);
        if (answer.rule >= 0)
            add(out.rules[static_cast<std::size_t>(answer.rule)], p);
        else if (answer.rule == model::by_default)
            add(out.otherwise, p);
        add(out.reasons[reason_of(trial, p, answer)], p);
    }
    return out;
}

void Tester::apply(const Trial &trial)
{
    section_ = section_of(trial, section_);
    // A ruleset for which there is no room is put in force by loading the program anew.
    if (!bench_ || !bench_->fast_path().apply(section_))
        bench_ = std::make_unique<test::EfwBench>(section_);
    fill_sets(trial, section_, bench_->sets());
}

// What the counters say, absolutely.
Counts Tester::counts(const Trial &trial) const
{
    Counts out;
    for (std::size_t i = 0; i < trial.rules.size(); ++i)
        out.rules.push_back(bench_->rule(section_["rules"][i]["counter"].get<__u32>()));
    out.otherwise = bench_->rule(0);
    for (__u32 r = 0; r < CHAIN_MAX_REASONS; ++r)
        out.reasons[r] = bench_->reason(r);
    return out;
}

// Of one run of the packets.
Counts Tester::run(const Trial &trial)
{
    Counts before = counts(trial);
    for (std::size_t at = 0; at < trial.packets.size(); at += test::EfwBench::most_packets)
        bench_->run_all(
            std::span(trial.packets)
                .subspan(at, std::min(test::EfwBench::most_packets, trial.packets.size() - at)));
    Counts out = counts(trial);
    for (std::size_t i = 0; i < out.rules.size(); ++i)
        out.rules[i] = difference(out.rules[i], before.rules[i]);
    out.otherwise = difference(out.otherwise, before.otherwise);
    for (auto &[reason, count] : out.reasons)
        count = difference(count, before.reasons[reason]);
    std::erase_if(out.reasons, [](const auto &r) { return r.second.packets == 0; });
    return out;
}

std::optional<Counts> Tester::disagrees(const Trial &trial, const Counts &expected)
{
    apply(trial);
    return run_twice(trial, expected);
}

std::optional<Counts> Tester::run_twice(const Trial &trial, const Counts &expected)
{
    for (int time = 0; time < 2; ++time)
        if (Counts seen = run(trial); !(seen == expected))
            return seen;
    return std::nullopt;
}

void Tester::fail(const Trial &trial, const Counts &seen, const std::string &what)
{
    std::ostringstream out;
    out << what << "\n";
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    Trial least = trial;
    const auto fails = [&] {
        return std::chrono::steady_clock::now() < until &&
               disagrees(least, expected_counts(least)).has_value();
    };
    if (!fails()) {
        out << "only after what was before it; its counts:\n";
        describe(out, trial, seen);
    } else {
        shrink(least.packets, fails);
        shrink(least.rules, fails);
        const auto instead = disagrees(least, expected_counts(least));
        describe(out, least, instead ? *instead : expected_counts(least));
    }
    FAIL(out.str());
}

void Tester::check(const Trial &trial, const std::string &what)
{
    const Counts expected = expected_counts(trial);
    if (const auto seen = disagrees(trial, expected))
        fail(trial, *seen, what);
    checked_ += 2 * trial.packets.size();
    by_rule_ += 2 * (trial.packets.size() - expected.otherwise.packets);
    for (const auto &[reason, count] : expected.reasons)
        reasons_[reason] += 2 * count.packets;
}

void Tester::check_in_force(const Trial &trial, const json &section, const std::string &what)
{
    section_ = section;
    if (const auto seen = run_twice(trial, expected_counts(trial)))
        fail(trial, *seen, what);
    checked_ += 2 * trial.packets.size();
}

} // namespace evnf::efw
