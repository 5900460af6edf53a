// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/pcap.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

namespace evnf::efw
{

namespace
{

constexpr std::uint32_t microseconds = 0xa1b2c3d4, nanoseconds = 0xa1b23c4d;
constexpr std::uint32_t pcapng = 0x0a0d0d0a;
constexpr std::uint32_t ethernet = 1;
constexpr std::size_t file_header = 24, packet_header = 16;
constexpr std::uint32_t longest = 256 * 1024; // as libpcap has it: more is a broken file

class Reader
{
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    Result<> begin()
    {
        const std::uint32_t magic = word(0);
        if (magic == pcapng)
            return bad_input("it is pcapng, not pcap: tcpdump -r FILE -w OTHER converts it");
        swapped_ = magic == swap(microseconds) || magic == swap(nanoseconds);
        const std::uint32_t known = word(0);
        if (bytes_.size() < file_header || (known != microseconds && known != nanoseconds))
            return bad_input("it is not a pcap file");
        const std::uint32_t link = word(20) & 0xffff; // the rest says how long checksums are
        if (link != ethernet)
            return bad_input("its link type is " + std::to_string(link) + ", not Ethernet (1)");
        at_ = file_header;
        return Unit{};
    }

    [[nodiscard]] bool done() const { return at_ == bytes_.size(); }

    Result<Captured> next()
    {
        const std::size_t left = bytes_.size() - at_;
        const std::uint32_t kept = word(at_ + 8), length = word(at_ + 12);
        if (left < packet_header || kept > left - packet_header || kept > longest ||
            length > longest)
            return bad_input("it is cut short or broken at byte " + std::to_string(at_));
        const auto data = bytes_.substr(at_ + packet_header, kept);
        Captured out(data.begin(), data.end());
        out.resize(std::max(kept, length));
        at_ += packet_header + kept;
        return out;
    }

private:
    static std::uint32_t swap(std::uint32_t v) { return __builtin_bswap32(v); }

    [[nodiscard]] std::uint32_t word(std::size_t at) const
    {
        std::uint32_t v = 0;
        if (at + sizeof v <= bytes_.size())
            std::memcpy(&v, bytes_.data() + at, sizeof v);
        return swapped_ ? swap(v) : v;
    }

    std::string_view bytes_;
    std::size_t at_ = 0;
    bool swapped_ = false;
};

} // namespace

Result<std::vector<Captured>> read_pcap(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    if (!in.is_open() || in.bad())
        return sys_error("read " + path);
    Reader reader(bytes);
    if (auto r = reader.begin(); !r)
        return std::move(r).context(path).error();
    std::vector<Captured> out;
    while (!reader.done()) {
        auto packet = reader.next();
        if (!packet)
            return std::move(packet).context(path).error();
        out.push_back(*std::move(packet));
    }
    return out;
}

} // namespace evnf::efw
