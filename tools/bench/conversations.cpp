// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/conversations.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "capture/capture.hpp"

namespace evnf::bench
{

namespace
{

using test::build;
using test::Frame;

constexpr std::size_t ip_at = 14, source_at = ip_at + 12, destination_at = ip_at + 16;

Bytes bytes_of(const std::string &text)
{
    return {text.begin(), text.end()};
}

Bytes joined(const std::vector<Bytes> &parts)
{
    Bytes out;
    for (const auto &p : parts)
        out.insert(out.end(), p.begin(), p.end());
    return out;
}

// A length of `size` bytes before what it is of.
Bytes counted(std::size_t size, const Bytes &of)
{
    Bytes out;
    for (std::size_t i = size; i-- > 0;)
        out.push_back(static_cast<std::uint8_t>(of.size() >> 8 * i));
    out.insert(out.end(), of.begin(), of.end());
    return out;
}

Bytes extension(std::uint8_t number, const Bytes &of)
{
    return joined({{0, number}, counted(2, of)});
}

// RFC 8446, 4.1.2, in a record of its own.
Bytes client_hello(const std::string &name)
{
    const Bytes server_name = extension(0, counted(2, joined({{0}, counted(2, bytes_of(name))})));
    const Bytes versions = extension(43, {2, 3, 4});
    const Bytes body = joined({{3, 3},
                               Bytes(32, 0x5a),
                               counted(1, Bytes(32, 0xa5)),
                               counted(2, {0x13, 0x01, 0xc0, 0x2f}),
                               counted(1, {0}),
                               counted(2, joined({server_name, versions}))});
    return joined({{22, 3, 1}, counted(2, joined({{1}, counted(3, body)}))});
}

Bytes server_hello()
{
    const Bytes body = joined({{3, 3},
                               Bytes(32, 0x5a),
                               counted(1, Bytes(32, 0xa5)),
                               {0x13, 0x01, 0},
                               counted(2, extension(43, {3, 4}))});
    return joined({{22, 3, 3}, counted(2, joined({{2}, counted(3, body)}))});
}

// A connection, and what is said in turn, the client first.
Conversation tcp(std::uint16_t port, const std::vector<Bytes> &said)
{
    constexpr std::uint8_t syn = 2, push = 8, ack = 16;
    Conversation out;
    std::uint32_t seq[2] = {1, 1};
    const auto packet = [&](unsigned from, std::uint8_t flags, const Bytes &payload) {
        Frame f{
            .tcp_flags = flags, .tcp_seq = seq[from], .tcp_ack = seq[1 - from], .payload = payload};
        f.sport = 40000;
        f.dport = port;
        if (from) {
            std::swap(f.src, f.dst);
            std::swap(f.sport, f.dport);
        }
        seq[from] += static_cast<std::uint32_t>(payload.size()) + ((flags & syn) ? 1 : 0);
        out.push_back(build(f));
    };
    packet(0, syn, {});
    packet(1, syn | ack, {});
    packet(0, ack, {});
    for (std::size_t i = 0; i < said.size(); ++i)
        packet(i % 2, push | ack, said[i]);
    return out;
}

Conversation dns()
{
    const Bytes name = joined({counted(1, bytes_of("www")),
                               counted(1, bytes_of("example")),
                               counted(1, bytes_of("org")),
                               {0, 0, 1, 0, 1}});
    const Bytes query = joined({{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name});
    const Bytes answer = joined({{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0},
                                 name,
                                 {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1}});
    Frame f{.proto = IPPROTO_UDP, .sport = 40000, .dport = 53, .payload = query};
    Conversation out{build(f)};
    std::swap(f.src, f.dst);
    std::swap(f.sport, f.dport);
    f.payload = answer;
    out.push_back(build(f));
    return out;
}

bool has_ports(const Bytes &frame)
{
    return frame.size() >= ip_at + 24 && frame[12] == 8 && frame[13] == 0 && frame[ip_at] == 0x45 &&
           (frame[ip_at + 6] & 0x3f) == 0 && frame[ip_at + 7] == 0 &&
           (frame[ip_at + 9] == IPPROTO_TCP || frame[ip_at + 9] == IPPROTO_UDP);
}

// Both ends and the protocol, the same in both directions.
Bytes flow_of(const Bytes &frame)
{
    const auto end = [&](std::size_t address, std::size_t port) {
        Bytes out(frame.begin() + static_cast<std::ptrdiff_t>(address),
                  frame.begin() + static_cast<std::ptrdiff_t>(address) + 4);
        out.insert(out.end(), {frame[port], frame[port + 1]});
        return out;
    };
    const Bytes a = end(source_at, ip_at + 20), b = end(destination_at, ip_at + 22);
    return joined({{frame[ip_at + 9]}, std::min(a, b), std::max(a, b)});
}

} // namespace

std::vector<Conversation> made_conversations()
{
    const Bytes request = bytes_of("GET /index.html HTTP/1.1\r\nHost: www.example.org\r\n"
                                   "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n");
    const Bytes answer = bytes_of("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                                  "Content-Length: 5\r\n\r\nhello");
    return {dns(), tcp(80, {request, answer}),
            tcp(443, {client_hello("www.example.org"), server_hello()})};
}

Result<std::vector<Conversation>> captured_conversations(const std::string &path, std::size_t most)
{
    namespace fs = std::filesystem;
    std::set<fs::path> files;
    std::error_code error;
    if (fs::is_directory(path, error)) {
        for (const auto &entry : fs::directory_iterator(path, error))
            if (const auto suffix = entry.path().extension();
                suffix == ".pcap" || suffix == ".pcapng" || suffix == ".cap")
                files.insert(entry.path());
    } else {
        files.insert(path);
    }
    std::vector<Conversation> out;
    for (const auto &file : files) {
        const auto capture = capture::read(file);
        if (!capture)
            return capture.error();
        if (!capture::check_link(capture->link))
            continue;
        std::map<Bytes, Conversation> flows;
        for (const auto &packet : capture->packets)
            if (const auto frame = capture::to_ethernet(capture->link, packet.bytes);
                frame && has_ports(*frame) && frame->size() <= 1514)
                if (auto &flow = flows[flow_of(*frame)]; flow.size() < most)
                    flow.push_back(*frame);
        for (auto &[key, flow] : flows)
            out.push_back(std::move(flow));
    }
    if (out.empty())
        return bad_input(path + " has no TCP or UDP packets of IPv4");
    return out;
}

void take_client(Conversation &conversation, std::uint32_t client)
{
    const std::uint32_t wire = htonl(10U << 24 | (client & 0xffffff));
    std::uint32_t before = 0;
    std::memcpy(&before, conversation.front().data() + source_at, sizeof before);
    for (auto &frame : conversation) {
        const bool from = std::memcmp(frame.data() + source_at, &before, sizeof before) == 0;
        std::memcpy(frame.data() + (from ? source_at : destination_at), &wire, sizeof wire);
    }
}

} // namespace evnf::bench
