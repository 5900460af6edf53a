// SPDX-License-Identifier: GPL-2.0-or-later
// What load is asked of a backend, and what its weight makes of it: elb's `feedback` tables.
// As for health, the most special of [elb.feedback], the service's and the backend's counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vnfs/vnf.hpp"

namespace evnf::elb
{

// One LOAD_j: a number from the server, brought to 0 (idle) … 1 (full).
struct Index {
    enum class Source {
        snmp,       // the one value of oids[0]
        snmp_mean,  // the mean of the column oids[0]
        snmp_taken, // 1 - oids[0] / oids[1]: free and total
        http,       // a number, or the field of a JSON document
        tcp,        // a line such as "75%", as HAProxy's agents say it
    };
    Source source = Source::snmp;
    std::string name;              // "cpu", "1.3.6.1…", "http :8000/load"
    std::vector<std::string> oids; // with numbers, without a dot in front
    std::uint16_t port = 0;        // http and tcp; 0: the backend's
    std::string path;              // http
    std::string field;             // http: a JSON pointer; empty: the whole body
    double idle = 0, full = 1;     // the values that mean load 0 and load 1
    double weight = 1;             // R_j, before their sum is made 1

    [[nodiscard]] double load(double value) const; // in [0, 1]
    [[nodiscard]] bool is_snmp() const { return source <= Source::snmp_taken; }
    friend bool operator==(const Index &, const Index &) = default;
};

// Secrets are in files of their own, that only root may read: the section is shown by the API.
struct SnmpSettings {
    unsigned version = 2; // 2: v2c; 3: v3 with authentication and privacy
    std::uint16_t port = 161;
    std::string community_file; // none: "public"
    std::string user, auth = "SHA", auth_file, priv = "AES", priv_file;
    friend bool operator==(const SnmpSettings &, const SnmpSettings &) = default;
};

struct FeedbackSettings {
    double interval = 5;                 // seconds, as for health
    double timeout = 1;                  // seconds
    double jitter = 0.1;                 // share of the interval
    double gain = 0.2;                   // A, in static weights
    std::optional<double> target = 0.95; // none: the mean of the service's backends
    double least = 1, most = 10;         // bounds, in static weights
    double smoothing = 0.5;              // share of the old aggregate that stays in the new
    double threshold = 0.05; // a step that is no greater is not taken, in static weights
    double hold = 30;        // seconds that the weight outlives its last measurement
    SnmpSettings snmp;
    std::vector<Index> indices; // none: no feedback
    friend bool operator==(const FeedbackSettings &, const FeedbackSettings &) = default;
};

Result<> check_feedback(const json &table, const std::string &where);
// Of tables that check_feedback() found good, the first the most general.
Result<FeedbackSettings> feedback_of(const std::vector<json> &tables, const std::string &where);

} // namespace evnf::elb
