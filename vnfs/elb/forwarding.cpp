// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/forwarding.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

Result<> read_ports(const TableReader &reader, Forwarding &out)
{
    auto text = reader.text("source_ports");
    if (!text)
        return text.error();
    const auto dash = text->find('-');
    const auto number = [&](const std::string &part) {
        return parse_number(part, 1024, 65535, "source_ports");
    };
    auto first = number(text->substr(0, dash));
    auto last = dash == text->npos ? first : number(text->substr(dash + 1));
    if (!first || !last || *first > *last)
        return bad_input(in_quotes(*text) + " are no source_ports: FIRST-LAST, from 1024 to 65535",
                         reader.at("source_ports"), 0, text->size());
    out.first_port = static_cast<std::uint16_t>(*first);
    out.last_port = static_cast<std::uint16_t>(*last);
    return Unit{};
}

Result<> read_sources(const TableReader &reader, const Address &service, Forwarding &out)
{
    const std::string where = reader.at("sources");
    auto texts = reader.texts("sources", {});
    if (!texts)
        return texts.error();
    if (texts->empty() || texts->size() > ELB_MAX_SOURCES)
        return bad_input("sources are 1 to " + std::to_string(ELB_MAX_SOURCES) + " addresses",
                         where);
    for (std::size_t i = 0; i < texts->size(); ++i) {
        const auto &text = (*texts)[i];
        const std::string at = where + "/" + std::to_string(i);
        auto address = Address::parse(text);
        if (!address)
            return bad_input(address.error().what, at, 0, text.size());
        if (address->family() != service.family())
            return bad_input("source " + text + " and service " + service.text() +
                                 " are not of one IP version",
                             at);
        if (*address == service)
            return bad_input("source " + text +
                                 " is the service's own address: backends would "
                                 "answer what looks like a client; give another",
                             at);
        if (std::find(out.sources.begin(), out.sources.end(), *address) != out.sources.end())
            return bad_input("source " + text + " stands twice", at);
        out.sources.push_back(*address);
    }
    return Unit{};
}

} // namespace

elb_sources Forwarding::raw() const
{
    elb_sources out{};
    out.count = static_cast<__u32>(sources.size());
    out.first_port = first_port;
    out.last_port = last_port;
    for (std::size_t i = 0; i < sources.size(); ++i)
        out.addr[i] = sources[i].raw();
    return out;
}

Result<Forwarding> read_forwarding(const json &table, const Address &service,
                                   const std::string &where)
{
    const TableReader reader(table, where);
    auto word = reader.word("forward", {"nat", "source_nat", "tunnel", "direct"}, "nat");
    if (!word)
        return word.error();
    Forwarding out;
    out.how = *word == "nat"      ? ELB_NAT
              : *word == "tunnel" ? ELB_TUNNEL
              : *word == "direct" ? ELB_DIRECT
                                  : ELB_SOURCE_NAT;
    const bool has_sources = out.how == ELB_SOURCE_NAT || out.how == ELB_TUNNEL;
    if (!has_sources && reader.has("sources"))
        return bad_input("sources are of forward = \"source_nat\" or \"tunnel\"",
                         reader.at("sources"));
    if (out.how != ELB_SOURCE_NAT && reader.has("source_ports"))
        return bad_input("source_ports are of forward = \"source_nat\"", reader.at("source_ports"));
    if (!has_sources)
        return out;
    if (auto r = read_sources(reader, service, out); !r)
        return r.error();
    if (reader.has("source_ports"))
        if (auto r = read_ports(reader, out); !r)
            return r.error();
    return out;
}

} // namespace evnf::elb
