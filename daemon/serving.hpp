// SPDX-License-Identifier: GPL-2.0-or-later
// What the parts of the API share: the server, and how an answer looks.
#pragma once

#include <httplib.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "daemon/api.hpp"

namespace evnf
{

struct Api::Serving {
    httplib::Server server;
    std::thread thread;
    std::atomic<bool> ending = false;    // answers that go on must end now
    std::atomic<unsigned> following = 0; // feeds that are read
};

constexpr const char *json_type = "application/json";

inline int http_status(const Error &e)
{
    switch (e.code) {
    case 0:
        return 400;
    case ENOENT:
        return 404;
    case EEXIST:
        return 409;
    case EDQUOT: // a bound of ours
    case ENOSPC: // of the system's
        return 507;
    default:
        return 500;
    }
}

inline void answer(httplib::Response &response, const json &body)
{
    response.set_content(body.dump(), json_type);
}

inline void answer(httplib::Response &response, const Error &e)
{
    const int status = http_status(e);
    const bool of_system = status == 500 || e.code == ENOSPC;
    json body{{"error", of_system ? e.message() : e.what}};
    if (!e.where.empty())
        body.update({{"where", e.where}, {"offset", e.offset}, {"length", e.length}});
    response.status = status;
    answer(response, body);
}

} // namespace evnf
