// SPDX-License-Identifier: GPL-2.0-or-later
#include "capture/capture.hpp"

#include <pcap/pcap.h>

#include <memory>

namespace evnf::capture
{

namespace
{

constexpr std::size_t ethernet_header = 14;
constexpr std::uint32_t longest = 256 * 1024; // as libpcap has it for what is kept

struct Close {
    void operator()(pcap_t *p) const { pcap_close(p); }
};

// Bytes before the IP header; none if the link type is not known.
std::optional<std::size_t> header_of(int link, std::span<const std::uint8_t> bytes)
{
    switch (link) {
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        return 0;
    case DLT_NULL:
    case DLT_LOOP:
    case DLT_C_HDLC: // address, control, ethertype
        return 4;
    case DLT_PPP:
    case DLT_PPP_SERIAL: { // RFC 1662: address and control may be left out, or are Cisco's
        const bool framed =
            !bytes.empty() && (bytes[0] == 0xff || bytes[0] == 0x0f || bytes[0] == 0x8f);
        return framed ? 4 : 2;
    }
    case DLT_LINUX_SLL:
        return 16;
    case DLT_LINUX_SLL2:
        return 20;
    default:
        return std::nullopt;
    }
}

} // namespace

std::string link_name(int link)
{
    const char *name = pcap_datalink_val_to_name(link);
    return name ? name : std::to_string(link);
}

Result<Capture> read(const std::string &path)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    const std::unique_ptr<pcap_t, Close> file(
        pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, why));
    if (!file) {
        const std::string text = why;
        return bad_input(text.starts_with(path) ? text : path + ": " + text);
    }
    Capture out{pcap_datalink(file.get()), {}};
    pcap_pkthdr *head = nullptr;
    const u_char *data = nullptr;
    int got = 0;
    while ((got = pcap_next_ex(file.get(), &head, &data)) == 1) {
        if (head->len > longest)
            return bad_input(path + ": packet " + std::to_string(out.packets.size() + 1) +
                             " is said to have " + std::to_string(head->len) +
                             " bytes: the file is broken");
        out.packets.push_back({{data, data + head->caplen},
                               head->len,
                               static_cast<std::uint64_t>(head->ts.tv_sec) * 1'000'000'000 +
                                   static_cast<std::uint64_t>(head->ts.tv_usec)});
    }
    if (got == PCAP_ERROR)
        return bad_input(path + ": packet " + std::to_string(out.packets.size() + 1) + ": " +
                         pcap_geterr(file.get()));
    return out;
}

Result<> check_link(int link)
{
    if (link == DLT_EN10MB || header_of(link, {}))
        return Unit{};
    return bad_input("its link type is " + link_name(link) +
                     ", known are Ethernet, raw IP, loopback, PPP, Cisco HDLC and Linux cooked");
}

std::optional<std::vector<std::uint8_t>> to_ethernet(int link, std::span<const std::uint8_t> bytes)
{
    if (link == DLT_EN10MB)
        return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
    const auto skip = header_of(link, bytes);
    if (!skip || bytes.size() <= *skip)
        return std::nullopt;
    const unsigned version = bytes[*skip] >> 4;
    if (version != 4 && version != 6)
        return std::nullopt;
    std::vector<std::uint8_t> out(ethernet_header);
    out[12] = version == 4 ? 0x08 : 0x86;
    out[13] = version == 4 ? 0x00 : 0xdd;
    out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(*skip), bytes.end());
    return out;
}

} // namespace evnf::capture
