// SPDX-License-Identifier: GPL-2.0-or-later
// What the host's routing does with a region: delivered to itself, forwarded or neither.
#include "vnfs/efw/offload/evaluate.hpp"

namespace evnf::efw::offload
{

namespace
{

// Addresses for which routing has rules of its own: RFC 1122, RFC 4291, and what
// ip_route_input_slow() and ip6_forward() look for.
match::Ranges<Address> special(int family)
{
    match::Ranges<Address> out;
    static constexpr const char *v4[] = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"};
    static constexpr const char *v6[] = {"::/96", "ff00::/8", "fe80::/10"};
    if (family == 4)
        for (const auto *text : v4)
            out.push_back(match::range_of(*Prefix::parse(text)));
    else
        for (const auto *text : v6)
            if (const auto p = Prefix::parse(text))
                out.push_back(match::range_of(*p));
    return match::normalized(std::move(out));
}

} // namespace

// Addresses that are never asked for have no ranges, and a field without any is not asked:
// such a part is left out.
void Evaluation::slow_addresses(const Walk &w, const match::Ranges<Address> &ranges, bool source,
                                const std::string &cause)
{
    match::Match m{.family = course_.family};
    (source ? m.src : m.dst) = {ranges, false};
    Box box = w.box;
    if (!ranges.empty() && box.narrow(only(m)) != Narrowed::none)
        slow(w, box, cause, true);
}

void Evaluation::special_addresses(const Walk &w)
{
    const std::string cause = "loopback, multicast and other special addresses";
    slow_addresses(w, special(course_.family), true, cause);
    slow_addresses(w, special(course_.family), false, cause);
}

void Evaluation::route(Walk w)
{
    if (!host_.local_table_first || host_.ipsec) {
        slow(w, w.box,
             host_.ipsec ? "IPsec policies apply to packets too"
                         : "rules of ip-rule(8) stand before the table local");
        return;
    }
    if (course_.family == 4)
        special_addresses(w);
    slow_addresses(w, host_.local, true, "packets from the host's own addresses");
    slow_addresses(w, host_.broadcast, true, "packets from a broadcast address");
    slow_addresses(w, host_.broadcast, false, "broadcast is for the host and for others");

    std::uint64_t strict = 0, loose = 0, forwarding = 0;
    for (std::size_t i = 0; i < host_.interfaces.size(); ++i) {
        const Interface &f = host_.interfaces[i];
        strict |= std::uint64_t{f.rp_filter == 1} << i;
        loose |= std::uint64_t{f.rp_filter > 1} << i;
        forwarding |= std::uint64_t{course_.family == 4 ? f.forwarding4 : f.forwarding6} << i;
    }
    w.joins = 0;
    w.changed = true;
    // By interfaces whose packets have the same conditions to meet.
    auto parts = [&](Walk from, auto then) {
        const std::uint64_t masks[] = {strict, loose, ~(strict | loose)};
        const std::uint8_t conditions[] = {EFW_SOURCE_ROUTED_BACK, EFW_SOURCE_ROUTED, 0};
        for (int i = 0; i < 3; ++i) {
            Walk some = from;
            some.box.in &= masks[i];
            if (course_.family == 4) // rp_filter is IPv4's
                some.conditions |= conditions[i];
            if (!some.box.empty())
                then(std::move(some));
        }
    };
    Walk local = w;
    local.course = &course_.input;
    local.stage = 0;
    match::Match own{.family = course_.family};
    own.dst = {host_.local, false};
    if (!host_.local.empty() && local.box.narrow(only(own)) != Narrowed::none)
        parts(std::move(local), [&](Walk part) { walk(std::move(part)); });
    Walk ahead = w;
    ahead.course = &course_.forward;
    ahead.stage = 0;
    ahead.conditions |= EFW_FORWARDED;
    ahead.box.in &= forwarding;
    if (!ahead.box.empty())
        parts(std::move(ahead), [&](Walk part) { walk(std::move(part)); });
    if ((w.box.in & ~forwarding) != 0)
        slow(w, w.box, "an interface does not forward: the stack drops what is not its own");
}

} // namespace evnf::efw::offload
