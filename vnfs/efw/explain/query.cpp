// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/query.hpp"

#include <net/if.h>

#include <algorithm>

#include "base/base64.hpp"
#include "base/rtnl.hpp"
#include "base/text.hpp"
#include "vnfs/efw/explain/fields.hpp"
#include "vnfs/efw/explain/frame.hpp"
#include "vnfs/efw/explain/netfilter.hpp"
#include "vnfs/efw/explain/rehearsal.hpp"
#include "vnfs/efw/explain/view.hpp"

namespace evnf::efw
{

namespace
{

constexpr std::size_t most_frames = 1000; // in one request: others wait meanwhile
constexpr std::size_t least_frame = 14;   // an Ethernet header

bool is_named(const std::vector<SectionRule> &rules, const std::string &interface)
{
    return std::any_of(rules.begin(), rules.end(), [&](const SectionRule &r) {
        match::Interfaces named = r.rule.match.in;
        named.negated = false;
        return named.asked() && named.allows(interface);
    });
}

// The interface by which a packet comes; one that no rule names, if it does not say.
Result<Arrival> arrival(const std::vector<SectionRule> &rules, const Live &live,
                        const std::string &name)
{
    if (name.empty() && live.lease >= 0)
        return bad_input("netfilter's rules are offloaded for each interface on its own: say by "
                         "which one the packet comes, as in \"in eth0\"");
    auto rtnl = Rtnl::open();
    if (!rtnl)
        return rtnl.error();
    const auto all = rtnl->links();
    if (!all)
        return all.error();
    const auto found = std::find_if(all->begin(), all->end(), [&](const Link &i) {
        return name.empty() ? !is_named(rules, i.name) : i.name == name;
    });
    if (found != all->end())
        return Arrival{name, found->ifindex, found->mac};
    if (!name.empty())
        return bad_input("there is no interface " + in_quotes(name) + " here", "/in");
    return bad_input("the rules name every interface there is: say by which one the packet "
                     "comes, as in \"in eth0\"");
}

// The interface by which packets are to leave, if it is said.
Result<std::string> leaving(const json &name)
{
    if (!name.is_string())
        return bad_input("out is the name of an interface", "/out");
    const auto text = name.get<std::string>();
    if (!text.empty() && !::if_nametoindex(text.c_str()))
        return bad_input("there is no interface " + in_quotes(text) + " here", "/out");
    return text;
}

Rules described(const std::vector<SectionRule> &rules, const json &section)
{
    Rules out;
    for (const auto &r : rules)
        out.rules.push_back({{{"id", r.id}}, r.rule});
    out.otherwise = default_action(section);
    return out;
}

// The decision of the offload that decides, and the rule of netfilter that it comes from.
json offload_json(const offload::Plan &plan, const offload::Decision &decision)
{
    json out{{"decision", action_text(decision.rule.action)}};
    if (decision.decider != offload::no_origin)
        out["rule"] = offload::origin_json(plan.origins[decision.decider]);
    if (decision.rule.action == EFW_SLOW)
        out["because"] = plan.causes[decision.cause];
    else if (decision.conditions)
        out["conditions"] = offload::conditions_json(decision.conditions);
    return out;
}

// What packets are explained with.
struct Context {
    Rehearsal &rehearsal;
    const Live &live;
    const Rules rules;
    const Netfilter netfilter;
    const std::string out; // by which packets leave, if not as the kernel's routes have it
};

json outcome_json(const Outcome &outcome, const Context &c)
{
    json out = explained(outcome.decision, c.rules, outcome.packet);
    if (outcome.decision.offloaded) {
        const auto &decision = c.live.plan->decisions[*outcome.decision.offloaded];
        out["offload"] = offload_json(*c.live.plan, decision);
        if (outcome.packet)
            out["fields"] = asked_fields(decision.rule.match, *outcome.packet);
    }
    if (outcome.packet)
        out["netfilter"] = c.netfilter.judge(*outcome.packet, c.out);
    return out;
}

Result<json> explain_text(const Context &c, const json &text)
{
    if (!text.is_string())
        return bad_input("packet is a text such as \"tcp 198.51.100.7:4000 > 192.0.2.10:22\"",
                         "/packet");
    auto packet = parse_packet(text.get<std::string>());
    if (!packet) {
        Error e = packet.error();
        e.where = "/packet";
        return e;
    }
    if (!packet->sets.empty())
        return bad_input("what named sets the packet is in is seen by its addresses and ports: "
                         "leave out @" +
                             packet->sets.front().set,
                         "/packet");
    auto in = arrival(c.rehearsal.rules(), c.live, packet->in);
    auto frame = frame_of(*packet);
    if (!in || !frame)
        return !in ? in.error() : frame.error();
    std::copy(in->mac.begin(), in->mac.end(), frame->begin()); // it is for this host
    auto outcome = c.rehearsal.run(*frame, *in);
    if (!outcome)
        return outcome.error();
    return outcome_json(*outcome, c);
}

Result<json> explain_frame(const Context &c, const json &item, const Arrival &in)
{
    const auto frame =
        item.is_string() ? from_base64(item.get_ref<const std::string &>()) : std::nullopt;
    if (!frame)
        return bad_input("a frame is a string of base64");
    if (frame->size() < least_frame || frame->size() > max_frame)
        return bad_input("a frame has " + std::to_string(least_frame) + " to " +
                         std::to_string(max_frame) + " bytes");
    auto outcome = c.rehearsal.run(*frame, in);
    if (!outcome)
        return outcome.error();
    return outcome_json(*outcome, c);
}

Result<json> explain_frames(const Context &c, const json &request)
{
    const json &frames = request["frames"], name = request.value("in", json(""));
    if (!frames.is_array() || frames.size() > most_frames)
        return bad_input("frames are an array of up to " + std::to_string(most_frames) +
                             " strings of base64",
                         "/frames");
    if (!name.is_string())
        return bad_input("in is the name of an interface", "/in");
    auto in = arrival(c.rehearsal.rules(), c.live, name);
    if (!in)
        return in.error();
    json out = json::array();
    for (const auto &item : frames) {
        auto one = explain_frame(c, item, *in);
        if (!one) {
            Error e = one.error();
            e.where = "/frames/" + std::to_string(out.size());
            return e;
        }
        out.push_back(*std::move(one));
    }
    return out;
}

} // namespace

Result<json> explain(const json &section, const Live &live, const json &request)
{
    const bool text = request.is_object() && request.contains("packet");
    const bool frames = request.is_object() && request.contains("frames");
    if (text == frames ||
        request.size() != 1 + request.count("out") + (frames ? request.count("in") : 0))
        return bad_input("what is to be explained is {\"packet\": TEXT}, or {\"frames\": "
                         "[BASE64, …], \"in\": INTERFACE}; and \"out\": INTERFACE");
    auto out = leaving(request.value("out", json("")));
    if (!out)
        return out.error();
    auto rehearsal = Rehearsal::load(section, live);
    if (!rehearsal)
        return rehearsal.error();
    const Context c{*rehearsal, live, described(rehearsal->rules(), section), {}, *out};
    json packets = json::array();
    if (frames) {
        auto all = explain_frames(c, request);
        if (!all)
            return all;
        packets = *std::move(all);
    } else {
        auto one = explain_text(c, request["packet"]);
        if (!one)
            return one;
        packets.push_back(*std::move(one));
    }
    return json{{"packets", std::move(packets)}};
}

} // namespace evnf::efw
