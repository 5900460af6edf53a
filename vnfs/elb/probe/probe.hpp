// SPDX-License-Identifier: GPL-2.0-or-later
// Asking servers, many at once on one thread, without waiting for any. Each kind of probe has
// descriptors to poll for, a time at which it must run in any case, and run(), which carries
// on what it can and calls back where there is an outcome. All is for one thread.
#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/net.hpp"
#include "vnfs/elb/health/state.hpp"

namespace evnf::elb
{

struct HttpRequest {
    Endpoint to;
    bool tls = false;
    bool verify = false; // the certificate
    std::string ca_file; // none: those of the system
    std::string method = "GET";
    std::string path = "/";
    std::string host; // none: the address
    double timeout = 1;
};

struct HttpAnswer {
    std::string error; // for people; empty if there was an answer
    long status = 0;
    std::string body; // at the most its first 64 KiB
    double seconds = 0;
};

class Probes
{
public:
    virtual ~Probes() = default;
    virtual void add_descriptors(std::vector<curl_waitfd> &all) const = 0;
    [[nodiscard]] virtual std::optional<Time> deadline() const = 0;
    virtual void run(Time now) = 0;
};

// HTTP, HTTPS and mere connections, by libcurl. Also what all others wait by.
class WebProbes
{
public:
    using Done = std::function<void(const HttpAnswer &)>;

    WebProbes();
    ~WebProbes();
    void http(const HttpRequest &request, Done done);
    void connect(const Endpoint &to, double timeout, Done done);
    // Until something happens to its own probes or to `others`, wake() is called, or `until`.
    void wait(std::vector<curl_waitfd> &others, Time until);
    void run();
    void wake(); // from any thread

private:
    struct Transfer;
    void start(std::unique_ptr<Transfer> transfer);

    CURLM *multi_;
    std::vector<std::unique_ptr<Transfer>> transfers_;
};

// Programs, run as nobody, without privileges. The outcome is good if it exits with 0.
class ScriptProbes : public Probes
{
public:
    using Done = std::function<void(const Check &)>;

    ScriptProbes();
    ~ScriptProbes() override;
    void start(const std::vector<std::string> &command, const std::vector<std::string> &environment,
               double timeout, Done done);
    void add_descriptors(std::vector<curl_waitfd> &all) const override;
    [[nodiscard]] std::optional<Time> deadline() const override;
    void run(Time now) override;

private:
    struct Child;
    std::vector<std::unique_ptr<Child>> children_;
};

// One line, that a server says when it is connected to.
class LineProbes : public Probes
{
public:
    using Done = std::function<void(const Result<std::string> &)>;

    LineProbes();
    ~LineProbes() override;
    void start(const Endpoint &to, double timeout, Done done);
    void add_descriptors(std::vector<curl_waitfd> &all) const override;
    [[nodiscard]] std::optional<Time> deadline() const override;
    void run(Time now) override;

private:
    struct Connection;
    std::vector<std::unique_ptr<Connection>> connections_;
};

// What a health check says about an answer.
Check judge(const HttpAnswer &answer, const HealthSettings &settings);

} // namespace evnf::elb
