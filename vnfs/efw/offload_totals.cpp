// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload_totals.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "base/log.hpp"
#include "vnfs/efw/offloaded.hpp"

namespace evnf::efw
{

namespace
{

using nlohmann::json;

// Without an extension, unlike the files of sets.
std::string file_in(const std::string &folder)
{
    return folder + "/offload";
}

// Rules, and their counters, are those of one network namespace between two starts of the
// kernel.
std::string home()
{
    std::string boot;
    std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
    struct stat net {
    };
    ::stat("/proc/thread-self/ns/net", &net);
    return boot + " " + std::to_string(net.st_ino);
}

} // namespace

Result<std::shared_ptr<OffloadTotals>> OffloadTotals::of(const std::string &folder)
{
    static std::map<std::string, std::weak_ptr<OffloadTotals>> known; // the daemon's thread's
    if (auto there = known[folder].lock())
        return there;
    auto made = std::make_shared<OffloadTotals>();
    made->folder_ = folder;
    if (auto r = made->read(); !r)
        return r.error();
    known[folder] = made;
    return made;
}

Result<> OffloadTotals::read()
{
    const std::string path = file_in(folder_);
    std::ifstream in(path);
    if (!in)
        return Unit{};
    const std::string text(std::istreambuf_iterator<char>(in), {});
    try {
        const json file = json::parse(text);
        if (file.at("home") != home())
            return Unit{};
        for (const auto &[key, r] : file.at("rules").items())
            past[key] = {{r.at(0).get<std::uint64_t>(), r.at(1).get<std::uint64_t>()},
                         r.at(2).get<bool>()};
        interrupted = file.at("runs").get<bool>();
    } catch (const json::exception &e) {
        return bad_input(path + ": " + e.what() +
                         " (remove it to start without what the fast path has counted)");
    }
    kept_ = text;
    return Unit{};
}

OffloadTotals::Totals OffloadTotals::now() const
{
    Totals out = past;
    for (const auto *source : sources)
        source->add_to(out);
    return out;
}

Result<> OffloadTotals::keep(bool ends)
{
    if (folder_.empty())
        return Unit{};
    json rules = json::object();
    for (const auto &[key, t] : now())
        if (t.count.packets || t.at_least)
            rules[key] = {t.count.packets, t.count.bytes, t.at_least};
    if (rules.empty() && sources.empty() && kept_.empty())
        return Unit{};
    const json file{{"home", home()}, {"runs", interrupted || !ends}, {"rules", std::move(rules)}};
    const std::string text = file.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text == kept_)
        return Unit{};
    std::error_code ec;
    if (!std::filesystem::create_directories(folder_, ec) && ec)
        return sys_error("make " + folder_, ec.value());
    if (auto r = replace_file(file_in(folder_), text); !r)
        return r;
    kept_ = text;
    return Unit{};
}

OffloadTotals::~OffloadTotals()
{
    if (auto r = keep(true); !r)
        log_error("keep what offloaded rules have counted", r.error(), {{"vnf", "efw"}});
}

} // namespace evnf::efw
