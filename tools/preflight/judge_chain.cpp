// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "tools/preflight/judge.hpp"

namespace evnf::preflight
{

namespace
{

std::string mebibytes(std::uint64_t bytes)
{
    return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

Finding judge_memory(const Host &h, const Trial &trial)
{
    Finding f{Level::ok, "chains", "memory", "the tables take " + mebibytes(trial.bytes)};
    std::optional<std::uint64_t> room = h.memory_available;
    std::string where = " that are available";
    if (h.memory_left && (!room || *h.memory_left < *room)) {
        room = h.memory_left;
        where = " that the limit of this control group leaves";
    }
    if (!room) {
        f.level = Level::note;
        f.text += "; how much memory is available is not known";
        return f;
    }
    f.text += " of " + mebibytes(*room) + where;
    if (trial.bytes > *room) {
        f.level = Level::error;
        f.text += ": give the machine more, or the tables less";
    } else if (trial.bytes > *room / 2) {
        f.level = Level::warning;
        f.text += ": a change of the chains has the old and the new ones for a moment";
    }
    return f;
}

bool any_resumes(const std::vector<ChainFacts> &chains)
{
    return std::any_of(chains.begin(), chains.end(), [](const auto &c) { return c.resumes; });
}

} // namespace

std::vector<Finding> judge_chains(const Facts &facts)
{
    std::vector<Finding> out;
    if (facts.chains.empty())
        return out;
    if (!facts.trial)
        out.push_back({Level::note, "chains", "load",
                       "whether they can be loaded is not known without privilege"});
    else if (!facts.trial->error.empty())
        out.push_back(
            {Level::error, "chains", "load", "they cannot be loaded: " + facts.trial->error});
    else
        out.push_back({Level::ok, "chains", "load",
                       "the kernel has taken the programs of all chains, on trial"});
    if (facts.trial && facts.trial->error.empty())
        out.push_back(judge_memory(facts.host, *facts.trial));
    if (any_resumes(facts.chains) && facts.host.clsact == false)
        out.push_back({Level::error, "chains", "tc",
                       "this kernel has no clsact qdisc (CONFIG_NET_SCH_INGRESS), by which packets "
                       "come back from the kernel to their chain"});
    for (const auto &m : facts.misfits)
        out.push_back(
            {m.may_pass ? Level::warning : Level::error, "chains", "surroundings", m.text});
    return out;
}

} // namespace evnf::preflight
