// SPDX-License-Identifier: GPL-2.0-or-later
// Every verb that a VNF adds to the API is in its description, and none besides.
#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>
#include <set>

#include "openapi.h"
#include "vnfs/vnf.hpp"

using namespace evnf;

namespace
{

// "/rules/([0-9]+)" and "/rules/{id}" are one shape.
std::string shape(const std::string &path)
{
    const std::string groups = std::regex_replace(path, std::regex(R"(\([^)]*\))"), "{}");
    return std::regex_replace(groups, std::regex(R"(\{[^}]*\})"), "{}");
}

} // namespace

TEST_CASE("the API's description has the VNFs' verbs, all and only")
{
    std::set<std::string> described, served;
    const json document = json::parse(openapi_document);
    for (const auto &[path, operations] : document["paths"].items())
        for (const auto &[method, operation] : operations.items())
            for (const auto *type : vnf_types())
                if (path.starts_with("/v1/" + type->name + "/"))
                    described.insert(method + " " + shape(path));
    for (const auto *type : vnf_types())
        if (!type->stream.empty())
            served.insert("get /v1/" + type->name + type->stream);
    for (const auto *type : vnf_types()) {
        const auto serve = [&](const auto &routes) {
            for (const auto &route : routes) {
                std::string method = route.method;
                std::transform(method.begin(), method.end(), method.begin(), ::tolower);
                served.insert(method + " /v1/" + type->name + shape(route.pattern));
            }
        };
        serve(type->routes);
        serve(type->live);
    }
    CHECK(described == served);
    CHECK_FALSE(served.empty());
}
