// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/ipfix.hpp"

#include <arpa/inet.h>
#include <fixbuf/public.h>

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <stdexcept>

#include "base/net.hpp"

namespace evnf::edpi
{

namespace
{

using nlohmann::json;

// Fits a datagram of any path.
constexpr std::uint16_t most_bytes = 1200;
// Of this exporter's one metering process.
constexpr std::uint32_t domain = 1;
constexpr unsigned ethernet_header = 14, vlan_tag = 4;

// Templates, the same numbers for libfixbuf's view of the structs below and on the wire.
enum Template : std::uint16_t { flow4 = 256, flow6, application_name, unaccounted };

// RFC 6759, 4: the engine is "PANA-L7-PEN", with whose numbers these are (35632, ntop).
using ApplicationId = std::array<std::uint8_t, 9>;
constexpr std::array<std::uint8_t, 5> ndpi_registry{20, 0, 0, 0x8b, 0x30};

using Ip4 = std::uint32_t; // of the host's byte order
using Ip6 = std::array<std::uint8_t, 16>;

// What libfixbuf reads; the lists of elements below say the same.
template <class Ip>
struct Flow {
    std::uint64_t first, last;
    std::uint64_t packets, packets_back, octets, octets_back, frame_octets, frame_octets_back;
    Ip source, destination;
    std::uint16_t source_port, destination_port, flags, flags_back, vlan, inner_vlan;
    std::uint8_t protocol, end, direction;
    ApplicationId application;
};
static_assert(sizeof(Flow<Ip4>) == 96 && sizeof(Flow<Ip6>) == 120);

struct ApplicationName {
    ApplicationId id;
    // Of fixed length, as nfdump reads it; none of nDPI's is longer.
    std::array<char, 64> name;
};

struct Unaccounted {
    std::uint32_t domain, pad;
    std::uint64_t packets, bytes;
};

struct Element {
    const char *name;
    std::uint16_t length;
    bool padding = false; // of the struct, not on the wire
};
using Elements = std::vector<Element>;

Elements flow_elements(const char *source, const char *destination, std::uint16_t ip)
{
    return {{"flowStartMilliseconds", 8},
            {"flowEndMilliseconds", 8},
            {"packetDeltaCount", 8},
            {"reversePacketDeltaCount", 8},
            {"octetDeltaCount", 8},
            {"reverseOctetDeltaCount", 8},
            {"layer2OctetDeltaCount", 8},
            {"reverseLayer2OctetDeltaCount", 8},
            {source, ip},
            {destination, ip},
            {"sourceTransportPort", 2},
            {"destinationTransportPort", 2},
            {"tcpControlBits", 2},
            {"reverseTcpControlBits", 2},
            {"dot1qVlanId", 2},
            {"dot1qCustomerVlanId", 2},
            {"protocolIdentifier", 1},
            {"flowEndReason", 1},
            {"biflowDirection", 1},
            {"applicationId", sizeof(ApplicationId)}};
}

// RFC 5102, 5.11.3: what flowEndReason says.
std::uint8_t end_reason(const std::string &end)
{
    if (end == "idle")
        return 1;
    if (end == "active")
        return 2;
    return end == "closed" ? 3 : 4; // 4: forced
}

std::uint16_t tcp_flags(const std::string &letters)
{
    constexpr std::string_view all = "FSRPAUEC"; // from bit 0 on
    unsigned out = 0;
    for (const char c : letters)
        if (const auto bit = all.find(c); bit != std::string_view::npos)
            out |= 1U << bit;
    return static_cast<std::uint16_t>(out);
}

// Of "7.126": nDPI's numbers of the master protocol and of the application.
ApplicationId application_id(const std::string &text)
{
    std::uint16_t master = 0, app = 0;
    const char *end = text.data() + text.size();
    if (const auto dot = std::from_chars(text.data(), end, master).ptr; dot != end)
        std::from_chars(dot + 1, end, app);
    ApplicationId id{};
    auto at = std::copy(ndpi_registry.begin(), ndpi_registry.end(), id.begin());
    for (const unsigned n : {master, app}) {
        *at++ = static_cast<std::uint8_t>(n >> 8);
        *at++ = static_cast<std::uint8_t>(n);
    }
    return id;
}

template <class Ip>
Ip address(const json &text)
{
    const auto parsed = Address::parse(text.get<std::string>());
    const ip_addr raw = parsed ? parsed->raw() : ip_addr{};
    if constexpr (std::is_same_v<Ip, Ip4>)
        return ntohl(raw.w[3]);
    else
        return std::bit_cast<Ip>(raw);
}

template <class Ip>
Flow<Ip> flow(const json &record)
{
    const std::uint64_t packets = record["packets"], packets_back = record["packets_back"];
    const std::uint64_t bytes = record["bytes"], bytes_back = record["bytes_back"];
    const json vlans = record.value("vlan", json::array());
    const unsigned link = ethernet_header + vlan_tag * static_cast<unsigned>(vlans.size());
    const auto vlan = [&](std::size_t n) {
        return n < vlans.size() ? vlans[n].get<std::uint16_t>() : std::uint16_t{0};
    };
    const auto protocol = parse_protocol(record["protocol"].get<std::string>());
    return {.first = record["first_ms"],
            .last = record["last_ms"],
            .packets = packets,
            .packets_back = packets_back,
            .octets = bytes - packets * link,
            .octets_back = bytes_back - packets_back * link,
            .frame_octets = bytes,
            .frame_octets_back = bytes_back,
            .source = address<Ip>(record["source"]),
            .destination = address<Ip>(record["destination"]),
            .source_port = record.value("source_port", std::uint16_t{0}),
            .destination_port = record.value("destination_port", std::uint16_t{0}),
            .flags = tcp_flags(record.value("tcp_flags", "")),
            .flags_back = tcp_flags(record.value("tcp_flags_back", "")),
            .vlan = vlan(0),
            .inner_vlan = vlan(1),
            .protocol = protocol ? *protocol : std::uint8_t{0},
            .end = end_reason(record.value("end", "")),
            .direction = 1, // the source is the end that spoke first
            .application = application_id(record["application_id"])};
}

} // namespace

void Message::set_sequence(std::uint32_t sequence)
{
    const std::uint32_t wire = htonl(sequence);
    std::memcpy(bytes.data() + 8, &wire, sizeof wire); // RFC 7011, 3.1
}

// The encoder of libfixbuf, which leaves each message in `out`.
struct IpfixEncoder::Library {
    std::array<std::uint8_t, most_bytes> out{};
    fbInfoModel_t *model = fbInfoModelAlloc();
    fbSession_t *session = fbSessionAlloc(model);
    fBuf_t *buffer = nullptr;
    std::uint32_t records = 0; // in the message that is being made
    std::vector<Message> done;

    Library()
    {
        fbSessionSetDomain(session, domain);
        add(flow4, flow_elements("sourceIPv4Address", "destinationIPv4Address", 4));
        add(flow6, flow_elements("sourceIPv6Address", "destinationIPv6Address", 16));
        add(application_name,
            {{"applicationId", sizeof(ApplicationId)},
             {"applicationName", sizeof(edpi::ApplicationName::name)}},
            1);
        // RFC 7011, 4.2: Metering Process Reliability Statistics.
        add(unaccounted,
            {{"observationDomainId", 4},
             {"paddingOctets", 4, true},
             {"ignoredPacketTotalCount", 8},
             {"ignoredLayer2OctetTotalCount", 8}},
            1);
        buffer = fBufAllocForExport(session, fbExporterAllocBuffer(out.data(), most_bytes));
        fBufSetAutomaticMode(buffer, FALSE);
    }
    ~Library()
    {
        fBufFree(buffer);
        fbInfoModelFree(model);
    }
    Library(const Library &) = delete;
    Library &operator=(const Library &) = delete;

    // Nothing that is given to libfixbuf depends on what packets say: it cannot fail.
    static void must(gboolean good, GError *&error)
    {
        if (good)
            return;
        const std::string what = error ? error->message : "no reason given";
        g_clear_error(&error);
        throw std::logic_error("libfixbuf: " + what);
    }

    void add(std::uint16_t number, const Elements &elements, std::uint16_t scope = 0)
    {
        for (const bool internal : {true, false}) {
            fbTemplate_t *t = fbTemplateAlloc(model);
            GError *error = nullptr;
            for (const auto &e : elements) {
                fbInfoElementSpec_t spec{const_cast<char *>(e.name), e.length, 0};
                if (internal || !e.padding)
                    must(fbTemplateAppendSpec(t, &spec, 0, &error), error);
            }
            if (scope)
                fbTemplateSetOptionsScope(t, scope);
            must(fbSessionAddTemplate(session, internal, number, t, &error) == number, error);
        }
    }

    void flush()
    {
        GError *error = nullptr;
        must(fBufEmit(buffer, &error), error);
        const auto size = fbExporterGetMsgLen(fBufGetExporter(buffer));
        done.push_back({{out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)},
                        std::exchange(records, 0)});
    }

    template <class Record>
    void append(std::uint16_t number, Record record)
    {
        GError *error = nullptr;
        must(fBufSetInternalTemplate(buffer, number, &error), error);
        must(fBufSetExportTemplate(buffer, number, &error), error);
        auto *bytes = reinterpret_cast<std::uint8_t *>(&record);
        in_a_message([&](GError **e) { return fBufAppend(buffer, bytes, sizeof record, e); });
        ++records;
    }

    void append_templates()
    {
        in_a_message([&](GError **e) { return fbSessionExportTemplates(session, e); });
    }

    // If not in this one, in the next.
    template <class Append>
    void in_a_message(Append &&append)
    {
        GError *error = nullptr;
        if (append(&error))
            return;
        must(g_error_matches(error, FB_ERROR_DOMAIN, FB_ERROR_EOM), error);
        g_clear_error(&error);
        if (records)
            flush();
        must(append(&error), error);
    }

    void append_name(const std::string &id, const std::string &name)
    {
        edpi::ApplicationName record{};
        record.id = application_id(id);
        name.copy(record.name.data(), record.name.size());
        append(application_name, record);
    }
};

IpfixEncoder::IpfixEncoder() : library_(std::make_unique<Library>()) {}
IpfixEncoder::~IpfixEncoder() = default;

std::vector<Message> IpfixEncoder::preamble()
{
    library_->append_templates();
    for (const auto &[id, name] : told_.names)
        library_->append_name(id, name);
    library_->flush();
    return std::exchange(library_->done, {});
}

Message IpfixEncoder::encode(const json &record)
{
    next_ = {};
    if (record["record"] == "unaccounted") {
        next_.unaccounted_packets = record["packets"];
        next_.unaccounted_bytes = record["bytes"];
        library_->append(
            unaccounted,
            Unaccounted{.domain = domain,
                        .pad = 0,
                        .packets = told_.unaccounted_packets + next_.unaccounted_packets,
                        .bytes = told_.unaccounted_bytes + next_.unaccounted_bytes});
    } else {
        const std::string id = record["application_id"];
        if (!told_.names.contains(id)) {
            next_.names[id] = record["application"];
            library_->append_name(id, next_.names[id]);
        }
        if (record["source"].get<std::string>().find(':') == std::string::npos)
            library_->append(flow4, flow<Ip4>(record));
        else
            library_->append(flow6, flow<Ip6>(record));
    }
    library_->flush();
    return std::exchange(library_->done, {}).front();
}

void IpfixEncoder::taken()
{
    told_.names.merge(next_.names);
    told_.unaccounted_packets += next_.unaccounted_packets;
    told_.unaccounted_bytes += next_.unaccounted_bytes;
    next_ = {};
}

} // namespace evnf::edpi
