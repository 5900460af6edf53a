// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/cases.hpp"
#include "bench/paper.hpp"
#include "bench/subject.hpp"
#include "vnfs/efw/abi.h"
#include "vnfs/elb/abi.h"

namespace evnf::bench
{

namespace
{

constexpr unsigned few_rules = 11, many_rules = 990;

using Made = Result<std::unique_ptr<Program>>;

Made made(Result<std::unique_ptr<Subject>> subject)
{
    if (!subject)
        return subject.error();
    return Made(*std::move(subject));
}

Made chain(const std::vector<Stage> &stages, End end)
{
    return made(Subject::chain(stages, end));
}

Stage efw(unsigned rules)
{
    return {"efw", efw_section(rules), NEXT};
}

Stage elb(const Traffic &traffic)
{
    return {"elb", elb_section(traffic.flows), ELB_NEXT_BACKEND};
}

// With room for all flows. Nobody says what they are: the first packet of each is copied, and then
// they cost what flows do that are known.
Stage edpi()
{
    return {"edpi", {{"flows", 131072}, {"tcp_packets", 1}}, NEXT};
}

class Preparation
{
public:
    explicit Preparation(const Traffic &traffic) : traffic_(traffic) {}

    Result<> add(const std::string &id, const std::string &text, Made subject)
    {
        if (!subject)
            return std::move(subject).context(text).error();
        auto meter = Meter::prepare(*std::move(subject), traffic_);
        if (!meter)
            return std::move(meter).context(text).error();
        cases.push_back({id, text, traffic_, *std::move(meter)});
        return Unit{};
    }

    Result<> add_common()
    {
        const auto few = efw(few_rules);
        const auto balancer = elb(traffic_);
        struct Row {
            std::string id, text;
            std::function<Made()> make;
        };
        const std::vector<Row> rows{
            {"empty", "empty program: the floor", [] { return Made(nullptr); }},
            {"parse", "root -> drop", [] { return chain({}, End::drop); }},
            {"forward", "root -> forward", [] { return chain({}, End::forward); }},
            {"efw", "root -> efw, 11 rules -> forward", [&] { return chain({few}, End::forward); }},
            {"efw_990", "root -> efw, 990 rules -> forward",
             [&] { return chain({efw(many_rules)}, End::forward); }},
            {"elb", "root -> elb -> forward", [&] { return chain({balancer}, End::forward); }},
            {"edpi", "root -> edpi -> forward", [&] { return chain({edpi()}, End::forward); }},
            {"edpi_drop", "root -> edpi -> drop", [&] { return chain({edpi()}, End::drop); }},
            {"paper", "the paper's classifier, which counts nothing",
             [&] { return paper_classifier(traffic_); }},
            {"efw_elb", "root -> efw -> elb -> forward",
             [&] {
                 return chain({few, balancer}, End::forward);
             }},
            {"linked", "the same in one program",
             [&] { return made(Subject::linked(few, balancer)); }},
        };
        for (const auto &row : rows)
            if (auto r = add(row.id, row.text, row.make()); !r)
                return r;
        return Unit{};
    }

    Result<> add_long_chains()
    {
        for (const unsigned length : {2U, 4U, 8U, 16U}) {
            const std::string n = std::to_string(length);
            const std::vector<Stage> stages(length, efw(few_rules));
            if (auto r = add("efw_x" + n, "root -> " + n + " efw -> forward",
                             chain(stages, End::forward));
                !r)
                return r;
        }
        return Unit{};
    }

    std::vector<Case> cases;

private:
    Traffic traffic_;
};

} // namespace

Result<std::vector<Case>> prepare_cases(unsigned flows, unsigned size)
{
    Preparation one({1, size});
    if (auto r = one.add_common(); !r)
        return r.error();
    if (auto r = one.add_long_chains(); !r)
        return r.error();
    auto cases = std::move(one.cases);
    if (flows == 1)
        return cases;
    Preparation many({flows, size});
    if (auto r = many.add_common(); !r)
        return r.error();
    for (auto &c : many.cases)
        cases.push_back(std::move(c));
    return cases;
}

Result<> measure(std::vector<Case> &cases, std::chrono::seconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;
    do {
        for (auto &c : cases)
            if (auto r = c.meter.sample(); !r)
                return std::move(r).context(c.text);
    } while (std::chrono::steady_clock::now() < end);
    for (const auto &c : cases)
        if (auto r = c.meter.check(); !r)
            return std::move(r).context(c.text);
    return Unit{};
}

} // namespace evnf::bench
