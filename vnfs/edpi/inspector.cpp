// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/inspector.hpp"

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#include "vnfs/edpi/facts.hpp"

namespace evnf::edpi
{

namespace
{

ndpi_protocol protocol_of(ndpi_detection_module_struct *module, Application a)
{
    ndpi_protocol p{a.master, a.app, NDPI_PROTOCOL_CATEGORY_UNSPECIFIED};
    p.category = ndpi_get_proto_category(module, p);
    return p;
}

} // namespace

void Inspector::Free::operator()(ndpi_detection_module_struct *m) const
{
    ndpi_exit_detection_module(m);
}

void Inspector::Free::operator()(ndpi_flow_struct *f) const
{
    ndpi_flow_free(f);
}

Inspector::~Inspector() = default;

Result<std::unique_ptr<Inspector>> Inspector::make(const std::string &protocols_file,
                                                   PacketLimits limits, std::size_t most_flows)
{
    auto *module = ndpi_init_detection_module(ndpi_no_prefs);
    if (!module)
        return sys_error("start nDPI", ENOMEM);
    std::unique_ptr<Inspector> out(new Inspector(module, limits, most_flows));
    NDPI_PROTOCOL_BITMASK all;
    NDPI_BITMASK_SET_ALL(all);
    ndpi_set_protocol_detection_bitmask2(module, &all);
    if (!protocols_file.empty() && (::access(protocols_file.c_str(), R_OK) ||
                                    ndpi_load_protocols_file(module, protocols_file.c_str())))
        return bad_input("read the protocols of " + protocols_file + ": " +
                         std::generic_category().message(errno));
    ndpi_finalize_initialization(module);
    return out;
}

std::string Inspector::name(Application a) const
{
    std::array<char, 64> buffer{};
    return ndpi_protocol2name(module_.get(), protocol_of(module_.get(), a), buffer.data(),
                              buffer.size());
}

std::string Inspector::category(Application a) const
{
    return ndpi_category_get_name(module_.get(), protocol_of(module_.get(), a).category);
}

std::vector<Inspector::Protocol> Inspector::protocols() const
{
    std::vector<Protocol> out;
    auto *module = module_.get();
    const ndpi_proto_defaults_t *all = ndpi_get_proto_defaults(module);
    for (unsigned i = 0; i < ndpi_get_num_supported_protocols(module); ++i) {
        if (!all[i].protoName)
            continue;
        const auto id = static_cast<std::uint16_t>(i);
        out.push_back({id, all[i].protoName, category({0, id}),
                       ndpi_get_proto_breed_name(module, ndpi_get_proto_breed(module, id))});
    }
    return out;
}

Inspector::Flow *Inspector::find_or_make(std::uint32_t id)
{
    const auto known = flows_.find(id);
    if (known != flows_.end())
        return &known->second;
    const std::size_t size = ndpi_detection_get_sizeof_ndpi_flow_struct();
    auto *state = static_cast<ndpi_flow_struct *>(ndpi_flow_malloc(size));
    if (!state)
        return nullptr;
    std::fill_n(reinterpret_cast<char *>(state), size, '\0');
    Flow flow{std::unique_ptr<ndpi_flow_struct, Free>(state),
              0,
              {},
              {},
              {},
              ages_.insert(ages_.end(), id)};
    return &flows_.emplace(id, std::move(flow)).first->second;
}

// Whether the library reads the same protocol of a packet as of the flow's first. It has TCP's and
// UDP's state of a flow in one place, and frees it as that of the last packet.
bool Inspector::fits(Flow &flow, std::span<const std::uint8_t> ip)
{
    const std::uint8_t *l4 = nullptr;
    std::uint16_t size = 0;
    std::uint8_t protocol = 0;
    if (ndpi_detection_get_l4(ip.data(), static_cast<std::uint16_t>(ip.size()), &l4, &size,
                              &protocol, 0))
        return true; // then it keeps no state of that
    if (!flow.protocol)
        flow.protocol = protocol;
    return flow.protocol == protocol;
}

// Which packets it is given, and when it has had enough, is as in ndpiReader's
// packet_processing(): every packet counts, with payload or without.
std::vector<Inspector::Decided> Inspector::inspect(std::uint32_t id, std::uint8_t protocol,
                                                   std::span<const std::uint8_t> ip,
                                                   std::uint64_t ms)
{
    std::vector<Decided> out;
    if (flows_.size() >= most_flows_ && !flows_.contains(id)) {
        const std::uint32_t oldest = ages_.front();
        out.push_back({oldest, give_up(flows_.find(oldest))});
    }
    Flow *flow = find_or_make(id);
    if (!flow)
        return out;
    last_ms_ = std::max(last_ms_, ms);
    ++flow->packets;
    const bool enough = flow->packets > (protocol == IPPROTO_TCP ? limits_.tcp : limits_.udp);
    ip = ip.first(std::min<std::size_t>(ip.size(), 0xffff));
    if (!fits(*flow, ip))
        return out;
    const auto found =
        ndpi_detection_process_packet(module_.get(), flow->state.get(), ip.data(),
                                      static_cast<std::uint16_t>(ip.size()), last_ms_);
    const bool known = found.app_protocol != NDPI_PROTOCOL_UNKNOWN;
    if (enough || (known && !ndpi_extra_dissection_possible(module_.get(), flow->state.get()))) {
        const auto it = flows_.find(id);
        out.push_back({id, known ? take(it, found) : give_up(it)});
    } else if (const Application a{found.master_protocol, found.app_protocol};
               a != flow->application || (known && flow->state->host_server_name != flow->host)) {
        flow->application = a;
        flow->host = flow->state->host_server_name;
        out.push_back({id, facts(*flow, found), false});
    }
    return out;
}

std::optional<Facts> Inspector::conclude(std::uint32_t id)
{
    const auto flow = flows_.find(id);
    if (flow == flows_.end())
        return std::nullopt;
    return give_up(flow);
}

std::vector<Inspector::Decided> Inspector::conclude_all()
{
    std::vector<Decided> out;
    while (!flows_.empty()) {
        const std::uint32_t id = flows_.begin()->first;
        out.push_back({id, give_up(flows_.begin())});
    }
    return out;
}

Facts Inspector::give_up(Flows::iterator flow)
{
    std::uint8_t guessed = 0;
    return take(flow, ndpi_detection_giveup(module_.get(), flow->second.state.get(), 1, &guessed));
}

Facts Inspector::take(Flows::iterator flow, const ndpi_protocol &found)
{
    Facts out = facts(flow->second, found);
    ages_.erase(flow->second.age);
    flows_.erase(flow);
    return out;
}

Facts Inspector::facts(Flow &flow, const ndpi_proto &found) const
{
    Facts out{{found.master_protocol, found.app_protocol},
              facts_json(module_.get(), found, *flow.state)};
    out.details["application"] = name(out.application);
    return out;
}

} // namespace evnf::edpi
