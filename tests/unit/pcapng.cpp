// SPDX-License-Identifier: GPL-2.0-or-later
// What the pcapng writer wrote, read back by a reader of our own and by others' tools.
#include "tools/evnf/pcapng.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace evnf::cli;

namespace
{

using Bytes = std::vector<std::uint8_t>;

// Reads what the draft describes, strictly, in this machine's byte order.
class Reader
{
public:
    explicit Reader(std::string data) : data_(std::move(data)) {}

    struct Block {
        std::uint32_t type = 0;
        std::string body; // between the two lengths
    };

    bool next(Block &block)
    {
        if (at_ == data_.size())
            return false;
        REQUIRE(data_.size() - at_ >= 12);
        const auto length = number<std::uint32_t>(data_, at_ + 4);
        REQUIRE(length % 4 == 0);
        REQUIRE(length >= 12);
        REQUIRE(length <= data_.size() - at_);
        REQUIRE(number<std::uint32_t>(data_, at_ + length - 4) == length);
        block.type = number<std::uint32_t>(data_, at_);
        block.body = data_.substr(at_ + 8, length - 12);
        at_ += length;
        return true;
    }

    template <class T>
    static T number(const std::string &from, std::size_t offset)
    {
        T n{};
        REQUIRE(offset + sizeof n <= from.size());
        std::memcpy(&n, from.data() + offset, sizeof n);
        return n;
    }

    // `size` bytes, whose padding must be there and be zero.
    static std::string padded(const std::string &from, std::size_t offset, std::size_t size)
    {
        const std::size_t end = (size + 3) / 4 * 4;
        REQUIRE(offset + end <= from.size());
        for (std::size_t i = size; i < end; ++i)
            REQUIRE(from[offset + i] == 0);
        return from.substr(offset, size);
    }

    static std::map<unsigned, std::string> options(const std::string &body, std::size_t offset)
    {
        std::map<unsigned, std::string> out;
        while (offset < body.size()) {
            const auto code = number<std::uint16_t>(body, offset);
            const auto size = number<std::uint16_t>(body, offset + 2);
            offset += 4;
            if (code == 0) {
                REQUIRE(size == 0);
                REQUIRE(offset == body.size());
                REQUIRE(!out.empty());
                return out;
            }
            REQUIRE(out.emplace(code, padded(body, offset, size)).second);
            offset += (size + 3U) / 4 * 4;
        }
        REQUIRE(out.empty()); // else opt_endofopt is missing
        return out;
    }

private:
    std::string data_;
    std::size_t at_ = 0;
};

using Options = std::map<unsigned, std::string>;

void check_section(const Reader::Block &block)
{
    CHECK(block.type == 0x0a0d0d0a);
    CHECK(Reader::number<std::uint32_t>(block.body, 0) == 0x1a2b3c4d);
    CHECK(Reader::number<std::uint16_t>(block.body, 4) == 1);
    CHECK(Reader::number<std::uint16_t>(block.body, 6) == 0);
    CHECK(Reader::number<std::int64_t>(block.body, 8) == -1);
    CHECK(Reader::options(block.body, 16) == Options{{4, "evnf " EVNF_VERSION}});
}

void check_interface(const Reader::Block &block, const std::string &name, std::uint32_t snaplen)
{
    CHECK(block.type == 1);
    CHECK(Reader::number<std::uint16_t>(block.body, 0) == 1);
    CHECK(Reader::number<std::uint16_t>(block.body, 2) == 0);
    CHECK(Reader::number<std::uint32_t>(block.body, 4) == snaplen);
    CHECK(Reader::options(block.body, 8) == Options{{2, name}, {9, "\x09"}});
}

struct Packet {
    std::uint32_t interface;
    std::uint64_t nanoseconds;
    Bytes bytes;
    std::uint32_t length;
    std::string comment;
};

void check_packet(const Reader::Block &block, const Packet &p)
{
    REQUIRE(block.type == 6);
    const std::string &body = block.body;
    CHECK(Reader::number<std::uint32_t>(body, 0) == p.interface);
    CHECK(((std::uint64_t{Reader::number<std::uint32_t>(body, 4)} << 32) |
           Reader::number<std::uint32_t>(body, 8)) == p.nanoseconds);
    CHECK(Reader::number<std::uint32_t>(body, 12) == p.bytes.size());
    CHECK(Reader::number<std::uint32_t>(body, 16) == p.length);
    CHECK(Reader::padded(body, 20, p.bytes.size()) == std::string(p.bytes.begin(), p.bytes.end()));
    CHECK(Reader::options(body, 20 + (p.bytes.size() + 3) / 4 * 4) ==
          (p.comment.empty() ? Options{} : Options{{1, p.comment}}));
}

void write(PcapNg &pcap, const Packet &p)
{
    pcap.packet(p.interface, p.nanoseconds, p.bytes, p.length, p.comment);
}

// Counts the flushes, and keeps what had been written by the last.
class FlushedBuffer : public std::stringbuf
{
public:
    int flushes = 0;
    std::string flushed;

protected:
    int sync() override
    {
        ++flushes;
        flushed = str();
        return 0;
    }
};

// A file with `content`, that other programs may read.
class File
{
public:
    explicit File(const std::string &content)
    {
        const int fd = mkstemp(path_);
        REQUIRE(fd >= 0);
        const auto written = ::write(fd, content.data(), content.size());
        close(fd);
        REQUIRE(written == static_cast<ssize_t>(content.size()));
    }
    ~File() { unlink(path_); }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    [[nodiscard]] std::string path() const { return path_; }

private:
    char path_[32] = "/tmp/evnf-pcapng-XXXXXX";
};

bool installed(const std::string &tool)
{
    const bool found = std::system(("command -v " + tool + " >/dev/null").c_str()) == 0;
    if (!found)
        WARN("skipped: " + tool + " is not installed");
    return found;
}

std::string output_of(const std::string &command)
{
    INFO(command);
    std::FILE *pipe = popen(command.c_str(), "r");
    REQUIRE(pipe);
    std::string out;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe))
        out += static_cast<char>(c);
    const int status = pclose(pipe);
    INFO(out);
    REQUIRE(status == 0);
    return out;
}

// An ethertype for experiments (IEEE 802), so that no tool interprets what follows.
Bytes frame(std::size_t size)
{
    Bytes b{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
    for (std::size_t i = b.size(); i < size; ++i)
        b.push_back(static_cast<std::uint8_t>(i));
    return b;
}

// Two packets of two interfaces, the second cut at 20 of its 1500 bytes.
std::string sample()
{
    std::ostringstream out;
    PcapNg pcap(out);
    const auto in = pcap.interface("eth0", 65535), to = pcap.interface("eth1", 65535);
    pcap.packet(in, 1700000000123456789, frame(61), 61, "efw: accept");
    pcap.packet(to, 1700000001000000001, frame(20), 1500, "elb: näxt");
    return out.str();
}

} // namespace

TEST_CASE("a file is, byte for byte, what the draft says")
{
    std::ostringstream out;
    PcapNg pcap(out);
    const auto start = out.str().size();
    CHECK(pcap.interface("lo", 96) == 0);
    pcap.packet(0, 0x0102030405060708, Bytes{0xaa, 0xbb, 0xcc, 0xdd, 0xee}, 7, "hi");
    const std::vector<std::uint32_t> expected{
        1,           40,         1,    96,          2 | 2 << 16,    'l' | 'o' << 8,
        9 | 1 << 16, 9,          0,    40, // IDB
        6,           52,         0,    0x01020304,  0x05060708,     5,
        7,           0xddccbbaa, 0xee, 1 | 2 << 16, 'h' | 'i' << 8, 0,
        52};
    std::vector<std::uint32_t> words((out.str().size() - start) / 4);
    std::memcpy(words.data(), out.str().data() + start, words.size() * 4);
    CHECK(words == expected);
}

TEST_CASE("what was written is read back, whatever its lengths")
{
    std::mt19937_64 random(1);
    const auto any = [&](std::size_t low, std::size_t high) {
        return low + random() % (high - low);
    };
    for (int round = 0; round < 200; ++round) {
        std::ostringstream out;
        PcapNg pcap(out);
        std::vector<std::pair<std::string, std::uint32_t>> interfaces;
        std::vector<Packet> packets;
        for (std::size_t i = 0; i < any(1, 5); ++i) {
            interfaces.emplace_back(std::string(any(1, 17), 'e'),
                                    static_cast<std::uint32_t>(random()));
            CHECK(pcap.interface(interfaces.back().first, interfaces.back().second) == i);
        }
        for (std::size_t i = 0; i < any(0, 20); ++i) {
            Packet p{.interface = static_cast<std::uint32_t>(any(0, interfaces.size())),
                     .nanoseconds = random(),
                     .bytes = Bytes(any(0, 100)),
                     .length = static_cast<std::uint32_t>(random()),
                     .comment = std::string(any(0, 40), 'c')};
            for (auto &byte : p.bytes)
                byte = static_cast<std::uint8_t>(random());
            write(pcap, p);
            packets.push_back(std::move(p));
        }
        Reader reader(out.str());
        Reader::Block block;
        REQUIRE(reader.next(block));
        check_section(block);
        for (const auto &[name, snaplen] : interfaces) {
            REQUIRE(reader.next(block));
            check_interface(block, name, snaplen);
        }
        for (const auto &p : packets) {
            REQUIRE(reader.next(block));
            check_packet(block, p);
        }
        CHECK_FALSE(reader.next(block));
    }
}

TEST_CASE("a comment that is too long loses its end, but no half a character")
{
    const auto written = [](const std::string &comment) {
        std::ostringstream out;
        PcapNg pcap(out);
        pcap.packet(0, 0, {}, 0, comment);
        Reader reader(out.str());
        Reader::Block block;
        REQUIRE(reader.next(block));
        REQUIRE(reader.next(block));
        return Reader::options(block.body, 20)[1];
    };
    const std::string most(65535, 'c');
    CHECK(written(most) == most);
    CHECK(written(most + "c") == most);
    CHECK(written(most.substr(1) + "ä") == most.substr(1));
    CHECK(written(most.substr(2) + "äc") == most.substr(2) + "ä");
    CHECK(written(most.substr(3) + "\U0001F600") == most.substr(3));
}

TEST_CASE("each block is flushed when it is whole")
{
    FlushedBuffer buffer;
    std::ostream out(&buffer);
    PcapNg pcap(out);
    CHECK(buffer.flushes == 1);
    pcap.interface("eth0", 0);
    CHECK(buffer.flushes == 2);
    for (int i = 3; i < 6; ++i) {
        pcap.packet(0, 1, frame(64), 64, "seen");
        CHECK(buffer.flushes == i);
        CHECK(buffer.flushed == buffer.str());
    }
}

TEST_CASE("tcpdump reads it")
{
    if (!installed("tcpdump"))
        return;
    const File file(sample());
    // From a pipe, as it will be used, and as tcpdump, which drops root, can read it.
    const std::string out =
        output_of("cat " + file.path() + " | tcpdump -r - -n -e -tt -xx --nano 2>/dev/null");
    INFO(out);
    CHECK(out.find("1700000000.123456789 02:00:00:00:00:02 > 02:00:00:00:00:01") == 0);
    CHECK(out.find("(0x88b5), length 61:") != std::string::npos);
    CHECK(out.find("\n1700000001.000000001 02:00") != std::string::npos);
    CHECK(out.find("(0x88b5), length 1500:") != std::string::npos);
    CHECK(out.find("0x0000:  0200 0000 0001 0200 0000 0002 88b5 0e0f") != std::string::npos);
    CHECK(out.find("0x0030:  3031 3233 3435 3637 3839 3a3b 3c\n") != std::string::npos);
    CHECK(out.find("0x0010:  1011 1213\n") != std::string::npos);
}

TEST_CASE("tshark reads it, interfaces and comments too")
{
    if (!installed("tshark"))
        return;
    const File file(sample());
    CHECK(output_of("tshark -r " + file.path() +
                    " -T fields -E separator=, -e frame.time_epoch -e frame.interface_name"
                    " -e frame.cap_len -e frame.len -e frame.comment 2>/dev/null") ==
          "1700000000.123456789,eth0,61,61,efw: accept\n"
          "1700000001.000000001,eth1,20,1500,elb: näxt\n");
}

TEST_CASE("capinfos reads it")
{
    if (!installed("capinfos"))
        return;
    const File file(sample());
    const std::string out = output_of("capinfos -M -c -F -I " + file.path());
    INFO(out);
    CHECK(out.find("Number of packets:   2") != std::string::npos);
    CHECK(out.find("Capture application: evnf " EVNF_VERSION) != std::string::npos);
    CHECK(out.find("Number of interfaces in file: 2") != std::string::npos);
    CHECK(out.find("Name = eth1") != std::string::npos);
    CHECK(out.find("Time precision = nanoseconds (9)") != std::string::npos);
}
