// SPDX-License-Identifier: GPL-2.0-or-later
// `evnf edpi read FILE`: what is in a capture, by the very program and workers that live packets
// meet.
#include <algorithm>
#include <map>
#include <memory>

#include "capture/capture.hpp"
#include "vnfs/edpi/cli_words.hpp"
#include "vnfs/edpi/offline.hpp"
#include "vnfs/edpi/section.hpp"

namespace evnf::edpi
{

namespace
{

using cli::Context;
using cli::json;

struct Asked {
    std::string file, protocols;
};

Result<json> read(const Asked &asked)
{
    auto capture = capture::read(asked.file);
    if (!capture)
        return capture.error();
    if (auto r = capture::check_link(capture->link); !r)
        return std::move(r).context(asked.file).error();
    const std::size_t flows = std::clamp<std::size_t>(capture->packets.size(), 1024, 1 << 20);
    auto section = check_section({{"flows", flows}, {"snapshot", COPY_MAX_BYTES}}, nullptr);
    if (!section)
        return section.error();
    (*section)["protocols"] = asked.protocols;
    auto offline = Offline::start(*section);
    if (!offline)
        return offline.error();
    std::size_t unseen = 0;
    for (const auto &packet : capture->packets) {
        const auto frame = capture::to_ethernet(capture->link, packet.bytes);
        auto seen = frame ? (*offline)->run(*frame, packet.ns / 1'000'000) : Result<bool>(false);
        if (!seen)
            return seen.error();
        unseen += !*seen;
    }
    json out{{"packets", capture->packets.size()}, {"unseen", unseen}, {"flows", json::array()}};
    for (auto &record : (*offline)->finish()) {
        for (const char *key : {"record", "end", "first_ms", "last_ms"}) // of the run
            record.erase(key);
        out["flows"].push_back(std::move(record));
    }
    return out;
}

// As ndpiReader prints: the protocols, then the flows.
std::string text_of(const json &all)
{
    struct Sum {
        std::uint64_t flows = 0, packets = 0, bytes = 0;
    };
    std::map<std::string, Sum> sums;
    for (const auto &f : all["flows"]) {
        Sum &sum = sums[f["application"]];
        ++sum.flows;
        sum.packets += f["packets"].get<std::uint64_t>() + f["packets_back"].get<std::uint64_t>();
        sum.bytes += f["bytes"].get<std::uint64_t>() + f["bytes_back"].get<std::uint64_t>();
    }
    std::vector<std::vector<std::string>> rows{{"APPLICATION", "FLOWS", "PACKETS", "BYTES"}};
    for (const auto &[name, sum] : sums)
        rows.push_back({name, std::to_string(sum.flows), std::to_string(sum.packets),
                        std::to_string(sum.bytes)});
    std::string out =
        all["packets"].dump() + " packets, " + std::to_string(all["flows"].size()) + " flows";
    if (all["unseen"] != 0)
        out += "; " + all["unseen"].dump() +
               " packets are not IP, malformed, or longer than an XDP program takes";
    return out + "\n\n" + cli::table(rows) + "\n" + flows_text(all["flows"]);
}

} // namespace

void add_read_verb(CLI::App &edpi, Context &context)
{
    auto *verb = edpi.add_subcommand("read", "Classify the flows of a capture, as root");
    auto asked = std::make_shared<Asked>();
    verb->add_option("FILE", asked->file, "pcap or pcapng")->required();
    verb->add_option("--protocols", asked->protocols, "A file as in the section's protocols");
    verb->callback([&context, asked] {
        auto all = read(*asked);
        if (!all)
            return context.fail(all.error());
        context.print(*all, text_of);
    });
}

} // namespace evnf::edpi
