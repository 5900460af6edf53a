// SPDX-License-Identifier: GPL-2.0-or-later
// For the parts of elb's verbs: the words that name services and backends.
#pragma once

#include <memory>
#include <string>

#include "base/net.hpp"
#include "vnfs/cli.hpp"
#include "vnfs/elb/ports.hpp"

namespace evnf::elb
{

// What a verb's words name, read before anything is sent.
struct Words {
    std::string forward, source_ports; // of a new service
    std::vector<std::string> sources;
    std::string protocol;
    std::string service;
    std::string backend;
    std::string weight_word;
    std::string weight;

    [[nodiscard]] std::string path() const
    {
        return "/v1/elb/services/" + protocol + "/" + service;
    }
};

Result<std::pair<Address, Ports>> check_service(const Words &w);
// The options that every verb on a service has, or on a backend of it.
std::shared_ptr<Words> add_words(CLI::App *verb, bool backend);

// The name of a service that the API shows.
std::string service_text(const cli::json &service);

// How long ago, or how long until: of seconds of the Unix epoch.
std::string span_text(const cli::json &epoch);

void add_service_set_verb(CLI::App *service, cli::Context &context);
void add_list_verbs(CLI::App *elb, CLI::App *service, CLI::App *backend, cli::Context &context);
// Hangs set and clear of the settings `table` on `parent`.
void add_settings_verbs(CLI::App *parent, const std::string &table, bool of_backends,
                        cli::Context &context);
// Hangs the verbs on what is known of backends on `elb`, and on its verb `backend`.
void add_watching_verbs(CLI::App *elb, CLI::App *backend, cli::Context &context);

} // namespace evnf::elb
