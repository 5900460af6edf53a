// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/legacy_tables.hpp"

#include <netinet/in.h> // before the kernel's headers, which then leave out what it has

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <functional>

#include "base/fd.hpp"
#include "vnfs/efw/offload/ruleset.hpp"

namespace evnf::efw::offload
{

namespace
{

constexpr int tries = 5; // to read a table that nobody replaces meanwhile

// What differs between the two families, which the kernel has as two pieces of code.
struct V4 {
    using Info = ipt_getinfo;
    using Entries = ipt_get_entries;
    using Entry = ipt_entry;
    static constexpr int number = 4, family = AF_INET, level = IPPROTO_IP;
    static constexpr int get_info = IPT_SO_GET_INFO, get_entries = IPT_SO_GET_ENTRIES;
};
struct V6 {
    using Info = ip6t_getinfo;
    using Entries = ip6t_get_entries;
    using Entry = ip6t_entry;
    static constexpr int number = 6, family = AF_INET6, level = IPPROTO_IPV6;
    static constexpr int get_info = IP6T_SO_GET_INFO, get_entries = IP6T_SO_GET_ENTRIES;
};

// A table as the kernel's own bytes, without what moves by itself: the counters.
template <class Family>
Result<std::string> bytes_of(const Fd &socket, const std::string &table)
{
    using Entry = typename Family::Entry;
    for (int i = 0; i < tries; ++i) {
        typename Family::Info info{};
        std::strncpy(info.name, table.c_str(), sizeof info.name - 1);
        socklen_t size = sizeof info;
        if (::getsockopt(socket.get(), Family::level, Family::get_info, &info, &size))
            return sys_error("read the table " + table + " of iptables-legacy");
        constexpr std::size_t head = offsetof(typename Family::Entries, entrytable);
        std::string bytes(head + info.size, '\0');
        typename Family::Entries ask{};
        std::strncpy(ask.name, table.c_str(), sizeof ask.name - 1);
        ask.size = info.size;
        std::memcpy(bytes.data(), &ask, head);
        size = static_cast<socklen_t>(bytes.size());
        if (::getsockopt(socket.get(), Family::level, Family::get_entries, bytes.data(), &size)) {
            if (errno == EAGAIN) // it has another size by now
                continue;
            return sys_error("read the table " + table + " of iptables-legacy");
        }
        for (std::size_t at = head; at + sizeof(Entry) <= bytes.size();) {
            Entry entry;
            std::memcpy(&entry, bytes.data() + at, sizeof entry);
            std::memset(bytes.data() + at + offsetof(Entry, counters), 0, sizeof entry.counters);
            if (entry.next_offset < sizeof entry)
                return bad_input("the table " + table + " of iptables-legacy is not as known");
            at += entry.next_offset;
        }
        return bytes;
    }
    return bad_input("the table " + table + " of iptables-legacy changes too often to be read");
}

template <class Family>
Result<> add_tables(std::string &all)
{
    const auto tables = legacy_tables(Family::number);
    if (tables.empty())
        return Unit{};
    const Fd socket(::socket(Family::family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    if (!socket)
        return sys_error("open a socket for the tables of iptables-legacy");
    for (const auto &table : tables) {
        auto bytes = bytes_of<Family>(socket, table);
        if (!bytes)
            return bytes.error();
        all += std::to_string(Family::number) + table + *bytes;
    }
    return Unit{};
}

} // namespace

std::vector<std::string> legacy_tables(int family)
{
    std::ifstream in(std::string("/proc/thread-self/net/") + (family == 4 ? "ip" : "ip6") +
                     "_tables_names");
    std::vector<std::string> out;
    for (std::string name; std::getline(in, name);)
        out.push_back(name);
    return out;
}

Result<std::size_t> legacy_fingerprint()
{
    std::string all;
    for (const auto &r : {add_tables<V4>(all), add_tables<V6>(all)})
        if (!r)
            return r.error();
    return std::hash<std::string>{}(all);
}

} // namespace evnf::efw::offload
