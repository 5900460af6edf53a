// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/servers.hpp"

#include <functional>
#include <map>
#include <set>

#include "base/text.hpp"

namespace evnf::elb::haproxy
{

namespace
{

// How many words a parameter takes after its name, and what to do with them: empty, or why it
// cannot be taken.
struct Parameter {
    unsigned words;
    std::function<std::string(Server &, const std::string &)> take;
};

// For settings that are HAProxy's alone, or change nothing where packets are balanced.
std::string nothing(Server &, const std::string &)
{
    return {};
}

Parameter flag(bool Server::*member, bool value)
{
    return {0, [=](Server &s, const std::string &) {
                s.*member = value;
                return std::string();
            }};
}

template <class T, class Parse>
Parameter value(T Server::*member, Parse parse)
{
    return {1, [=](Server &s, const std::string &text) {
                auto v = parse(text);
                if (!v)
                    return v.error().what;
                s.*member = static_cast<T>(*v);
                return std::string();
            }};
}

auto number(std::uint64_t low, std::uint64_t high, const char *what)
{
    return [=](const std::string &text) { return parse_number(text, low, high, what); };
}

Parameter cannot(unsigned words, const char *why)
{
    return {words, [=](Server &, const std::string &) { return std::string(why); }};
}

const char *const encrypts = "elb does not encrypt";
const char *const announces = "elb does not write into connections: the server already sees the "
                              "client's address";
const char *const its_own_check = "elb checks the server's own address";
const char *const resolves = "elb asks no name server";
const char *const by_errors = "elb looks at checks alone";

const std::map<std::string, Parameter> &parameters()
{
    static const std::map<std::string, Parameter> all{
        {"weight", value(&Server::weight, number(0, 256, "weight"))},
        {"backup", flag(&Server::backup, true)},
        {"no-backup", flag(&Server::backup, false)},
        {"disabled", flag(&Server::disabled, true)},
        {"enabled", flag(&Server::disabled, false)},
        {"check", flag(&Server::check, true)},
        {"no-check", flag(&Server::check, false)},
        {"check-ssl", flag(&Server::check_ssl, true)},
        {"no-check-ssl", flag(&Server::check_ssl, false)},
        {"ca-file", value(&Server::ca_file, [](const std::string &t) { return Result(t); })},
        {"port", value(&Server::check_port, number(1, 65535, "port"))},
        {"inter", value(&Server::inter, parse_time)},
        {"rise", value(&Server::rise, number(1, 100, "rise"))},
        {"fall", value(&Server::fall, number(1, 100, "fall"))},
        {"slowstart", value(&Server::slow_start, parse_time)},
        {"agent-check", flag(&Server::agent_check, true)},
        {"no-agent-check", flag(&Server::agent_check, false)},
        {"agent-port", value(&Server::agent_port, number(1, 65535, "port"))},
        {"agent-inter", value(&Server::agent_inter, parse_time)},
        {"verify",
         {1,
          [](Server &s, const std::string &text) {
              s.verify = text != "none";
              return std::string();
          }}},
        {"on-marked-down",
         {1,
          [](Server &s, const std::string &text) {
              s.resets = text == "shutdown-sessions";
              return s.resets ? std::string() : in_quotes(text) + " is no word for this";
          }}},
        // Of HAProxy's own connection to the server.
        {"tfo", {0, nothing}},
        {"no-tfo", {0, nothing}},
        {"tcp-ut", {1, nothing}},
        {"id", {1, nothing}},
        {"non-stick", {0, nothing}},
        {"no-send-proxy", {0, nothing}},
        {"no-send-proxy-v2", {0, nothing}},
        {"no-ssl", {0, nothing}},
        {"no-verifyhost", {0, nothing}},
        // Of mode http alone.
        {"cookie", {1, nothing}},
        {"redir", {1, nothing}},
        {"pool-low-conn", {1, nothing}},
        {"pool-max-conn", {1, nothing}},
        {"pool-purge-delay", {1, nothing}},
        {"max-reuse", {1, nothing}},
        {"ws", {1, nothing}},
        // For names, and elb takes none.
        {"init-addr", {1, nothing}},
        {"resolve-prefer", {1, nothing}},
        {"resolve-opts", {1, nothing}},
        {"resolve-net", {1, nothing}},
        {"resolvers", cannot(1, resolves)},
        {"ssl", cannot(0, encrypts)},
        {"send-proxy", cannot(0, announces)},
        {"send-proxy-v2", cannot(0, announces)},
        {"send-proxy-v2-ssl", cannot(0, announces)},
        {"send-proxy-v2-ssl-cn", cannot(0, announces)},
        {"check-send-proxy", cannot(0, "elb's checks do not announce a client")},
        {"addr", cannot(1, its_own_check)},
        {"agent-addr", cannot(1, its_own_check)},
        {"agent-send", cannot(1, "elb sends an agent nothing")},
        {"observe", cannot(1, by_errors)},
        {"on-error", cannot(1, by_errors)},
        {"error-limit", cannot(1, by_errors)},
        {"on-marked-up", cannot(1, "elb lets connections to a backup end by themselves")},
        {"track", cannot(1, "elb checks each server by itself")},
    };
    return all;
}

bool is_limit(const std::string &word)
{
    return word == "maxconn" || word == "minconn" || word == "maxqueue";
}

// Settings whose difference is told, once taken.
const std::map<std::string, const char *> &differences()
{
    static const char *const one_interval = "elb checks at the interval inter, whatever the state";
    static const std::map<std::string, const char *> all{
        {"fastinter", one_interval},
        {"downinter", one_interval},
        {"agent-check", "the percentage becomes a load, which elb's feedback makes a weight of in "
                        "steps; the words up, down, drain and maint are not followed"},
        {"source", "the server sees the client's address, not this one"}};
    return all;
}

// "source ADDR", and maybe "usesrc WHAT" or "interface NAME": gives the words after it.
unsigned words_of_source(const Line &line, std::size_t i)
{
    const std::string more = line.word(i + 2);
    return more == "usesrc" || more == "interface" ? 3 : 1;
}

void read_parameters(Server &server, const Proxy &proxy, const Line &line, std::size_t from,
                     bool unlimited, Findings &findings)
{
    for (std::size_t i = from; i < line.words.size(); ++i) {
        const std::string &word = line.words[i].text;
        if (const auto d = differences().find(word); d != differences().end())
            findings.differ(proxy.text(), line, i, word + ": " + d->second);
        if (word == "source") {
            i += words_of_source(line, i);
            continue;
        }
        if (word == "fastinter" || word == "downinter") {
            ++i;
            continue;
        }
        if (is_limit(word)) {
            if (unlimited)
                findings.differ(proxy.text(), line, i, word + ": the server has no limit");
            else
                findings.refuse(proxy.text(), line, i,
                                word + ": elb has no limits or queues of its own for a server; "
                                       "--unlimited leaves them out");
            ++i;
            continue;
        }
        const auto p = parameters().find(word);
        if (p == parameters().end()) { // what follows may be its value: no more can be said
            findings.refuse(proxy.text(), line, i, word + ": elb has nothing for it");
            return;
        }
        if (i + p->second.words >= line.words.size()) {
            findings.refuse(proxy.text(), line, i, word + ": its value is missing");
            return;
        }
        if (const auto why = p->second.take(server, line.word(i + 1)); !why.empty())
            findings.refuse(proxy.text(), line, i, word + ": " + why);
        i += p->second.words;
    }
}

} // namespace

std::vector<Server> read_servers(const Proxy &proxy, bool unlimited, Findings &findings)
{
    std::vector<Server> out;
    Server defaults;
    for (const auto &d : proxy.directives) {
        const std::string &word = d.line.words[0].text;
        if (word == "default-server")
            read_parameters(defaults, proxy, d.line, 1, unlimited, findings);
        if (word == "server-template")
            findings.refuse(proxy.text(), d.line, 0, std::string(word) + ": " + resolves);
        if (word != "server")
            continue;
        if (d.line.words.size() < 3) {
            findings.refuse(proxy.text(), d.line, 0, "a server has a name and an address");
            continue;
        }
        Server server = defaults;
        server.line = d.line;
        auto target = parse_target(d.line.word(2));
        if (!target)
            findings.refuse(proxy.text(), d.line, 2, target.error().what);
        else if (!target->address)
            findings.refuse(proxy.text(), d.line, 2, "a server has an address");
        else
            server.target = *target;
        read_parameters(server, proxy, d.line, 3, unlimited, findings);
        out.push_back(std::move(server));
    }
    return out;
}

} // namespace evnf::elb::haproxy
