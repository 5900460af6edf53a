// SPDX-License-Identifier: GPL-2.0-or-later
// The API's verbs that change the policies of edpi's section.
#include "base/text.hpp"
#include "vnfs/edpi/policy.hpp"
#include "vnfs/edpi/verbs.hpp"

namespace evnf::edpi
{

namespace
{

std::size_t index_of(const json &policies, const std::string &name)
{
    std::size_t i = 0;
    while (i < policies.size() && policies[i]["name"] != name)
        ++i;
    return i;
}

Error no_policy(const json &policies, const std::string &name)
{
    std::string there;
    for (const auto &p : policies)
        there += (there.empty() ? "" : ", ") + p["name"].get<std::string>();
    return {.code = ENOENT,
            .what = "no policy is named " + in_quotes(name) + ": there is " +
                    (there.empty() ? "none" : there)};
}

// One policy as the body of a request has it.
Result<json> read_policy(const json &section, const json &table)
{
    auto names = names_of(section["protocols"]);
    if (!names)
        return names.error();
    return check_policy(table, "", *names);
}

Result<Edit> add(const json &section, const Request &request)
{
    json table = request.body;
    std::string before;
    if (table.is_object() && table.contains("before")) {
        if (!table["before"].is_string())
            return bad_input("before is the name of a policy", "/before");
        before = table["before"];
        table.erase("before");
    }
    auto policy = read_policy(section, table);
    if (!policy)
        return policy.error();
    json next = section;
    auto &all = next["policy"];
    const std::string name = (*policy)["name"];
    if (index_of(all, name) < all.size())
        return Error{.code = EEXIST,
                     .what = "there is a policy named " + in_quotes(name) +
                             " already: 'policy set' changes it"};
    auto at = all.end();
    if (!before.empty()) {
        const auto i = index_of(all, before);
        if (i == all.size())
            return no_policy(all, before);
        at = all.begin() + static_cast<std::ptrdiff_t>(i);
    }
    all.insert(at, *policy);
    return Edit{std::move(next), *std::move(policy)};
}

Result<Edit> replace_all(const json &section, const Request &request)
{
    if (!request.body.is_object() || !request.body.contains("policies") || request.body.size() != 1)
        return bad_input(R"(the body is {"policies": [...]})");
    auto names = names_of(section["protocols"]);
    if (!names)
        return names.error();
    auto policies = check_policies(request.body["policies"], *names);
    if (!policies) {
        Error e = policies.error();
        if (e.where.starts_with("/policy"))
            e.where.replace(0, sizeof "/policy" - 1, "/policies");
        return e;
    }
    json next = section;
    next["policy"] = *policies;
    return Edit{std::move(next), {{"policies", *std::move(policies)}}};
}

Result<Edit> set(const json &section, const Request &request)
{
    const std::string &name = request.words.at(0);
    json table = request.body;
    if (table.is_object() && table.value("name", json(name)) != name)
        return bad_input("the policy is called " + in_quotes(name) + ": leave its name out",
                         "/name");
    if (table.is_object())
        table["name"] = name;
    json next = section;
    auto &all = next["policy"];
    const auto i = index_of(all, name);
    if (i == all.size())
        return no_policy(all, name);
    auto policy = read_policy(section, table);
    if (!policy)
        return policy.error();
    all[i] = *policy;
    return Edit{std::move(next), *std::move(policy)};
}

Result<Edit> remove(const json &section, const Request &request)
{
    const std::string &name = request.words.at(0);
    json next = section;
    auto &all = next["policy"];
    const auto i = index_of(all, name);
    if (i == all.size())
        return no_policy(all, name);
    all.erase(i);
    return Edit{std::move(next), {{"name", name}}};
}

} // namespace

std::vector<Route> policy_routes()
{
    const std::string one = "/policies/([A-Za-z0-9_-]+)";
    return {{"POST", "/policies", add},
            {"PUT", "/policies", replace_all},
            {"PUT", one, set},
            {"DELETE", one, remove}};
}

} // namespace evnf::edpi
