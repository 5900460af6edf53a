// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/directives.hpp"

#include <map>
#include <set>

#include "base/text.hpp"

namespace evnf::elb::haproxy
{

namespace
{

// Read elsewhere, of logs and names, of mode http alone, or of no use without others that are
// refused (acl).
const std::set<std::string> without_effect{"acl",
                                           "backlog",
                                           "balance",
                                           "bind",
                                           "capture",
                                           "clitcpka-cnt",
                                           "clitcpka-idle",
                                           "clitcpka-intvl",
                                           "compression",
                                           "cookie",
                                           "declare",
                                           "default-server",
                                           "description",
                                           "default_backend",
                                           "email-alert",
                                           "enabled",
                                           "errorfile",
                                           "errorfiles",
                                           "error-log-format",
                                           "errorloc",
                                           "errorloc302",
                                           "errorloc303",
                                           "external-check",
                                           "fullconn",
                                           "grace",
                                           "guid",
                                           "hash-type",
                                           "http-check",
                                           "http-error",
                                           "http-reuse",
                                           "http-send-name-header",
                                           "id",
                                           "load-server-state-from-file",
                                           "log",
                                           "log-format",
                                           "log-format-sd",
                                           "log-tag",
                                           "max-keep-alive-queue",
                                           "mode",
                                           "monitor-uri",
                                           "server",
                                           "server-state-file-name",
                                           "server-template",
                                           "srvtcpka-cnt",
                                           "srvtcpka-idle",
                                           "srvtcpka-intvl",
                                           "stats",
                                           "stick",
                                           "stick-table",
                                           "tcp-check",
                                           "unique-id-format",
                                           "unique-id-header"};

const std::set<std::string> options_without_effect{"abortonclose",
                                                   "accept-invalid-http-request",
                                                   "accept-invalid-http-response",
                                                   "allbackups",
                                                   "checkcache",
                                                   "clitcpka",
                                                   "contstats",
                                                   "disable-h2-upgrade",
                                                   "dontlog-normal",
                                                   "dontlognull",
                                                   "forwardfor",
                                                   "h1-case-adjust-bogus-client",
                                                   "h1-case-adjust-bogus-server",
                                                   "http-buffer-request",
                                                   "http-ignore-probes",
                                                   "http-keep-alive",
                                                   "http-no-delay",
                                                   "http-pretend-keepalive",
                                                   "http-restrict-req-hdr-names",
                                                   "http-server-close",
                                                   "http-use-htx",
                                                   "http-use-proxy-header",
                                                   "httpclose",
                                                   "httplog",
                                                   "idle-close-on-response",
                                                   "independent-streams",
                                                   "log-health-checks",
                                                   "log-separate-errors",
                                                   "logasap",
                                                   "nolinger",
                                                   "originalto",
                                                   "persist",
                                                   "prefer-last-server",
                                                   "socket-stats",
                                                   "splice-auto",
                                                   "splice-request",
                                                   "splice-response",
                                                   "srvtcpka",
                                                   "tcp-smart-accept",
                                                   "tcp-smart-connect",
                                                   "tcpka",
                                                   "tcplog"};

constexpr const char *another_server =
    "a connection that a server refuses is not tried with another one: its checks take it out";

const std::map<std::string, const char *> differences{
    {"maxconn", "connections are not limited; [elb] connections bounds those of all services"},
    {"retries", another_server},
    {"retry-on", another_server},
    {"option redispatch", another_server},
    {"source", "servers see the client's address, not this one"},
    {"timeout client", "a connection that is silent for so long is forgotten, but not closed"},
};

const std::map<std::string, const char *> refusals{
    {"use_backend", "which server a connection goes to depends on a condition"},
    {"use-server", "which server a connection goes to depends on a condition"},
    {"tcp-request", "elb has no rules on connections; efw has some"},
    {"tcp-response", "elb has no rules on connections; efw has some"},
    {"http-request", "elb does not read HTTP"},
    {"http-response", "elb does not read HTTP"},
    {"http-after-response", "elb does not read HTTP"},
    {"redirect", "elb does not read HTTP"},
    {"rate-limit", "elb does not limit rates; efw does"},
    {"filter", "elb does not look into connections"},
    {"dispatch", "a server stands in a line server"},
};

} // namespace

void check_directives(const Proxy &proxy, Findings &findings)
{
    for (const auto &d : proxy.directives) {
        if (d.no)
            continue;
        std::string word = d.line.word(0);
        if (word == "option" || word == "timeout")
            word += " " + d.line.word(1);
        if (const auto differs = differences.find(word); differs != differences.end())
            findings.differ(proxy.text(), d.line, 0, differs->second);
        else if (const auto why = refusals.find(word); why != refusals.end())
            findings.refuse(proxy.text(), d.line, 0, word + ": " + why->second);
        else if (!(without_effect.contains(word) || d.line.word(0) == "timeout" ||
                   is_check_option(d.line.word(1)) ||
                   (d.line.word(0) == "option" && options_without_effect.contains(d.line.word(1)))))
            findings.refuse(proxy.text(), d.line, 0, word + ": elb has nothing for it");
    }
}

} // namespace evnf::elb::haproxy
