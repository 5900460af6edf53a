// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/agentx/source.hpp"

#include <algorithm>
#include <cerrno>

#include "base/log.hpp"
#include "tools/evnf/client.hpp"

namespace evnf::agentx
{

namespace
{

using namespace std::chrono_literals;

// snmpd, and whoever asks it, wait so long.
constexpr auto patience = 3s;
constexpr auto lifetime = 3s;
// Of the time, evnfd is busy with answers for us at most this part: with very many rules they
// take long.
constexpr int busy_part = 20;

Result<json> ask(const std::string &socket, const std::string &path)
{
    return cli::call_api(socket, "GET", path, nullptr, patience);
}

// Of one instance, unless it is in no chain and so has none.
Result<> ask_instance(const std::string &socket, const std::string &path, const std::string &name,
                      json &into)
{
    auto answer = ask(socket, path + "?instance=" + cli::encoded(name));
    if (answer)
        into[name] = *std::move(answer);
    else if (answer.error().code != ENOENT)
        return answer.error();
    return Unit{};
}

Result<Answers> ask_all(const std::string &socket)
{
    Answers out;
    for (auto [path, into] :
         {std::pair{"/v1/status", &out.status}, {"/v1/counters", &out.counters}}) {
        auto answer = ask(socket, path);
        if (!answer)
            return answer.error();
        *into = *std::move(answer);
    }
    for (const auto &one : out.status.at("instances"))
        for (auto [vnf, path, into] : {std::tuple{"elb", "/v1/elb/health", &out.health},
                                       {"elb", "/v1/elb/feedback", &out.feedback},
                                       {"edpi", "/v1/edpi/applications", &out.applications}})
            if (one.at("vnf") == vnf)
                if (auto r = ask_instance(socket, path, one.at("name"), *into); !r)
                    return r.error();
    return out;
}

Result<Snapshot> fetch(const std::string &socket)
{
    try {
        auto answers = ask_all(socket);
        if (!answers)
            return answers.error();
        return snapshot_of(*answers);
    } catch (const json::exception &e) {
        return bad_input("evnfd's answer is not what this version of evnf-agentx knows: " +
                         std::string(e.what()));
    }
}

} // namespace

const Snapshot &Source::now()
{
    const auto began = Clock::now();
    if (began < until_)
        return snapshot_;
    auto fetched = fetch(socket_);
    const std::string problem = fetched ? "" : fetched.error().what;
    if (problem != problem_ && !problem.empty())
        log_warning(problem);
    else if (problem != problem_)
        log_info("evnfd answers on " + socket_);
    problem_ = problem;
    snapshot_ = fetched ? *std::move(fetched) : snapshot_without(problem);
    const auto ended = Clock::now();
    until_ = ended + std::max<Clock::duration>(lifetime, busy_part * (ended - began));
    return snapshot_;
}

} // namespace evnf::agentx
