// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/set_verbs.hpp"

#include <limits>

#include "base/text.hpp"

namespace evnf::efw
{

namespace
{

using Keys = std::initializer_list<std::string_view>;

Result<> check_body(const json &body, const char *example, Keys keys)
{
    if (!body.is_object() || body.empty())
        return bad_input(std::string("the body is ") + example);
    for (const auto &[key, value] : body.items())
        if (std::find(keys.begin(), keys.end(), key) == keys.end())
            return bad_input(in_quotes(key) + " is not a key of the body, which is " + example,
                             "/" + key);
    return Unit{};
}

Result<match_set_element> element_in(const json &text, SetType type, const std::string &where)
{
    if (!text.is_string())
        return bad_input("an element is a string", where);
    auto e = parse_element(text.get_ref<const std::string &>(), type);
    if (e)
        return *e;
    Error wrong = e.error();
    wrong.where = where;
    return wrong;
}

// Those of an array in the body; none if it is not there.
Result<Elements> elements_in(const json &body, const char *key, SetType type)
{
    Elements out;
    const auto given = body.find(key);
    if (given == body.end())
        return out;
    if (!given->is_array())
        return bad_input(std::string(key) + " is an array of elements", std::string("/") + key);
    out.reserve(given->size());
    for (const auto &text : *given) {
        auto e = element_in(text, type, std::string("/") + key + "/" + std::to_string(out.size()));
        if (!e)
            return e.error();
        out.push_back(*e);
    }
    return out;
}

Result<json> describe(Sets &sets, const DeclaredSet &set)
{
    auto count = sets.elements().count(set);
    if (!count)
        return count.error();
    return json{{"name", set.name},
                {"type", std::string(set_type_text(set.type))},
                {"size", set.size},
                {"count", *count}};
}

Result<json> list(Sets &sets)
{
    json out = json::array();
    for (const auto &set : sets.declared()) {
        auto row = describe(sets, set);
        if (!row)
            return row;
        out.push_back(*std::move(row));
    }
    return out;
}

Result<json> show(Sets &sets, const DeclaredSet &set, const Request &request)
{
    __u32 from = 0;
    if (const auto given = request.query.find("from"); given != request.query.end()) {
        auto n = parse_number(given->second, 0, std::numeric_limits<__u32>::max(), "from");
        if (!n)
            return n.error();
        from = static_cast<__u32>(*n);
    }
    auto out = describe(sets, set);
    if (!out)
        return out;
    auto page = sets.elements().page(set, from);
    if (!page)
        return page.error();
    json elements = json::array();
    for (const auto &e : page->elements)
        elements.push_back(element_text(e, set.type));
    (*out)["elements"] = std::move(elements);
    if (page->next)
        (*out)["next"] = *page->next;
    return out;
}

Result<json> changed(Sets &sets, const DeclaredSet &set, Result<SetElements::Changed> done)
{
    if (!done)
        return done.error();
    auto count = sets.elements().count(set);
    if (!count)
        return count.error();
    return json{{"added", done->added}, {"removed", done->removed}, {"count", *count}};
}

Result<json> change(Sets &sets, const DeclaredSet &set, const Request &request)
{
    if (auto r = check_body(request.body, R"({"add": ["…"], "del": ["…"]}, or one of them)",
                            {"add", "del"});
        !r)
        return r.error();
    auto add = elements_in(request.body, "add", set.type);
    if (!add)
        return add.error();
    auto del = elements_in(request.body, "del", set.type);
    if (!del)
        return del.error();
    return changed(sets, set, sets.change(set, *std::move(add), *std::move(del)));
}

Result<json> replace(Sets &sets, const DeclaredSet &set, const Request &request)
{
    if (auto r = check_body(request.body, R"({"elements": ["…"]})", {"elements"}); !r)
        return r.error();
    auto wanted = elements_in(request.body, "elements", set.type);
    if (!wanted)
        return wanted.error();
    return changed(sets, set, sets.replace(set, *std::move(wanted)));
}

Result<json> test(Sets &sets, const DeclaredSet &set, const Request &request)
{
    if (auto r = check_body(request.body, R"({"of": "192.0.2.1"})", {"of"}); !r)
        return r.error();
    auto of = element_in(request.body["of"], set.type, "/of");
    if (!of)
        return of.error();
    const auto by = sets.elements().member(set, *of);
    json out{{"member", by.has_value()}};
    if (by)
        out["by"] = element_text(*by, set.type);
    return out;
}

} // namespace

std::vector<LiveRoute> set_routes(const std::function<Sets &(FastPath &)> &sets_of)
{
    using Verb = Result<json> (*)(Sets &, const DeclaredSet &, const Request &);
    const auto of_set = [&](Verb verb) {
        return [sets_of, verb](FastPath &fast_path, const Request &request) -> Result<json> {
            Sets &sets = sets_of(fast_path);
            auto set = sets.find(request.words.at(0));
            return set ? verb(sets, *set, request) : set.error();
        };
    };
    return {{"GET", "/sets",
             [sets_of](FastPath &fast_path, const Request &) { return list(sets_of(fast_path)); }},
            {"GET", "/sets/([^/]+)", of_set(show)},
            {"POST", "/sets/([^/]+)/elements", of_set(change)},
            {"PUT", "/sets/([^/]+)/elements", of_set(replace)},
            {"POST", "/sets/([^/]+)/test", of_set(test)}};
}

} // namespace evnf::efw
