// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-agentx: gives SNMP managers what one evnfd knows, by way of snmpd. A client of the
// control API, and read-only; it needs no privilege.
#include <CLI/CLI.hpp>

#include <csignal>
#include <iostream>

#include "cli/log_options.hpp"
#include "cli/manual.hpp"
#include "tools/agentx/agent.hpp"
#include "tools/agentx/source.hpp"

namespace evnf::agentx
{

namespace
{

volatile std::sig_atomic_t ending = 0;

int run(int argc, char **argv)
{
    std::string name = "evnf", run_dir = "/run/evnf";
    AgentSettings settings;
    LogSettings log{.program = "evnf-agentx"};
    bool manual = false;
    CLI::App app{"evnf-agentx: gives SNMP managers what evnfd knows, as EVNF-MIB, by snmpd",
                 "evnf-agentx"};
    app.set_version_flag("--version", EVNF_VERSION);
    app.add_option("-n,--name", name, "The daemon's name")->capture_default_str();
    app.add_option("--run-dir", run_dir, "Where its control socket is")->capture_default_str();
    app.add_option("--agentx", settings.socket,
                   "Where snmpd listens, as its agentXSocket; else where Debian's does");
    app.add_option("--context", settings.context,
                   "The SNMP context to be in, so that several daemons of a host can be asked");
    cli::add_log_options(app, log);
    app.add_flag("--manual", manual, "Print the page for man")->group(""); // for the build
    app.footer("It only reads, and needs no privilege but the group evnf and what snmpd's\n"
               "agentXPerms ask for. It waits for evnfd and snmpd, and for their restarts.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    if (manual) {
        std::cout << cli::manual_page(app, app.get_name(), "8");
        return 0;
    }
    log.daemon = name;
    set_log(log);
    std::signal(SIGPIPE, SIG_IGN); // snmpd may go at any time
    for (const int number : {SIGTERM, SIGINT})
        std::signal(number, [](int) { ending = 1; });
    Source source(run_dir + "/" + name + ".sock");
    const auto served = serve(
        settings, [&]() -> const Snapshot & { return source.now(); }, [] { return ending != 0; });
    if (served)
        return 0;
    log_error(served.error().message());
    return 1;
}

} // namespace

} // namespace evnf::agentx

int main(int argc, char **argv)
{
    return evnf::agentx::run(argc, argv);
}
