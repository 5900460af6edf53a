// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/linter.hpp"

#include <algorithm>

namespace evnf::efw::analysis
{

namespace
{

constexpr std::size_t most_overlaps = 3; // that are told of one rule

} // namespace

// Whether rule i means all that rule j means: then j is an exception to it.
bool Linter::exception(std::uint32_t j, std::uint32_t i) const
{
    for (std::size_t w = 0; w < worlds; ++w)
        if (const Item *inner = boxes_.of(j, w)) {
            const Item *outer = boxes_.of(i, w);
            if (!outer || !within(inner->box, outer->box))
                return false;
        }
    return true;
}

void Linter::overlaps(std::uint32_t i)
{
    Rules others;
    std::optional<Packet> witness;
    bool undecided = false;
    for (std::size_t w = 0; w < worlds && others.size() < most_overlaps; ++w) {
        const Item *item = boxes_.of(i, w);
        if (!item || item->unseen || item->effect == Effect::none)
            continue;
        for (const Item *earlier : deciding(w, item->box, i, i)) {
            const auto j = earlier->rule;
            if (others.size() == most_overlaps)
                break;
            if (earlier->action == item->action || exception(j, i) ||
                std::find(others.begin(), others.end(), j) != others.end())
                continue;
            if (auto packet = taken_by(i, j, w, undecided)) {
                others.push_back(j);
                if (!witness)
                    witness = packet;
            }
        }
    }
    if (!others.empty())
        found({Fault::overlap, i, others, witness, others.front(), ""});
    else if (undecided)
        out_.undecided.push_back({i, Fault::overlap});
}

void Linter::useless_parts(std::uint32_t i)
{
    for (const auto &value : listed_values(ruleset_.rules[i].match))
        useless_part(i, value);
}

void Linter::useless_part(std::uint32_t i, const ListedValue &value)
{
    Finding out{.fault = Fault::useless_part, .rule = i, .part = value.text};
    for (std::size_t w = 0; w < worlds; ++w) {
        const auto box = space_.box(value.match, w);
        if (!box || !space_.sees(value.field, w))
            continue;
        const auto before = deciding(w, *box, i, i);
        Budget budget{options_.budget};
        const Cover c = cover(space_.world(w), *box, before, budget);
        if (c.covered == Covered::undecided)
            out_.undecided.push_back({i, Fault::useless_part});
        if (c.covered != Covered::yes)
            return;
        for (const Item *needed : c.needed)
            out.others.push_back(needed->rule);
        if (!out.witness) {
            out.decider = before.front()->rule;
            out.witness = space_.packet(both(*box, before.front()->box), w);
        }
    }
    std::sort(out.others.begin(), out.others.end());
    out.others.erase(std::unique(out.others.begin(), out.others.end()), out.others.end());
    found(std::move(out));
}

} // namespace evnf::efw::analysis
