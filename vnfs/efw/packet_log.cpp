// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/packet_log.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <time.h>

#include "base/log.hpp"
#include "base/net.hpp"
#include "vnfs/efw/packet_line.hpp"

namespace evnf::efw
{

namespace
{

using nlohmann::json;
using namespace std::chrono_literals;

std::int64_t clock_ns(clockid_t clock)
{
    timespec t{};
    ::clock_gettime(clock, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::string interface_name(unsigned ifindex)
{
    char name[IF_NAMESIZE];
    return ::if_indextoname(ifindex, name) ? name : "?";
}

LogFields fields_of(const json &record)
{
    LogFields out{{"vnf", "efw"}};
    for (const auto &[name, value] : record.items())
        out.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
    return out;
}

} // namespace

bool LineBudget::take(Clock::time_point now)
{
    if (now - second_ >= 1s) {
        second_ = now;
        lines_ = 0;
    }
    if (lines_ < per_second) {
        ++lines_;
        return true;
    }
    ++refused_;
    return false;
}

std::uint64_t LineBudget::left_out(Clock::time_point now)
{
    return now - second_ >= 1s ? std::exchange(refused_, 0) : 0;
}

PacketLog::~PacketLog()
{
    write_left_out(LineBudget::Clock::time_point::max());
}

void PacketLog::set_rules(Rules rules)
{
    const std::lock_guard lock(mutex_);
    before_ = std::exchange(rules_, std::move(rules));
}

void PacketLog::put(const copy_head &head)
{
    const bool read = feed_->has_readers();
    const auto now = LineBudget::Clock::now();
    std::unique_lock lock(mutex_);
    write_left_out(now);
    const bool write = budget_.take(now);
    ++(write ? counts_.written : counts_.left_out);
    if (!read && !write)
        return;
    const json record = record_of(head);
    lock.unlock();
    if (write)
        log_info(log_line(record), fields_of(record));
    if (read)
        feed_->put(record);
}

void PacketLog::tell_left_out()
{
    const std::lock_guard lock(mutex_);
    write_left_out(LineBudget::Clock::now());
}

void PacketLog::write_left_out(LineBudget::Clock::time_point now)
{
    if (const auto n = budget_.left_out(now))
        log_info("efw packet: " + std::to_string(n) + " more, above " +
                     std::to_string(LineBudget::per_second) + " lines a second",
                 {{"vnf", "efw"}});
}

PacketLog::Counts PacketLog::counts() const
{
    const std::lock_guard lock(mutex_);
    return counts_;
}

json PacketLog::record_of(const copy_head &head) const
{
    const pkt &p = head.pkt;
    const auto past = clock_ns(CLOCK_MONOTONIC) - static_cast<std::int64_t>(head.ns);
    const auto action =
        static_cast<efw_action>(head.note >> EFW_NOTE_ACTION_SHIFT & EFW_NOTE_ACTION_MASK);
    json out{{"time_ns", clock_ns(CLOCK_REALTIME) - past},
             {"action", std::string(action_text(action))},
             {"in", interface_name(p.ifindex)},
             {"protocol", protocol_text(p.flow.proto)},
             {"source", Address(p.flow.saddr).text()},
             {"destination", Address(p.flow.daddr).text()},
             {"length", p.l3_end - p.l3_off}};
    for (const Rules *rules : {&rules_, &before_})
        if (const auto it = rules->find(head.note & EFW_NOTE_COUNTER); it != rules->end()) {
            out["rule"] = it->second.id;
            if (!it->second.name.empty())
                out["name"] = it->second.name;
            break;
        }
    if (p.vlans)
        out["vlan"] = p.vlan_tci[0] & 0xfff;
    if (p.l4 == PKT_L4_PORTS) {
        out["source_port"] = ntohs(p.flow.sport);
        out["destination_port"] = ntohs(p.flow.dport);
        if (p.flow.proto == IPPROTO_TCP)
            out["flags"] = flags_text(p.tcp_flags);
    }
    if (p.l4 == PKT_L4_ICMP) {
        out["type"] = p.icmp_type;
        out["code"] = p.icmp_code;
    }
    if (p.frag != PKT_FRAG_NONE)
        out["fragment"] = p.frag == PKT_FRAG_FIRST ? "first" : "later";
    return out;
}

} // namespace evnf::efw
