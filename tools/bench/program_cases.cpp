// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/program_cases.hpp"

#include <algorithm>
#include <functional>

#include "bench/minimal.hpp"
#include "bench/paper.hpp"
#include "bench/report.hpp"
#include "bench/subject.hpp"
#include "bench/xdp_filter.hpp"
#include "vnfs/efw/abi.h"
#include "vnfs/elb/abi.h"

namespace evnf::bench
{

namespace
{

constexpr unsigned few_rules = 11, many_rules = 990;

using Made = Result<std::shared_ptr<Program>>;

struct Candidate {
    std::string id, text;
    std::function<Made()> make;
};

// With room for all flows. Nobody says what they are: the first packet of each is copied, and then
// they cost what flows do that are known.
Stage edpi(unsigned flows)
{
    return {"edpi", {{"flows", std::max(131072U, flows + flows / 8)}, {"tcp_packets", 1}}, NEXT};
}

Made chain(const std::vector<Stage> &stages, End end = End::forward)
{
    return shared(Subject::chain(stages, end));
}

std::vector<Candidate> others(const Traffic &traffic)
{
    return {
        {"minimal_hit", "parse, look the flow up: found",
         [=] { return shared(minimal(traffic, true)); }},
        {"minimal_miss", "parse, look the flow up: not found",
         [=] { return shared(minimal(traffic, false)); }},
        {"paper", "the paper's classifier, which counts nothing",
         [=] { return shared(paper_classifier(traffic)); }},
        {"xdp_filter_hit", "xdp-filter, port drops",
         [] { return shared(xdp_filter(FilterHit::port)); }},
        {"xdp_filter_miss", "xdp-filter, nothing matches",
         [] { return shared(xdp_filter(FilterHit::nothing)); }},
    };
}

std::vector<Candidate> ours(const Traffic &traffic)
{
    const Stage few{"efw", efw_section(few_rules), NEXT};
    const Stage many{"efw", efw_section(many_rules), NEXT};
    const Stage neither{"efw", efw_section_without(few_rules), EFW_NEXT_DEFAULT};
    const Stage classifier = edpi(traffic.flows);
    const Stage balancer{"elb", elb_section(traffic.flows, traffic.family), ELB_NEXT_BACKEND};
    const Stage of_others{"elb", elb_section(1, traffic.family, false), NEXT};
    return {
        {"parse", "root -> drop", [] { return chain({}, End::drop); }},
        {"forward", "root -> forward", [] { return chain({}); }},
        {"efw", "root -> efw, 11 rules -> forward", [=] { return chain({few}); }},
        {"efw_990", "root -> efw, 990 rules -> forward", [=] { return chain({many}); }},
        {"efw_miss", "root -> efw, 11 rules, none matches -> forward",
         [=] { return chain({neither}); }},
        {"elb", "root -> elb -> forward", [=] { return chain({balancer}); }},
        {"elb_miss", "root -> elb, no service of its -> forward",
         [=] { return chain({of_others}); }},
        {"edpi", "root -> edpi -> forward", [=] { return chain({classifier}); }},
        {"edpi_drop", "root -> edpi -> drop", [=] { return chain({classifier}, End::drop); }},
        {"efw_elb", "root -> efw -> elb -> forward",
         [=] {
             return chain({few, balancer});
         }},
        {"linked", "root, efw, elb, forward in one program",
         [=] { return shared(Subject::linked(few, balancer)); }},
        {"efw_edpi_elb", "root -> efw -> edpi -> elb -> forward",
         [=] {
             return chain({few, classifier, balancer});
         }},
    };
}

// A chain beside the same work in another form.
std::string comparison(const std::string &text, const Figures &other, const Figures &chain)
{
    std::string out = "  " + padded(text, 50);
    for (const auto &[from, to] : {std::pair{other.min, chain.min}, {other.median, chain.median}})
        out += number(from, 8, 1) + " ->" + number(to, 6, 1) +
               number(from > 0 ? 100 * (1 - to / from) : 0, 7, 1) + " %";
    return out + "\n";
}

Figures sum(const Figures &a, const Figures &b)
{
    return {.min = a.min + b.min, .median = a.median + b.median};
}

Figures less(const Figures &a, const Figures &b)
{
    return {.min = a.min - b.min, .median = a.median - b.median};
}

} // namespace

Result<> add_program_cases(Cases &cases, const Traffic &traffic, const PeerOptions &peer)
{
    if (auto r = cases.add_floor(traffic); !r)
        return r;
    std::vector<Candidate> candidates;
    if (!peer.object.empty()) // first, as it may not be what was meant
        candidates.push_back({"peer", peer.program, [&] { return shared(load_peer(peer)); }});
    for (const auto &some : {others(traffic), ours(traffic)})
        candidates.insert(candidates.end(), some.begin(), some.end());
    for (const auto &one : candidates) {
        auto made = one.make();
        if (made && !*made) // not installed
            continue;
        if (auto r = cases.add(one.id, one.text, traffic, std::move(made)); !r)
            return r;
    }
    return Unit{};
}

std::string text_of_comparisons(const std::vector<Row> &rows)
{
    const auto row = [&](const char *id) -> const Row & {
        return *std::find_if(rows.begin(), rows.end(), [&](const Row &r) { return r.id == id; });
    };
    const Row &efw = row("efw"), &elb = row("elb"), &both = row("efw_elb");
    const Figures forwarder = less(row("forward").net, row("parse").net);
    const Figures apart = sum(efw.net, elb.net);
    return padded("The chain efw, elb saves against", 52) +
           "   minimum                     median\n" +
           comparison("two programs, gross: as measured, the floor in each",
                      sum(efw.gross, elb.gross), both.gross) +
           comparison("two programs, net: each less the floor", apart, both.net) +
           comparison("two programs, net, only one of them forwards", less(apart, forwarder),
                      both.net) +
           comparison("one program without tail calls, net", row("linked").net, both.net);
}

} // namespace evnf::bench
