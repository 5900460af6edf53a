// SPDX-License-Identifier: GPL-2.0-or-later
// evnfd: wiring only. Options, signals, the lock, then the daemon and its API on one
// event loop until a signal ends it; the fast path stays.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/log.hpp"
#include "base/loop.hpp"
#include "config/toml.hpp"
#include "daemon/api.hpp"
#include "daemon/daemon.hpp"
#include "daemon/options.hpp"
#include "daemon/preflight.hpp"

namespace evnf
{

namespace
{

enum Exit { ok = 0, failed = 1, wrong_input = 2 };

int fail(const Error &e)
{
    log_error(e.message());
    return failed;
}

// An error about a place in the configuration is shown there.
int fail_in(const config::Document &file, const Error &e)
{
    if (e.where.empty())
        return fail(e);
    log_error(config::explain(file, e));
    return wrong_input;
}

// One daemon of a name: the lock is the kernel's, and goes with the process.
Result<Fd> take_lock(const Options &o)
{
    std::error_code ec;
    std::filesystem::create_directories(o.run_dir, ec);
    if (ec)
        return sys_error("make " + o.run_dir, ec.value());
    Fd lock(::open(o.lock_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!lock)
        return sys_error("open " + o.lock_path());
    if (::flock(lock.get(), LOCK_EX | LOCK_NB)) {
        char pid[16] = "?";
        const ssize_t n = ::pread(lock.get(), pid, sizeof pid - 1, 0);
        return bad_input("evnfd '" + o.name + "' runs already (pid " +
                         std::string(pid, n > 0 ? static_cast<std::size_t>(n) : 1) +
                         "): end it first, or give this one another --name");
    }
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(lock.get(), 0) ||
        ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        return sys_error("write " + o.lock_path());
    return lock;
}

int detach(const Options &o)
{
    auto lock = take_lock(o);
    if (!lock)
        return fail(lock.error());
    const Pins pins(o.pin_dir, o.name);
    // Before the roots: what comes in without them has no place, and would be dropped.
    if (const auto owner = pins.known_owner())
        FastPlane::remove_filters(*owner);
    auto freed = pins.remove_all();
    if (!freed)
        return fail(freed.error());
    for (const auto &interface : *freed)
        log_info("detached from " + interface, {{"interface", interface}});
    if (freed->empty())
        log_info("nothing was attached by '" + o.name + "'");
    return ok;
}

// Reads the file again and applies it as a whole; on an error all stays as it is.
void reload(const Options &o, Daemon &daemon)
{
    auto file = config::read_toml_file(o.config);
    if (!file) {
        log_error("not reloaded", file.error());
        return;
    }
    if (auto changes = daemon.apply(file->value, false); !changes)
        fail_in(*file, changes.error());
    else
        log_info("reloaded " + o.config + ": " + std::to_string(changes->size()) + " changes");
}

Result<> on_signal(const Fd &signals, const Options &o, Loop &loop, Daemon &daemon)
{
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) != sizeof info)
        return Unit{};
    if (info.ssi_signo == SIGHUP) {
        reload(o, daemon);
        return Unit{};
    }
    log_info("ending; the fast path stays attached (evnfd --name " + o.name + " --detach ends it)");
    loop.stop();
    return Unit{};
}

int serve(const Options &o, const config::Document &file)
{
    auto lock = take_lock(o);
    if (!lock)
        return fail(lock.error());
    // Before any thread exists, so that signals reach the loop alone.
    auto signals = signal_fd({SIGTERM, SIGINT, SIGHUP});
    if (!signals)
        return fail(signals.error());
    auto loop = Loop::create();
    if (!loop)
        return fail(loop.error());
    auto daemon = Daemon::create(o, **loop);
    if (!daemon)
        return fail(daemon.error());
    if (auto r = (*daemon)->start(file.value); !r)
        return fail_in(file, r.error());
    ::unlink(o.anew_path().c_str());
    auto watch =
        (*loop)->watch(signals->get(), [&] { return on_signal(*signals, o, **loop, **daemon); });
    if (!watch)
        return fail(watch.error());
    auto api = Api::listen(o.socket_path(), **loop, **daemon);
    if (!api)
        return fail(api.error());
    log_info("ready");
    sd_notify(0, "READY=1");
    auto ended = (*loop)->run();
    (*daemon)->keep_live();
    sd_notify(0, "STOPPING=1");
    return ended ? ok : fail(ended.error());
}

int run(int argc, char **argv)
{
    int exit_code = ok;
    auto options = parse_options(argc, argv, exit_code);
    if (!options)
        return exit_code;
    if (::access(options->anew_path().c_str(), F_OK) == 0)
        options->anew = true;
    set_log(options->log);
    if (options->detach) {
        if (auto r = check_privilege(); !r)
            return fail(r.error());
        return detach(*options);
    }
    auto file = config::read_toml_file(options->config);
    if (!file) {
        log_error(file.error().message());
        return file.error().code ? failed : wrong_input;
    }
    if (auto document = check_document(file->value, json()); !document)
        return fail_in(*file, document.error());
    if (options->check) {
        std::printf("%s: good\n", options->config.c_str());
        return ok;
    }
    if (auto r = check_privilege(); !r)
        return fail(r.error());
    if (auto r = check_kernel(); !r)
        return fail(r.error());
    return serve(*options, *file);
}

} // namespace

} // namespace evnf

int main(int argc, char **argv)
{
    return evnf::run(argc, argv);
}
