// SPDX-License-Identifier: GPL-2.0-or-later
#include "watch.hpp"

#include <time.h>

#include <array>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "client.hpp"
#include "pcapng.hpp"

namespace evnf::cli
{

namespace
{

using nlohmann::json;

constexpr std::uint32_t snap_all = 3500; // as TRACE_MAX_BYTES: whole frames

std::string text(const json &j, const char *key)
{
    return j.value(key, "");
}

// "14:03:07.123456", local time.
std::string clock_text(std::int64_t ns)
{
    const time_t seconds = ns / 1'000'000'000;
    tm local{};
    ::localtime_r(&seconds, &local);
    std::array<char, 32> out{};
    const std::size_t n = std::strftime(out.data(), out.size(), "%H:%M:%S", &local);
    std::snprintf(out.data() + n, out.size() - n, ".%06d",
                  static_cast<int>(ns % 1'000'000'000 / 1000));
    return out.data();
}

std::string padded(std::string s, std::size_t width)
{
    s.resize(std::max(s.size(), width), ' ');
    return s;
}

// One record of a packet: where it was, what became of it, by what.
std::string step_text(const json &r)
{
    std::string verdict = text(r, "verdict");
    if (text(r, "reason") != verdict)
        verdict += " (" + text(r, "reason") + ")";
    const std::string by = text(r, "by");
    return "  " + padded(text(r, "chain") + "/" + text(r, "place"), 24) +
           (by.empty() ? verdict : padded(verdict, 24) + " " + by) + "\n";
}

// Gathers the records of each packet, and prints a packet when its way has ended here.
class Ways
{
public:
    Ways(std::size_t count, bool whole) : left_(count), whole_(whole) {}

    // False when there have been enough.
    bool take(const json &record)
    {
        auto &way = open_[record["packet"].get<std::uint64_t>()];
        way.push_back(record);
        if (whole_ && record["verdict"] == "next")
            return true;
        const json &first = way.front();
        std::cout << clock_text(first["time_ns"]) << " " << text(first, "interface") << " "
                  << text(first, "flow") << ", " << first["length"] << " bytes\n";
        for (const auto &step : way)
            std::cout << step_text(step);
        std::cout.flush();
        open_.erase(record["packet"].get<std::uint64_t>());
        if (open_.size() > most_open)
            open_.clear(); // their ends were lost
        return left_ == 0 || --left_ > 0;
    }

private:
    static constexpr std::size_t most_open = 10'000;
    std::size_t left_; // 0: no end
    bool whole_;       // every step of a packet is told, its end too
    std::map<std::uint64_t, std::vector<json>> open_;
};

std::vector<std::uint8_t> bytes_of(const std::string &hex)
{
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::vector<std::uint8_t> out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        out.push_back(static_cast<std::uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1])));
    return out;
}

std::string escaped(const std::string &s)
{
    constexpr const char *digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : s)
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.')
            out += c;
        else
            out += {'%', digits[static_cast<unsigned char>(c) >> 4],
                    digits[static_cast<unsigned char>(c) & 0xf]};
    return out;
}

struct Options {
    std::vector<std::string> words; // the filter
    std::size_t count = 0;
    std::string place, when, file;

    // Whether packets are told from the root to their end.
    [[nodiscard]] bool whole_ways() const
    {
        return place.empty() && (when.empty() || when == "any");
    }
    [[nodiscard]] std::string filter() const
    {
        std::string out;
        for (const auto &w : words)
            out += (out.empty() ? "" : " ") + w;
        return out;
    }
    [[nodiscard]] std::string path(std::uint32_t snap) const
    {
        return "/v1/trace?filter=" + escaped(filter()) + "&place=" + escaped(place) +
               "&when=" + escaped(when) + (snap ? "&snap=" + std::to_string(snap) : "");
    }
};

// `what` were lost: "packets were not captured".
void tell_lost(const Watcher &w, std::uint64_t n, const char *what)
{
    if (w.as_json())
        std::cerr << json{{"lost", n}}.dump() + "\n";
    else
        std::cerr << "evnf: " + std::to_string(n) + " " + what +
                         " so far: they come faster than they are read; ask for fewer with a "
                         "filter, --stage or --when\n";
}

// Reads the daemon's records until `take` has enough, and tells of those that were lost. The
// first words of an error are the filter's.
void watch(const Watcher &w, const Options &o, std::uint32_t snap, const char *lost,
           const std::function<bool(const json &)> &take, const std::function<bool()> &begun = {})
{
    auto socket = w.socket();
    if (!socket)
        return w.fail(socket.error(), "");
    const auto take_line = [&](const json &line) {
        if (!line.contains("lost"))
            return take(line);
        tell_lost(w, line["lost"], lost);
        return true;
    };
    if (auto r = stream_api(*socket, o.path(snap), take_line, begun); !r)
        w.fail(r.error(), r.error().where == "/filter" ? o.filter() : "");
}

void trace(const Watcher &w, const Options &o)
{
    constexpr auto lost = "steps of packets were not shown";
    if (!w.as_json()) {
        Ways ways(o.count, o.whole_ways());
        return watch(w, o, 0, lost, [&](const json &r) { return ways.take(r); });
    }
    std::size_t left = o.count;
    watch(w, o, 0, lost, [&](const json &r) {
        std::cout << r.dump() << std::endl;
        return left == 0 || (o.whole_ways() && r["verdict"] == "next") || --left > 0;
    });
}

void capture(const Watcher &w, const Options &o)
{
    std::ofstream file;
    std::ostream &out = o.file == "-" ? std::cout : file;
    std::signal(SIGPIPE, SIG_IGN); // a reader that goes is seen at the stream
    std::optional<PcapNg> pcap;
    int failed = 0; // to open the file
    // A watch that is refused leaves what is in the file.
    const auto begun = [&] {
        if (o.file != "-")
            file.open(o.file, std::ios::binary | std::ios::trunc);
        failed = out ? 0 : errno;
        if (out)
            pcap.emplace(out);
        return static_cast<bool>(out);
    };
    std::map<std::string, std::uint32_t> interfaces;
    std::size_t written = 0;
    const auto take = [&](const json &r) {
        const std::string name = text(r, "interface");
        if (!interfaces.contains(name))
            interfaces[name] = pcap->interface(name, snap_all);
        const std::string by = text(r, "by");
        pcap->packet(interfaces[name], r["time_ns"], bytes_of(text(r, "frame")), r["length"],
                     text(r, "chain") + "/" + text(r, "place") + ": " + text(r, "verdict") + ", " +
                         text(r, "reason") + (by.empty() ? "" : ", by " + by));
        ++written;
        return static_cast<bool>(out) && (o.count == 0 || written < o.count);
    };
    watch(w, o, snap_all, "packets were not captured", take, begun);
    if (!out && o.file != "-")
        return w.fail(sys_error("write " + o.file, failed ? failed : errno), "");
    if (pcap && o.file != "-")
        std::cerr << written << " packets written to " << o.file << "\n";
}

void add_filter(CLI::App &command, const std::shared_ptr<Options> &o)
{
    command.add_option("FILTER", o->words,
                       "Which packets: tcp host 10.0.0.9, udp dst port 53, …; none: all");
    command.add_option("-c,--count", o->count, "End after so many packets");
    command.add_option("--stage", o->place, "Only at this stage or place: elb, or in/elb");
    command.add_option("--when", o->when, "Only what was passed, dropped, slow or sent there");
}

} // namespace

void add_watch_commands(CLI::App &app, Watcher watcher)
{
    const auto w = std::make_shared<Watcher>(std::move(watcher));
    auto options = std::make_shared<Options>();
    auto *t = app.add_subcommand("trace", "The way of live packets, place by place");
    add_filter(*t, options);
    t->footer("While it runs, the chains are in force in a form that can be watched, which is\n"
              "slower; before and after that, watching costs nothing.");
    t->callback([w, options] { trace(*w, *options); });

    options = std::make_shared<Options>();
    auto *c = app.add_subcommand("capture", "Packets at a stage, as pcapng for Wireshark");
    add_filter(*c, options);
    c->add_option("-w,--write", options->file, "The file, or - for standard output")->required();
    c->callback([w, options] { capture(*w, *options); });
}

} // namespace evnf::cli
