// SPDX-License-Identifier: GPL-2.0-or-later
// Random rulesets in the languages of iptables and nft, dense enough that rules meet.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace evnf::test
{

class RulesWriter
{
public:
    explicit RulesWriter(unsigned seed) : random_(seed) {}

    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    bool one_in(unsigned n) { return below(n) == 0; }
    std::string any(std::initializer_list<const char *> of)
    {
        return *(of.begin() + below(static_cast<unsigned>(of.size())));
    }

    std::string address(int family)
    {
        return family == 4 ? any({"10.1.0.9", "10.1.0.0/24", "10.1.1.1", "10.1.0.1", "192.0.2.0/25",
                                  "192.0.2.64/26", "198.51.100.7", "0.0.0.0/1", "10.0.0.0/8",
                                  "10.1.2.0/24", "224.0.0.0/4", "127.0.0.0/8"})
                           : any({"2001:db8::9", "2001:db8::/64", "2001:db8::1", "2001:db8:1::1",
                                  "2001:db8:77::/48", "2001:db8:77::7", "2001:db8:2::/64",
                                  "2000::/3", "ff00::/8"});
    }
    std::string ports(const char *between, bool list)
    {
        std::string out;
        const unsigned n = list ? 1 + below(3) : 1;
        for (unsigned i = 0; i < n; ++i) {
            const unsigned low = i * 20000 + below(4) * 40;
            out += (i ? "," : "") + std::to_string(low);
            if (one_in(2))
                out += between + std::to_string(low + 1 + below(9000));
        }
        return out;
    }

    // --- iptables ---

    // NAT is asked for as a whole: its hooks stay once they are there.
    std::string iptables(int family, bool nat)
    {
        ct_ = one_in(2);
        std::string out = table(family, "filter", {"INPUT", "FORWARD"}, 14);
        if (one_in(3))
            out += table(family, "raw", {"PREROUTING"}, 5);
        if (one_in(3))
            out += table(family, "mangle", {"PREROUTING", "INPUT", "FORWARD"}, 3);
        if (nat && one_in(2))
            out += table(family, "nat", {"PREROUTING", "POSTROUTING"}, 4);
        return out;
    }

private:
    std::string no() { return one_in(4) ? "! " : ""; }

    std::string match(int family, const std::string &chain)
    {
        std::string out, proto;
        if (one_in(2))
            out += no() + "-s " + address(family) + " ";
        if (one_in(3))
            out += no() + "-d " + address(family) + " ";
        if (one_in(5))
            out += no() + "-i " + any({"r0", "r2", "r+", "x+", "r"}) + " ";
        if (one_in(12) && (chain == "FORWARD" || chain == "POSTROUTING"))
            out += no() + "-o " + any({"r1", "r2"}) + " ";
        switch (below(6)) {
        case 0:
        case 1:
            proto = any({"tcp", "udp", "sctp"});
            out += "-p " + proto + " ";
            if (one_in(2) && proto != "sctp")
                out += "-m multiport " + no() + any({"--dports ", "--sports ", "--ports "}) +
                       ports(":", true) + " ";
            else
                out += "-m " + proto + " " + no() + any({"--dport ", "--sport "}) +
                       ports(":", false) + " ";
            if (proto == "tcp" && one_in(2))
                out += "-m tcp " + no() + "--tcp-flags " +
                       any({"SYN,RST,ACK,FIN SYN", "ALL NONE", "SYN,FIN SYN,FIN", "ACK ACK",
                            "ALL FIN,URG,PSH"}) +
                       " ";
            break;
        case 2:
            out += family == 4 ? "-p icmp -m icmp " + no() + "--icmp-type " +
                                     any({"8", "3/4", "3", "0/0", "11/1"}) + " "
                               : "-p icmpv6 -m icmp6 " + no() + "--icmpv6-type " +
                                     any({"128", "1/3", "3", "129/0"}) + " ";
            break;
        case 3:
            out += no() + "-p " + any({"tcp", "udp", "50", "47", "sctp"}) + " ";
            break;
        default:
            break;
        }
        if (one_in(8))
            out +=
                "-m iprange " + no() +
                (family == 4
                     ? any({"--src-range 10.1.0.5-10.1.0.200", "--dst-range 192.0.2.5-192.0.2.80"})
                     : any({"--src-range 2001:db8::5-2001:db8::1:0",
                            "--dst-range 2001:db8:77::1-2001:db8:77::9"})) +
                " ";
        if (one_in(10))
            out += "-m length " + no() + "--length " + any({"40:60", "64", "0:100", "61:"}) + " ";
        if (one_in(10))
            out += "-m dscp " + no() + "--dscp " + any({"0", "10", "46"}) + " ";
        if (one_in(14))
            out += "-m mark " + no() + "--mark " + any({"0", "1", "0/1", "4/6"}) + " ";
        if (one_in(14) && family == 4)
            out += "-m addrtype " + no() + any({"--dst-type ", "--src-type "}) +
                   any({"LOCAL", "UNICAST", "BROADCAST", "MULTICAST"}) + " ";
        if (one_in(14))
            out += "-m pkttype " + no() + "--pkt-type " + any({"unicast", "broadcast"}) + " ";
        if (one_in(20) && family == 4)
            out += no() + "-f ";
        if (ct_ && one_in(5))
            out += "-m conntrack " + no() + "--ctstate " +
                   any({"NEW", "ESTABLISHED,RELATED", "INVALID", "NEW,INVALID", "UNTRACKED",
                        "RELATED,ESTABLISHED,DNAT"}) +
                   " ";
        if (one_in(16))
            out += family == 4 && one_in(4)
                       ? std::string("-m ttl --ttl-gt 3 ")
                       : any({"-m limit --limit 1/sec ", "-m recent --set ",
                              "-m statistic --mode random --probability 0.5 "});
        return out;
    }

    std::string target(const std::string &table, const std::string &chain, unsigned level)
    {
        if (table == "nat")
            return chain == "PREROUTING" ? any({"-j ACCEPT", "-j RETURN", "-j REDIRECT"})
                                         : any({"-j ACCEPT", "-j MASQUERADE"});
        switch (below(16)) {
        case 0:
        case 1:
            return "-j ACCEPT";
        case 2:
            return "-j RETURN";
        case 3:
        case 4:
            return level < 3 ? "-j U" + std::to_string(level + 1 + below(3 - level)) : "-j DROP";
        case 5:
            return level < 3 ? "-g U" + std::to_string(level + 1 + below(3 - level)) : "";
        case 6:
            return "";
        case 7:
            return one_in(3) ? table == "mangle"                ? "-j MARK --set-mark 1"
                               : table == "raw" && ct_          ? "-j CT --notrack"
                               : table == "filter" && one_in(2) ? "-j REJECT"
                                                                : "-j LOG"
                             : "-j DROP";
        default:
            return "-j DROP";
        }
    }

    std::string table(int family, const std::string &name, std::vector<std::string> chains,
                      unsigned most)
    {
        std::string head = "*" + name + "\n", rules;
        std::vector<std::pair<std::string, unsigned>> all;
        for (const auto &c : chains) {
            head += ":" + c + (name == "filter" && one_in(2) ? " DROP" : " ACCEPT") + " [0:0]\n";
            all.emplace_back(c, 0);
        }
        for (unsigned i = 1; i <= 3 && name != "nat"; ++i) {
            head += ":U" + std::to_string(i) + " - [0:0]\n";
            all.emplace_back("U" + std::to_string(i), i);
        }
        for (const auto &[chain, level] : all) {
            const unsigned n = below(level ? 5 : most + 1);
            for (unsigned i = 0; i < n; ++i) {
                // A user chain may be reached from anywhere: no -o there.
                rules +=
                    "-A " + chain + " " + match(family, chain) + target(name, chain, level) + "\n";
            }
        }
        return head + rules + "COMMIT\n";
    }

    std::mt19937 random_;
    bool ct_ = false;

    // --- nft ---

    std::string nft_set(const std::vector<std::string> &values)
    {
        std::string out = "{ ";
        for (const auto &v : values)
            out += v + ", ";
        return out + "}";
    }

    std::string nft_match()
    {
        std::string out;
        const int family = one_in(3) ? 6 : 4;
        const std::string ip = family == 4 ? "ip " : "ip6 ";
        auto op = [&] { return std::string(one_in(4) ? "!= " : ""); };
        switch (below(5)) {
        case 0:
            out += ip + any({"saddr ", "daddr "}) + op() + address(family) + " ";
            break;
        case 1:
            out += family == 4 ? "ip " + any({"saddr ", "daddr "}) + op() +
                                     any({"{ 10.1.0.9, 192.0.2.0/25 }", "10.1.0.5-10.1.0.200",
                                          "@block", "{ 10.1.0.2-10.1.0.10, 198.51.100.7 }"}) +
                                     " "
                               : "ip6 " + any({"saddr ", "daddr "}) + op() +
                                     any({"{ 2001:db8::9, 2001:db8:77::/48 }", "@block6"}) + " ";
            break;
        case 2:
            out += any({"meta nfproto ipv4 ", "meta protocol ip6 ", "meta nfproto ipv6 "});
            break;
        default:
            break;
        }
        switch (below(8)) {
        case 0:
            out += any({"tcp ", "udp ", "sctp "}) + any({"dport ", "sport "}) + op() +
                   ports("-", false) + " ";
            break;
        case 1:
            out += any({"tcp ", "udp "}) + any({"dport ", "sport "}) + op() + "{ " +
                   ports("-", true) + " } ";
            break;
        case 2:
            out += "meta l4proto { tcp, udp } th " + any({"dport ", "sport "}) + op() +
                   ports("-", false) + " ";
            break;
        case 3:
            out += "tcp flags " +
                   any({"syn / fin,syn,rst,ack", "syn", "& (fin|syn) == fin|syn", "!= syn",
                        "! syn,ack", "{ syn, ack }"}) +
                   " ";
            break;
        case 4:
            out += any({"icmp type echo-request ", "icmpv6 type { echo-request, echo-reply } ",
                        "icmp type != { 3, 11 } ", "meta l4proto 47-50 ", "meta l4proto != tcp "});
            break;
        default:
            break;
        }
        if (one_in(6))
            out += "iifname " + op() + any({"\"r0\"", "\"r*\"", "{ \"r2\", \"x\" }"}) + " ";
        if (one_in(10))
            out += any({"oifname ", "oif "}) + op() +
                   any({"\"r1\"", "\"r2\"", "{ \"r0\", \"r1\" }"}) + " ";
        if (one_in(10))
            out += any({"ip dscp af11 ", "ip length 40-60 ", "meta length 64 ", "ip6 length 20-40 ",
                        "meta mark 0 ", "meta mark 1 ", "meta pkttype host "});
        if (one_in(12))
            out += "ip saddr . tcp dport { 10.1.0.9 . 40, 10.1.0.0/28 . 0-4000 } ";
        if (ct_ && one_in(5))
            out += any({"ct state established,related ", "ct state new ", "ct state invalid ",
                        "ct state { new, untracked } ", "ct state != new "});
        if (one_in(16))
            out += any({"limit rate 1/second ", "ip ttl > 3 "});
        return out;
    }

    std::string nft_verdict(unsigned level)
    {
        const std::string counter = one_in(2) ? "counter " : "";
        switch (below(12)) {
        case 0:
            return counter + "accept";
        case 1:
            return counter + "return";
        case 2:
        case 3:
            return counter + (level < 3 ? "jump u" + std::to_string(level + 1) : "drop");
        case 4:
            return counter + (level < 3 ? "goto u" + std::to_string(level + 1) : "drop");
        case 5:
            return "counter";
        case 6:
            return one_in(3) ? any({"log", "meta mark set 1", "reject"}) : counter + "drop";
        case 7:
            if (level < 3)
                return counter + any({"tcp dport vmap { 0-39 : drop, 40 : accept, 80 : jump u3 }",
                                      "ip saddr vmap { 10.1.0.0/24 : jump u3, 192.0.2.0/25 : "
                                      "drop }",
                                      "meta nfproto vmap { ipv4 : continue, ipv6 : drop }",
                                      "udp dport vmap @verdicts"});
            return counter + "drop";
        default:
            return counter + "drop";
        }
    }

public:
    std::string nft()
    {
        ct_ = one_in(2);
        std::string out =
            "table inet t {\n set block { type ipv4_addr; flags interval; elements = { "
            "10.1.0.64/26, 192.0.2.3-192.0.2.9, 198.51.100.7 } }\n"
            " set block6 { type ipv6_addr; flags interval; elements = { 2001:db8::/96 } }\n"
            " map verdicts { type inet_service : verdict; elements = { 0 : drop, 40 : accept, 80 "
            ": drop } }\n";
        for (int level = 3; level >= 0; --level) {
            if (level) {
                out += " chain u" + std::to_string(level) + " {\n";
                add(out, static_cast<unsigned>(level), below(5));
                continue;
            }
            int priority = -250;
            for (const auto *hook : {"prerouting", "input", "forward", "forward"}) {
                if (hook == std::string("prerouting") && !one_in(3))
                    continue;
                priority += 60 + static_cast<int>(below(50));
                out += std::string(" chain b") + std::to_string(priority + 500) +
                       " { type filter hook " + hook + " priority " + std::to_string(priority) +
                       "; policy " + any({"drop", "accept"}) + ";\n";
                add(out, 0, below(10));
            }
        }
        out += "}\n";
        if (one_in(4)) {
            out += "table netdev d {\n chain i { type filter hook ingress device \"r0\" priority "
                   "0;\n";
            const bool ct = std::exchange(ct_, false);
            add(out, 3, below(4));
            ct_ = ct;
            out += "}\n";
        }
        return out;
    }

private:
    void add(std::string &out, unsigned level, unsigned rules)
    {
        for (unsigned i = 0; i < rules; ++i)
            out += "  " + nft_match() + nft_verdict(level) + "\n";
        out += " }\n";
    }
};

} // namespace evnf::test
