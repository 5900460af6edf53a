// SPDX-License-Identifier: GPL-2.0-or-later
// Three namespaces: a client with two links to a router, whose netfilter is looked at, and
// a server behind it. What the router delivers to itself and what the server gets are
// recorded packet by packet, by IPv4's identification and IPv6's flow label.
#pragma once

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "base/fd.hpp"
#include "support/frame.hpp"
#include "vnfs/efw/offload/program.hpp"

namespace evnf::test
{

inline void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

class NetfilterLab
{
public:
    // The router's interfaces to the client, and MAC addresses of them.
    static constexpr const char *links[] = {"r0", "r2"};

    NetfilterLab()
    {
        for (const auto *what : {"c", "r", "s"})
            sh("ip netns add " + name(what));
        home_ = Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        const std::string c = in("c"), r = in("r"), s = in("s");
        const std::string quiet = " sysctl -qw net.ipv6.conf.all.addr_gen_mode=1"
                                  " net.ipv6.conf.default.addr_gen_mode=1"
                                  " net.ipv6.conf.default.accept_ra=0"
                                  " net.ipv6.conf.default.dad_transmits=0"
                                  " net.ipv6.conf.default.router_solicitations=0";
        for (const auto &ns : {c, r, s})
            sh(ns + quiet);
        // Neither end says anything by itself.
        for (const auto &ns : {c, s})
            sh(ns + " nft 'table inet mute { chain out { type filter hook output priority 0; "
                    "policy drop; }; }'");
        sh("ip -n " + name("c") + " link add c0 type veth peer name r0 netns " + name("r"));
        sh("ip -n " + name("c") + " link add c2 type veth peer name r2 netns " + name("r"));
        sh("ip -n " + name("s") + " link add s0 type veth peer name r1 netns " + name("r"));
        for (int i = 0; i < 3; ++i) {
            const std::string n = std::to_string(i);
            sh("ip -n " + name("r") + " link set r" + n + " address 02:00:00:00:01:0" + n + " up");
            sh("ip -n " + name("r") + " address add 10.1." + n + ".1/24 dev r" + n);
            sh("ip -n " + name("r") + " address add 2001:db8:" + n + "::1/64 nodad dev r" + n);
        }
        sh("ip -n " + name("c") + " link set c0 up");
        sh("ip -n " + name("c") + " link set c2 up");
        sh("ip -n " + name("s") + " link set s0 address 02:00:00:00:02:01 up");
        sh("ip -n " + name("r") + " link set lo up");
        sh("ip -n " + name("r") + " neigh add 10.1.1.2 lladdr 02:00:00:00:02:01 dev r1");
        sh("ip -n " + name("r") + " neigh add 2001:db8:1::2 lladdr 02:00:00:00:02:01 dev r1");
        sh("ip -n " + name("r") + " route add default via 10.1.1.2");
        sh("ip -n " + name("r") + " route add default via 2001:db8:1::2");
        sh(r + " sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
               " net.ipv4.icmp_ratelimit=0");
        rp_filter(0);
        const std::string sets = "table inet proof { set v4 { typeof ip id; flags dynamic; size "
                                 "65535; }; set v6 { typeof ip6 flowlabel; flags dynamic; size "
                                 "65535; }; chain see { type filter hook ";
        const std::string see = " add @v4 { ip id }; add @v6 { ip6 flowlabel }; }; }";
        proof_ = sets + "input priority 1000;" + see;
        // Not what the router says itself, to those it rejects: its packets have numbers too.
        const std::string own = " ip saddr { 10.1.0.1, 10.1.1.1, 10.1.2.1 } return;";
        sh(s + " nft '" + sets + "prerouting priority -400;" + own + see + "'");
        for (int i = 0; i < 2; ++i) {
            enter("c");
            sockets_[i] = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
            to_[i].sll_family = AF_PACKET;
            to_[i].sll_ifindex = static_cast<int>(::if_nametoindex(i ? "c2" : "c0"));
            REQUIRE(sockets_[i]);
        }
        enter("r"); // and stays there
    }
    NetfilterLab(const NetfilterLab &) = delete;
    NetfilterLab &operator=(const NetfilterLab &) = delete;
    ~NetfilterLab()
    {
        ::setns(home_.get(), CLONE_NEWNET);
        for (const auto *what : {"c", "r", "s"})
            if (std::system(("ip netns del " + name(what)).c_str()) != 0)
                WARN("the namespace " << name(what) << " is left");
    }

    static std::string name(const std::string &what)
    {
        return "evnf-" + std::to_string(::getpid()) + "-" + what;
    }
    static std::string in(const std::string &what)
    {
        return "nsenter --net=/run/netns/" + name(what);
    }
    // The process itself.
    void enter(const std::string &what)
    {
        const Fd ns(::open(("/run/netns/" + name(what)).c_str(), O_RDONLY | O_CLOEXEC));
        REQUIRE(::setns(ns.get(), CLONE_NEWNET) == 0);
    }

    void rp_filter(int value)
    {
        const std::string v = std::to_string(value);
        sh(in("r") + " sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.r0.rp_filter=" + v +
           " net.ipv4.conf.r1.rp_filter=0 net.ipv4.conf.r2.rp_filter=" + v);
    }

    // Without any rules again.
    void clear()
    {
        for (const std::string ip : {"ip", "ip6"}) {
            std::ifstream loaded("/proc/thread-self/net/" + ip + "_tables_names");
            for (std::string table; std::getline(loaded, table);) {
                const std::string base = ip + "tables-legacy -t " + table;
                sh(base + " -F; " + base + " -X");
                for (const auto *chain :
                     {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
                    std::ignore =
                        std::system((base + " -P " + chain + " ACCEPT 2>/dev/null").c_str());
            }
        }
        sh("nft flush ruleset");
    }

    // Loads a text by a program that reads it from its standard input; its complaints.
    static std::optional<std::string> load(const std::string &program, const std::string &text)
    {
        const std::string path = "/tmp/" + name("rules");
        std::ofstream(path) << text;
        const bool loaded =
            std::system((program + " < " + path + " 2> " + path + ".err").c_str()) == 0;
        std::ifstream in(path + ".err");
        const std::string complaints(std::istreambuf_iterator<char>(in), {});
        std::remove(path.c_str());
        std::remove((path + ".err").c_str());
        return loaded ? std::nullopt : std::optional(complaints);
    }

    // Loads nft's text without the rules that nft refuses, as contradictions in themselves.
    static bool load_nft(std::string &text)
    {
        for (int tries = 0; tries < 40; ++tries) {
            const auto complaints = load("nft -f -", text);
            if (!complaints)
                return true;
            const std::string before = "/dev/stdin:";
            const auto at = complaints->find(before);
            if (at == std::string::npos)
                return false;
            auto line = std::strtoul(complaints->c_str() + at + before.size(), nullptr, 10);
            std::size_t from = 0;
            for (; line > 1; --line)
                from = text.find('\n', from) + 1;
            text.erase(from, text.find('\n', from) - from);
        }
        return false;
    }

    // Records what gets to the end of INPUT, from here on.
    void watch() { sh("nft '" + proof_ + "'"); }
    void forget()
    {
        sh("nft 'flush set inet proof v4; flush set inet proof v6'");
        sh(in("s") + " nft 'flush set inet proof v4; flush set inet proof v6'");
    }

    // Waits until the kernel has handled what was sent: nothing is queued on any CPU, and nothing
    // of what came of that either; or for ten seconds, if the machine has others' packets.
    static void settle()
    {
        for (int looks = 0, quiet = 0; looks < 2000 && quiet < 3; ++looks) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            quiet = queued() ? 0 : quiet + 1;
        }
    }

    void send(const Bytes &frame, unsigned link)
    {
        if (++sent_ % 256 == 0) // a CPU's queue has room for a thousand
            for (int looks = 0; looks < 1000 && queued(); ++looks)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        REQUIRE(::sendto(sockets_[link].get(), frame.data(), frame.size(), 0,
                         reinterpret_cast<const sockaddr *>(&to_[link]),
                         sizeof to_[link]) == static_cast<ssize_t>(frame.size()));
    }

    // The numbers of the packets that were seen.
    static std::set<std::uint32_t> seen(const std::string &where, const std::string &set)
    {
        std::vector<std::string> words{"nft", "-j", "list", "set", "inet", "proof", set};
        if (where == "s")
            words.insert(words.begin(), {"nsenter", "--net=/run/netns/" + name("s")});
        auto text = efw::offload::run_program(words);
        REQUIRE(text);
        std::set<std::uint32_t> out;
        const auto listing = nlohmann::json::parse(*text);
        for (const auto &item : listing["nftables"])
            if (item.contains("set"))
                for (const auto &e : item["set"].value("elem", nlohmann::json::array()))
                    out.insert(e.is_object() ? e["elem"]["val"].get<std::uint32_t>()
                                             : e.get<std::uint32_t>());
        return out;
    }

private:
    // Whether a CPU's queue of received packets has any: the twelfth column, from Linux 5.10 on.
    static bool queued()
    {
        std::ifstream cpus("/proc/net/softnet_stat");
        for (std::string line; std::getline(cpus, line);) {
            std::istringstream words(line);
            std::string word;
            for (int column = 0; column < 12; ++column)
                words >> word;
            if (std::stoul(word, nullptr, 16))
                return true;
        }
        return false;
    }

    Fd home_, sockets_[2];
    unsigned sent_ = 0;
    sockaddr_ll to_[2]{};
    std::string proof_;
};

} // namespace evnf::test
