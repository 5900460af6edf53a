// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/options.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <iostream>

#include "abi/types.h"
#include "cli/log_options.hpp"
#include "cli/manual.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

namespace
{

std::string check_name(const std::string &name)
{
    const bool good = !name.empty() && name.size() <= 32 &&
                      std::all_of(name.begin(), name.end(), [](unsigned char c) {
                          return std::isalnum(c) || c == '-' || c == '_';
                      });
    return good ? "" : "a name is up to 32 letters, digits, '-' and '_'";
}

// As "abi=4 elb=4": of the VNFs those that cannot convert another version's state.
std::string layouts_text()
{
    std::string out = "abi=" + std::to_string(EVNF_ABI);
    for (const auto *type : vnf_types())
        if (!type->migrate)
            out += " " + type->name + "=" + std::to_string(type->state_version);
    return out;
}

} // namespace

std::optional<Options> parse_options(int argc, char **argv, int &exit_code)
{
    Options o;
    CLI::App app{"evnfd: loads, attaches and steers the VNFs of one configuration", "evnfd"};
    app.set_version_flag("--version", EVNF_VERSION);
    auto *config = app.add_option("-c,--config", o.config, "The configuration, a TOML file");
    app.add_option("-n,--name", o.name, "The daemon's name, for its socket, state and pins")
        ->check(check_name)
        ->capture_default_str();
    app.add_option("--run-dir", o.run_dir, "Where the control socket is")->capture_default_str();
    app.add_option("--state-dir", o.state_dir, "Where the desired state is kept")
        ->capture_default_str();
    app.add_option("--pin-dir", o.pin_dir, "Where the fast path is pinned, on a BPF file system")
        ->capture_default_str();
    auto *check = app.add_flag("--check", o.check, "Check the configuration, change nothing");
    app.add_flag("--detach", o.detach,
                 "Take off the fast path that a daemon of this name left, and end")
        ->excludes(check)
        ->excludes(config);
    app.add_flag("--anew", o.anew,
                 "Take over from an evnfd whose tables are laid out in another way: interfaces "
                 "are never without a program, but connections and counters are lost. The same "
                 "for one start: the file NAME.anew in the --run-dir");
    cli::add_log_options(app, o.log);
    bool layouts = false;
    app.add_flag("--layouts", layouts, "Print what is pinned in which layout")
        ->group(""); // for the package
    bool manual = false;
    app.add_flag("--manual", manual, "Print the page for man")->group(""); // for the build
    app.footer("Ended by SIGTERM or SIGINT, the fast path stays and carries on: start evnfd\n"
               "again to take it over, or end it with --detach. SIGHUP reads the file again.");
    try {
        app.parse(argc, argv);
        if (manual) {
            std::cout << cli::manual_page(app, app.get_name(), "8");
            return std::nullopt;
        }
        if (layouts) {
            std::cout << layouts_text() << "\n";
            return std::nullopt;
        }
        if (o.config.empty() && !o.detach)
            throw CLI::RequiredError("--config");
    } catch (const CLI::ParseError &e) {
        exit_code = app.exit(e) == 0 ? 0 : 2;
        return std::nullopt;
    }
    o.log.daemon = o.name;
    return o;
}

} // namespace evnf
