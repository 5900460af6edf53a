// SPDX-License-Identifier: GPL-2.0-or-later
// Rulesets of the shape that well-known programs make, for the router of netfilter_lab.hpp.
#pragma once

#include <string>

namespace evnf::test
{

inline std::string docker_rules()
{
    return R"(*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -s 198.51.100.0/24 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
)";
}

inline std::string fail2ban_rules()
{
    std::string bans;
    for (int i = 1; i < 60; ++i)
        bans += "-A f2b-sshd -s 203.0.113." + std::to_string(i) + "/32 -j " +
                (i % 3 ? "DROP" : "REJECT --reject-with icmp-port-unreachable") + "\n";
    return "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
           ":f2b-sshd - [0:0]\n:f2b-recidive - [0:0]\n"
           "-A INPUT -p tcp -j f2b-recidive\n"
           "-A INPUT -p tcp -m multiport --dports 22,2222 -j f2b-sshd\n"
           "-A f2b-recidive -s 198.51.100.7/32 -j DROP\n-A f2b-recidive -j RETURN\n" +
           bans + "-A f2b-sshd -j RETURN\nCOMMIT\n";
}

inline std::string ufw_rules()
{
    return R"(*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-logging-deny - [0:0]
:ufw-not-local - [0:0]
:ufw-skip-to-policy-input - [0:0]
:ufw-after-input - [0:0]
:ufw-after-logging-input - [0:0]
:ufw-user-input - [0:0]
:ufw-user-limit - [0:0]
:ufw-user-limit-accept - [0:0]
-A INPUT -j ufw-before-input
-A INPUT -j ufw-after-input
-A INPUT -j ufw-after-logging-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 3 -j ACCEPT
-A ufw-before-input -p icmp -m icmp --icmp-type 11 -j ACCEPT
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN
-A ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
-A ufw-not-local -j DROP
-A ufw-skip-to-policy-input -j DROP
-A ufw-after-input -p udp -m udp --dport 137 -j ufw-skip-to-policy-input
-A ufw-after-input -p tcp -m tcp --dport 445 -j ufw-skip-to-policy-input
-A ufw-after-input -m addrtype --dst-type BROADCAST -j ufw-skip-to-policy-input
-A ufw-after-logging-input -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-user-input -s 198.51.100.0/24 -j DROP
-A ufw-user-input -s 203.0.113.0/24 -p tcp -m tcp --dport 25 -j DROP
-A ufw-user-input -p tcp -m tcp --dport 80 -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --rsource
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 --name DEFAULT --rsource -j ufw-user-limit
-A ufw-user-input -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
-A ufw-user-limit -m limit --limit 3/min -j LOG --log-prefix "[UFW LIMIT BLOCK] "
-A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable
-A ufw-user-limit-accept -j ACCEPT
COMMIT
)";
}

inline std::string home_router_rules()
{
    return R"(*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i r2 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 10.1.0.9:443
-A POSTROUTING -o r1 -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i r0 -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i r2 -s 192.0.2.0/24 -j DROP
-A FORWARD -i r0 -j ACCEPT
-A FORWARD -i r2 -p tcp -m tcp --dport 443 -d 10.1.0.9/32 -j ACCEPT
COMMIT
)";
}

inline std::string blocklist_rules(int rules)
{
    std::string text = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
                       "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
    for (int i = 0; i < rules; ++i)
        text += "-A INPUT -s 198." + std::to_string(18 + (i >> 16)) + "." +
                std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) + "/32 -j DROP\n";
    return text + "COMMIT\n";
}

// Of nft: firewalld's chains for a zone each, dispatched to by interface.
inline std::string firewalld_rules()
{
    return R"(table inet firewalld {
 chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept;
  jump mangle_PREROUTING_ZONES
 }
 chain mangle_PREROUTING_ZONES { iifname "r0" goto mangle_PRE_public
  goto mangle_PRE_public
 }
 chain mangle_PRE_public { jump mangle_PRE_public_allow
 }
 chain mangle_PRE_public_allow { }
 chain filter_PREROUTING { type filter hook prerouting priority filter + 10; policy accept;
  icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
  meta nfproto ipv6 fib saddr . mark . iif oif missing drop
 }
 chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
  ct state { established, related } accept
  ct status dnat accept
  iifname "lo" accept
  ct state invalid drop
  jump filter_INPUT_ZONES
  reject with icmpx admin-prohibited
 }
 chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
  ct state { established, related } accept
  ct status dnat accept
  iifname "lo" accept
  ct state invalid drop
  ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24 } reject with icmpv6 addr-unreachable
  ip daddr 203.0.113.0/24 drop
  reject with icmpx admin-prohibited
 }
 chain filter_INPUT_ZONES { ip saddr 198.51.100.0/24 goto filter_IN_drop
  iifname "r0" goto filter_IN_public
  goto filter_IN_public
 }
 chain filter_IN_drop { jump filter_IN_drop_deny
  drop
 }
 chain filter_IN_drop_deny { }
 chain filter_IN_public { jump filter_IN_public_deny
  jump filter_IN_public_allow
  meta l4proto { icmp, ipv6-icmp } accept
  reject with icmpx admin-prohibited
 }
 chain filter_IN_public_deny { ip saddr { 192.0.2.0/25, 203.0.113.9 } tcp dport 22 counter drop
 }
 chain filter_IN_public_allow { tcp dport 22 accept
  ip6 daddr fe80::/64 udp dport 546 accept
 }
})";
}

} // namespace evnf::test
