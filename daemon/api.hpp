// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>

#include "base/loop.hpp"
#include "base/result.hpp"
#include "daemon/daemon.hpp"

namespace httplib
{
class Server;
struct Request;
struct Response;
} // namespace httplib

namespace evnf
{

// The control API: HTTP and JSON on a Unix socket, as daemon/openapi.json describes it.
// Who may use it is said by the socket's owner and mode: root and the group evnf.
// Requests are read by the server's threads and carried out on the loop's.
class Api
{
public:
    static Result<std::unique_ptr<Api>> listen(const std::string &socket_path, Loop &loop,
                                               Daemon &daemon);
    ~Api(); // stops serving and removes the socket
    Api(const Api &) = delete;
    Api &operator=(const Api &) = delete;

private:
    Api(std::string socket_path, Loop &loop, Daemon &daemon);
    void add_routes();
    void add_vnf_routes(const VnfType &type);
    // In api_watch.cpp.
    void add_watch_routes();
    void serve_trace(const httplib::Request &request, httplib::Response &response);
    void serve_times(const httplib::Request &request, httplib::Response &response);
    void serve_feed(const VnfType &type, const httplib::Request &request,
                    httplib::Response &response);
    Result<> open_socket();

    struct Serving; // the server and its thread
    std::string socket_path_;
    Loop &loop_;
    Daemon &daemon_;
    std::unique_ptr<Serving> serving_;
};

} // namespace evnf
