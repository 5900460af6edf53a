// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/facts.hpp"

#include <arpa/inet.h>

#include <array>

namespace evnf::edpi
{

namespace
{

using nlohmann::json;

// Names come from the network: whatever is not printable ASCII is shown as its number.
std::string clean(const char *text, std::size_t most)
{
    constexpr const char *digits = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < most && text[i]; ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c < 0x7f)
            out += static_cast<char>(c);
        else
            out += {'\\', 'x', digits[c >> 4], digits[c & 15]};
    }
    return out;
}

void put(json &to, const char *key, const char *text, std::size_t most = 512)
{
    if (text && *text)
        to[key] = clean(text, most);
}

template <std::size_t size>
void put(json &to, const char *key, const char (&text)[size])
{
    put(to, key, text, size);
}

// A table of `to`, if there is anything in it.
void put_table(json &to, const char *key, json table)
{
    if (!table.empty())
        to[key] = std::move(table);
}

bool is(const ndpi_protocol &p, std::uint16_t id)
{
    return p.master_protocol == id || p.app_protocol == id;
}

json risks_of(ndpi_risk risks)
{
    json out = json::array();
    for (unsigned i = 1; i < NDPI_MAX_RISK; ++i)
        if (risks & (ndpi_risk{1} << i))
            out.push_back(ndpi_risk2str(static_cast<ndpi_risk_enum>(i)));
    return out;
}

json tls_of(const ndpi_flow_struct &flow)
{
    const auto &t = flow.protos.tls_quic;
    json out = json::object();
    std::array<char, 32> unknown{};
    if (t.ssl_version) {
        std::uint8_t known = 0;
        out["version"] =
            ndpi_ssl_version2str(unknown.data(), unknown.size(), t.ssl_version, &known);
    }
    put(out, "alpn", t.alpn);
    put(out, "ja3", t.ja3_client);
    put(out, "ja3s", t.ja3_server);
    put(out, "names", t.server_names);
    put(out, "issuer", t.issuerDN);
    put(out, "subject", t.subjectDN);
    if (t.server_cipher)
        out["cipher"] = ndpi_cipher2str(t.server_cipher);
    return out;
}

json http_of(const ndpi_flow_struct &flow)
{
    const auto &h = flow.http;
    json out = json::object();
    put(out, "url", h.url);
    put(out, "user_agent", h.user_agent);
    put(out, "content_type", h.content_type);
    if (h.response_status_code)
        out["status"] = h.response_status_code;
    return out;
}

json dns_of(const ndpi_flow_struct &flow)
{
    const auto &d = flow.protos.dns;
    json out = json::object();
    if (d.query_type)
        out["query_type"] = d.query_type;
    if (d.is_query)
        return out;
    out["reply_code"] = d.reply_code;
    char text[INET6_ADDRSTRLEN] = "";
    if (d.num_answers && (d.rsp_type == 1 || d.rsp_type == 28) &&
        inet_ntop(d.rsp_type == 1 ? AF_INET : AF_INET6, &d.rsp_addr, text, sizeof text))
        out["answer"] = text;
    return out;
}

json ssh_of(const ndpi_flow_struct &flow)
{
    const auto &s = flow.protos.ssh;
    json out = json::object();
    put(out, "client", s.client_signature);
    put(out, "server", s.server_signature);
    put(out, "hassh_client", s.hassh_client);
    put(out, "hassh_server", s.hassh_server);
    return out;
}

json dhcp_of(const ndpi_flow_struct &flow)
{
    json out = json::object();
    put(out, "fingerprint", flow.protos.dhcp.fingerprint);
    put(out, "class", flow.protos.dhcp.class_ident);
    return out;
}

} // namespace

// Which member of flow.protos is valid depends on the protocol, as ndpiReader has it.
json facts_json(ndpi_detection_module_struct *module, const ndpi_protocol &protocol,
                ndpi_flow_struct &flow)
{
    json out{{"category", ndpi_category_get_name(module, protocol.category)},
             {"breed", ndpi_get_proto_breed_name(
                           module, ndpi_get_proto_breed(module, ndpi_get_upper_proto(protocol)))},
             {"confidence", ndpi_confidence_get_name(flow.confidence)}};
    if (flow.risk)
        out["risks"] = risks_of(flow.risk);
    if (!is(protocol, NDPI_PROTOCOL_SSH))
        put(out, "host", flow.host_server_name);
    if (is(protocol, NDPI_PROTOCOL_DHCP))
        put_table(out, "dhcp", dhcp_of(flow));
    else if (is(protocol, NDPI_PROTOCOL_DNS))
        put_table(out, "dns", dns_of(flow));
    else if (is(protocol, NDPI_PROTOCOL_HTTP))
        put_table(out, "http", http_of(flow));
    else if (is(protocol, NDPI_PROTOCOL_SSH))
        put_table(out, "ssh", ssh_of(flow));
    else if (is(protocol, NDPI_PROTOCOL_TLS) || is(protocol, NDPI_PROTOCOL_QUIC))
        put_table(out, "tls", tls_of(flow));
    return out;
}

} // namespace evnf::edpi
