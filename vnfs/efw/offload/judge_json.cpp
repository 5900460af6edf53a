// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "vnfs/efw/offload/judge.hpp"

namespace evnf::efw::offload
{

namespace
{

using nlohmann::json;

json case_json(const Case &c, const std::vector<Origin> &origins)
{
    static constexpr const char *fates[] = {"accept", "drop", "reject", "unknown"};
    json out{{"verdict", fates[static_cast<int>(c.fate)]}};
    if (c.decider != no_origin)
        out["rule"] = origin_json(origins[c.decider]);
    if (!c.cause.empty())
        out["because"] = c.cause;
    json path = json::array();
    for (const auto origin : c.path)
        path.push_back(origin_json(origins[origin]));
    out["path"] = std::move(path);
    return out;
}

} // namespace

json judgement_json(const Judgement &judgement, const std::vector<Origin> &origins)
{
    const Case &first = judgement.cases.front();
    const bool one =
        judgement.complete &&
        std::all_of(judgement.cases.begin(), judgement.cases.end(), [&](const Case &c) {
            return c.fate == first.fate && c.decider == first.decider && c.cause == first.cause;
        });
    if (one)
        return case_json(first, origins);
    json cases = json::array();
    for (const auto &c : judgement.cases) {
        cases.push_back(case_json(c, origins));
        cases.back()["assuming"] = c.assuming;
    }
    return {{"verdict", "depends"}, {"complete", judgement.complete}, {"cases", std::move(cases)}};
}

} // namespace evnf::efw::offload
