// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/decide_cases.hpp"

#include <chrono>

#include "bench/subject.hpp"
#include "bench/xdp_filter.hpp"
#include "vnfs/efw/abi.h"

namespace evnf::bench
{

namespace
{

constexpr unsigned frame_size = 74; // the least with TCP over IPv6

// What becomes of the packet.
struct Way {
    Meets meets;
    bool accept;
    const char *id, *text;
    std::uint32_t reason;
    End end;
};
constexpr Way ways[] = {
    {Meets::last_rule, false, "efw_last", "efw, last rule drops", EFW_DROP_RULE, End::decided},
    {Meets::first_rule, false, "efw_first", "efw, first rule drops", EFW_DROP_RULE, End::decided},
    {Meets::the_default, false, "efw_default", "efw, default drops", EFW_DROP_DEFAULT,
     End::decided},
    {Meets::last_rule, true, "efw_accept", "efw, last rule accepts, next stage", NEXT, End::drop},
};

struct Prepared {
    RulesCase about;
    Meter meter;
};

class Preparation
{
public:
    Preparation(int family, const RulesOptions &options) : family_(family), options_(options) {}

    // One program, with each number of flows.
    Result<> add(const std::string &id, const std::string &text, std::size_t rules,
                 Result<std::shared_ptr<Program>> program)
    {
        if (!program)
            return std::move(program).context(text).error();
        for (const unsigned flows : options_.flows) {
            const Traffic traffic{flows, frame_size, family_};
            auto meter = Meter::prepare(*program, traffic);
            if (!meter)
                return std::move(meter).context(text).error();
            cases.push_back({{id, text, rules, traffic}, *std::move(meter)});
        }
        return Unit{};
    }

    Result<> add_others()
    {
        if (auto r = add("empty", "empty program: the floor", 0, std::shared_ptr<Program>()); !r)
            return r;
        struct Row {
            FilterHit hit;
            const char *id, *text;
        };
        for (const auto &[hit, id, text] :
             {Row{FilterHit::port, "xdp_filter_hit", "xdp-filter, port drops"},
              Row{FilterHit::nothing, "xdp_filter_miss", "xdp-filter, nothing matches"}}) {
            auto filter = xdp_filter(hit);
            if (filter && !*filter) // not installed
                continue;
            auto r = filter ? add(id, text, 0, std::shared_ptr<Program>(*std::move(filter)))
                            : Result<>(filter.error());
            if (!r)
                return r;
        }
        return Unit{};
    }

    Result<> add_efw(Shape shape, std::size_t rules)
    {
        for (const Way &way : ways) {
            auto section = section_of({shape, family_, rules, way.meets, way.accept});
            if (!section)
                return section.error();
            auto subject = Subject::chain({{"efw", *section, way.reason}}, way.end);
            auto r = subject ? add(way.id, way.text, rules,
                                   std::shared_ptr<Program>(*std::move(subject)))
                             : Result<>(subject.error());
            if (!r)
                return r;
        }
        return Unit{};
    }

    std::vector<Prepared> cases;

private:
    int family_;
    const RulesOptions &options_;
};

} // namespace

Result<std::vector<RulesCase>> measure_rules(Shape shape, int family, const RulesOptions &options)
{
    Preparation preparation(family, options);
    if (auto r = preparation.add_others(); !r)
        return r.error();
    for (const std::size_t rules : options.sizes)
        if (auto r = preparation.add_efw(shape, rules); !r)
            return std::move(r).context(std::to_string(rules) + " rules").error();

    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
    do {
        for (auto &c : preparation.cases)
            if (auto r = c.meter.sample(); !r)
                return std::move(r).context(c.about.text).error();
    } while (std::chrono::steady_clock::now() < end);

    std::vector<RulesCase> out;
    for (auto &c : preparation.cases) {
        if (auto r = c.meter.check(); !r)
            return std::move(r).context(c.about.text).error();
        c.about.gross = figures_of(c.meter.samples());
        out.push_back(std::move(c.about));
    }
    return out;
}

} // namespace evnf::bench
