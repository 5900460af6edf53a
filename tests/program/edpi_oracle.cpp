// SPDX-License-Identifier: GPL-2.0-or-later
// The same application for each flow as ndpiReader of Debian (libndpi-bin), on captures made
// here and on those of the folder EVNF_CAPTURES, or shared/captures beside the source.
#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "base/net.hpp"
#include "capture/capture.hpp"
#include "support/chain.hpp"
#include "support/frame.hpp"
#include "vnfs/edpi/offline.hpp"
#include "vnfs/edpi/section.hpp"

using namespace evnf;
using namespace evnf::test;
namespace fs = std::filesystem;

namespace
{

// "tcp 192.0.2.1 1024 198.51.100.1 80", the lesser end first, and what the flow is.
using Applications = std::map<std::string, std::string>;

std::string flow_name(const std::string &protocol, std::string a, std::string b)
{
    if (b < a)
        std::swap(a, b);
    return protocol + " " + a + " " + b;
}

struct Difference {
    const char *capture, *flow, *ndpi_reader, *ours, *why;
};
// All that there are. An empty application: the flow is not there.
constexpr Difference known[] = {
    {"dns.pcap", "udp 82.178.113.245 47255 82.178.158.181 53", "DNS.WhatsApp", "",
     "IP says that the datagrams are longer than their frames: the root drops them, as the kernel"},
};

Applications ours(const fs::path &file)
{
    const auto capture = must(capture::read(file));
    must(capture::check_link(capture.link));
    auto offline = must(edpi::Offline::start(
        must(edpi::check_section({{"flows", 8192}, {"snapshot", COPY_MAX_BYTES}}, nullptr))));
    for (const auto &packet : capture.packets)
        if (const auto frame = capture::to_ethernet(capture.link, packet.bytes))
            must(offline->run(*frame, packet.ns / 1'000'000));
    Applications out;
    for (const auto &r : offline->finish()) {
        const auto end = [&](const std::string &key) {
            return r[key].get<std::string>() + " " + std::to_string(r.value(key + "_port", 0));
        };
        if (r["application"] != "Unknown")
            out[flow_name(r["protocol"], end("source"), end("destination"))] = r["application"];
    }
    return out;
}

std::vector<std::string> split(const std::string &line)
{
    std::vector<std::string> out;
    std::istringstream in(line);
    for (std::string word; std::getline(in, word, ',');)
        out.push_back(word);
    return out;
}

// It leaves out the flows that it does not know.
Applications of_ndpi_reader(const fs::path &file)
{
    char csv[] = "/tmp/evnf-ndpi-XXXXXX";
    const Fd fd(::mkstemp(csv));
    REQUIRE(fd);
    const std::string command =
        "ndpiReader -q -i '" + file.string() + "' -C " + csv + " >/dev/null 2>&1";
    REQUIRE(std::system(command.c_str()) == 0);
    std::ifstream in(csv);
    Applications out;
    std::string line;
    std::getline(in, line);
    const auto heading = split(line);
    const std::vector<std::string> wanted{"#flow_id", "protocol",       "first_seen", "last_seen",
                                          "duration", "src_ip",         "src_port",   "dst_ip",
                                          "dst_port", "ndpi_proto_num", "ndpi_proto"};
    REQUIRE(std::vector(heading.begin(), heading.begin() + 11) == wanted);
    while (std::getline(in, line)) {
        const auto w = split(line);
        REQUIRE(w.size() > 10);
        const auto protocol = static_cast<std::uint8_t>(std::stoi(w[1]));
        const auto address = [](const std::string &text) {
            return must(Address::parse(text)).text();
        };
        out[flow_name(protocol_text(protocol), address(w[5]) + " " + w[6],
                      address(w[7]) + " " + w[8])] = w[10];
    }
    ::unlink(csv);
    return out;
}

// Gives how many flows are the same; those that differ must be known to.
std::size_t compare(const fs::path &file)
{
    const auto want = of_ndpi_reader(file), have = ours(file);
    std::set<std::string> flows;
    for (const auto *all : {&want, &have})
        for (const auto &[flow, application] : *all)
            flows.insert(flow);
    const auto in = [](const Applications &all, const std::string &flow) {
        const auto it = all.find(flow);
        return it == all.end() ? std::string() : it->second;
    };
    std::size_t same = 0, differing = 0;
    for (const auto &flow : flows) {
        const std::string one = in(want, flow), other = in(have, flow);
        if (one == other) {
            ++same;
            continue;
        }
        bool is_known = false;
        for (const auto &d : known)
            is_known |= file.filename() == d.capture && flow == d.flow && one == d.ndpi_reader &&
                        other == d.ours;
        INFO(file << ": " << flow << ": ndpiReader '" << one << "', ours '" << other << "'");
        CHECK(is_known);
        ++differing;
    }
    for (const auto &d : known)
        differing -= file.filename() == d.capture;
    INFO(file << ": a difference is known that is not there any more");
    CHECK(differing == 0);
    return same;
}

void put32(std::ofstream &out, std::uint32_t v)
{
    out.write(reinterpret_cast<const char *>(&v), sizeof v);
}

void write_pcap(const fs::path &file, const std::vector<Bytes> &frames)
{
    std::ofstream out(file, std::ios::binary);
    for (const std::uint32_t word : {0xa1b2c3d4U, 0x00040002U, 0U, 0U, 65535U, 1U})
        put32(out, word);
    for (std::uint32_t i = 0; i < frames.size(); ++i) {
        const auto size = static_cast<std::uint32_t>(frames[i].size());
        for (const std::uint32_t word : {1700000000U, i * 1000, size, size})
            put32(out, word);
        out.write(reinterpret_cast<const char *>(frames[i].data()), size);
    }
}

Bytes bytes_of(const std::string &text)
{
    return {text.begin(), text.end()};
}

// A TCP connection in which both sides say one thing.
std::vector<Bytes> conversation(const std::string &src, const std::string &dst, std::uint16_t dport,
                                const std::string &question, const std::string &answer)
{
    Frame there{.src = src, .dst = dst, .sport = 40000, .dport = dport, .payload = {}};
    Frame back{.src = dst, .dst = src, .sport = dport, .dport = 40000, .payload = {}};
    std::vector<Bytes> out;
    const auto say = [&](Frame &f, std::uint8_t flags, const std::string &what) {
        f.tcp_flags = flags;
        f.payload = bytes_of(what);
        out.push_back(build(f));
        f.tcp_seq += static_cast<std::uint32_t>(what.size()) + (flags & 0x03 ? 1 : 0);
        (&f == &there ? back : there).tcp_ack = f.tcp_seq;
    };
    say(there, 0x02, "");
    say(back, 0x12, "");
    say(there, 0x10, "");
    say(there, 0x18, question);
    say(back, 0x18, answer);
    say(there, 0x11, "");
    say(back, 0x11, "");
    say(there, 0x10, "");
    return out;
}

struct Folder {
    Folder()
    {
        char name[] = "/tmp/evnf-captures-XXXXXX";
        REQUIRE(::mkdtemp(name));
        path = name;
    }
    ~Folder() { fs::remove_all(path); }
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;
    fs::path path;
};

} // namespace

TEST_CASE("flows made here are what ndpiReader says")
{
    const Folder folder;
    const auto add = [](std::vector<Bytes> &to, const std::vector<Bytes> &from) {
        to.insert(to.end(), from.begin(), from.end());
    };
    std::vector<Bytes> frames;
    add(frames, conversation("192.0.2.1", "198.51.100.1", 80,
                             "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\n"
                             "User-Agent: test\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 2\r\n\r\nok"));
    add(frames, conversation("192.0.2.2", "198.51.100.1", 22, "SSH-2.0-OpenSSH_9.2\r\n",
                             "SSH-2.0-OpenSSH_9.2\r\n"));
    add(frames,
        conversation("2001:db8::1", "2001:db8::2", 6379, "*1\r\n$4\r\nPING\r\n", "+PONG\r\n"));
    add(frames, conversation("192.0.2.3", "198.51.100.1", 25, "EHLO example.org\r\n",
                             "220 mail.example.org ESMTP\r\n"));
    const std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07"
                            "example\x03org\x00\x00\x01\x00\x01",
                            29);
    frames.push_back(build({.src = "192.0.2.4",
                            .dst = "198.51.100.53",
                            .proto = IPPROTO_UDP,
                            .dport = 53,
                            .payload = bytes_of(query)}));
    frames.push_back(
        build({.vlans = {7}, .src = "192.0.2.5", .dst = "198.51.100.53", .proto = IPPROTO_ICMP}));
    frames.push_back(build({.src = "192.0.2.6",
                            .dst = "198.51.100.9",
                            .proto = IPPROTO_UDP,
                            .dport = 40000,
                            .payload = Bytes(40, 0xa5)})); // nobody's
    const fs::path file = folder.path / "made.pcap";
    write_pcap(file, frames);
    CHECK(compare(file) == 6);
    const auto have = ours(file);
    CHECK(have.at("udp 192.0.2.4 1024 198.51.100.53 53") == "DNS");
    CHECK(have.at("tcp 192.0.2.1 40000 198.51.100.1 80") == "HTTP");
}

TEST_CASE("flows of a corpus are what ndpiReader says")
{
    const char *given = std::getenv("EVNF_CAPTURES");
    const fs::path folder = given ? given : SOURCE_ROOT "/../shared/captures";
    if (!fs::is_directory(folder)) {
        std::cout << "skipped: there are no captures in " << folder
                  << "; EVNF_CAPTURES names their folder\n";
        return;
    }
    std::size_t captures = 0, same = 0;
    std::set<fs::path> files;
    for (const auto &entry : fs::directory_iterator(folder))
        if (entry.path().extension().string().starts_with(".pcap"))
            files.insert(entry.path());
    for (const auto &file : files) {
        same += compare(file);
        ++captures;
    }
    std::cout << captures << " captures, " << same << " flows of the same application\n";
    CHECK(captures > 0);
    CHECK(same > captures);
}
