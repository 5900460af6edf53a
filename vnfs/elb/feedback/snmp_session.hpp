// SPDX-License-Identifier: GPL-2.0-or-later
// The adapter to Net-SNMP: one session with one agent, one question at a time. Nothing waits.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/net.hpp"
#include "vnfs/elb/feedback/settings.hpp"
#include "vnfs/elb/health/state.hpp"

namespace evnf::elb
{

class SnmpSession
{
public:
    using Oid = std::vector<unsigned long>;
    using Row = std::pair<Oid, std::optional<double>>; // none: no number, or nothing there
    using Rows = std::vector<Row>;

    // With v3 and an empty `engine` it can only discover().
    static Result<SnmpSession> open(const Address &to, const SnmpSettings &settings,
                                    const std::string &engine, double timeout);
    SnmpSession(SnmpSession &&other) noexcept;
    SnmpSession &operator=(SnmpSession &&) = delete;
    ~SnmpSession();

    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] Time until() const { return until_; }

    Result<> discover();
    Result<> get(const std::vector<Oid> &oids);
    Result<> get_next(const Oid &after, int rows); // GETBULK
    // The answer to the question, or why there is none; nothing yet.
    std::optional<Result<Rows>> read(Time now);
    // After discover() was answered.
    [[nodiscard]] const std::string &engine() const { return answer_->engine; }

private:
    struct Answer { // stays where it is, for Net-SNMP's callback
        bool there = false;
        Error error;
        Rows rows;
        std::string engine;
    };
    SnmpSession() = default;
    Result<> send(void *pdu);
    static int on_answer(int operation, void *session, int request, void *pdu, void *answer);

    void *handle_ = nullptr;
    int fd_ = -1;
    bool discovers_ = false;
    double timeout_ = 1;
    Time until_{};
    std::string peer_;
    std::unique_ptr<Answer> answer_;
};

SnmpSession::Oid parse_oid(const std::string &text);

} // namespace evnf::elb
