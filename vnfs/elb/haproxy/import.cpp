// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/import.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.hpp"
#include "vnfs/elb/haproxy/binds.hpp"
#include "vnfs/elb/haproxy/checks.hpp"
#include "vnfs/elb/haproxy/choosing.hpp"
#include "vnfs/elb/haproxy/directives.hpp"
#include "vnfs/elb/haproxy/servers.hpp"

namespace evnf::elb::haproxy
{

namespace
{

using Kind = Proxy::Kind;

// The servers of a proxy, how they are asked, and who gets which.
struct Pool {
    std::vector<Server> servers;
    Question question;
    Choosing choosing;
};

bool is_off(const Proxy &p)
{
    bool off = false;
    for (const auto &d : p.directives)
        if (d.line.word(0) == "disabled" || d.line.word(0) == "enabled")
            off = d.line.word(0) == "disabled";
    return off;
}

// Another mode than tcp, which is HAProxy's default: all else is a matter of that mode.
bool check_mode(const Proxy &p, Findings &findings)
{
    const auto *mode = p.last("mode");
    if (!mode || mode->line.word(1) == "tcp")
        return true;
    findings.refuse(p.text(), mode->line, 0,
                    "mode " + mode->line.word(1) + ": elb balances connections of TCP as they are");
    return false;
}

void check_server(const Proxy &pool, const Server &s, const Question &question, Findings &findings)
{
    const auto refuse = [&](const std::string &why) {
        findings.refuse(pool.text(), s.line, 0, why);
    };
    if (s.target.address &&
        (s.target.address->text().starts_with("127.") || s.target.address->text() == "::1"))
        refuse(s.target.address->text() + " is this host itself, which elb cannot send to");
    if (s.target.ports == Target::Ports::given && s.target.first != s.target.last)
        refuse("a server has one port");
    if (s.check && s.check_ssl && question.type == "tcp")
        refuse("check-ssl: without option httpchk elb has no check by TLS");
    if (s.agent_check && !s.agent_port)
        refuse("agent-check: there is no agent-port");
    if (s.disabled)
        findings.differ(pool.text(), s.line, 0,
                        "disabled: its weight is 0, and would be " + std::to_string(s.weight));
}

Pool read_pool(const Proxy &front, const Proxy &p, bool unlimited, Findings &findings)
{
    Pool out{read_servers(p, unlimited, findings), read_question(p, findings),
             read_choosing(front, p, findings)};
    const auto backups = std::count_if(out.servers.begin(), out.servers.end(),
                                       [](const Server &s) { return s.backup; });
    for (const auto &s : out.servers) {
        check_server(p, s, out.question, findings);
        if (s.backup && backups > 1 && !p.last("option", "allbackups")) {
            findings.differ(p.text(), s.line, 0,
                            "without option allbackups the first backup alone would serve: elb "
                            "uses all");
            break;
        }
    }
    if (out.servers.empty())
        findings.refuse(p.text(), p.line, 0, "there is no server");
    return out;
}

std::optional<std::uint16_t> port_of(const Server &s, const Endpoint &service)
{
    int port = service.port;
    if (s.target.ports == Target::Ports::given)
        port = s.target.first;
    else if (s.target.ports == Target::Ports::offset)
        port += s.target.first;
    if (port < 1 || port > 65535)
        return {};
    return static_cast<std::uint16_t>(port);
}

json backend_json(const Server &s, std::uint16_t port, const json &health)
{
    json out{{"address", s.target.address->text()},
             {"port", port},
             {"weight", s.disabled ? 0 : s.weight}};
    if (s.backup)
        out["backup"] = true;
    if (!health.is_null()) // else it is its service's
        out["health"] = health;
    if (s.agent_check)
        out["feedback"] = {{"interval", s.agent_inter},
                           {"indices", json::array({{{"tcp", *s.agent_port}}})}};
    return out;
}

// Why there is none; empty if there is one, in `out`.
std::string make_service(const Endpoint &at, const Pool &pool, json &out)
{
    std::vector<json> tables;
    for (const auto &s : pool.servers)
        tables.push_back(health_table(s, pool.question));
    const bool alike = std::equal(tables.begin() + 1, tables.end(), tables.begin());
    out = {{"address", at.address.text()},
           {"port", at.port},
           {"protocol", "tcp"},
           {"backends", json::array()}};
    if (alike)
        out["health"] = tables[0];
    out.update(pool.choosing.keys);
    if (const auto &prefix = at.address.is_v4() ? pool.choosing.prefix4 : pool.choosing.prefix6)
        out["affinity_prefix"] = *prefix;
    for (std::size_t i = 0; i < pool.servers.size(); ++i) {
        const Server &s = pool.servers[i];
        const auto port = port_of(s, at);
        if (!port)
            return "the port of server " + s.line.word(1) + " is above 65535 or below 1";
        if (s.target.address->is_v4() != at.address.is_v4())
            return "server " + s.line.word(1) + " and " + at.text() + " are not of one IP version";
        const Endpoint to{*s.target.address, *port};
        if (to == at)
            return "server " + s.line.word(1) + " is the service itself";
        for (const auto &b : out["backends"])
            if (b["address"] == to.address.text() && b["port"] == to.port)
                return "two servers are " + to.text();
        out["backends"].push_back(backend_json(s, *port, alike ? json() : tables[i]));
    }
    return {};
}

class Importer
{
public:
    Importer(const std::vector<Proxy> &proxies, const ImportOptions &options)
        : proxies_(proxies),
          options_(options)
    {
    }

    Import run()
    {
        for (const auto &p : proxies_)
            if (p.kind != Kind::backend && !is_off(p))
                take(p);
        return std::move(out_);
    }

private:
    // The proxy whose servers a frontend's connections go to; null if that is refused.
    const Proxy *pool_of(const Proxy &front, Findings &findings)
    {
        if (front.kind == Kind::listen)
            return &front;
        const auto *d = front.last("default_backend");
        if (!d) {
            findings.refuse(front.text(), front.line, 0, "there is no default_backend");
            return nullptr;
        }
        for (const auto &p : proxies_)
            if (p.kind != Kind::frontend && p.name == d->line.word(1))
                return &p;
        findings.refuse(front.text(), d->line, 1,
                        "there is no backend " + in_quotes(d->line.word(1)));
        return nullptr;
    }

    void take(const Proxy &front)
    {
        Findings findings;
        const auto before = out_.services.size();
        if (check_mode(front, findings)) {
            check_directives(front, findings);
            if (const Proxy *pool = pool_of(front, findings);
                pool && (pool == &front || check_mode(*pool, findings))) {
                if (pool != &front)
                    check_directives(*pool, findings);
                const Pool servers = read_pool(front, *pool, options_.unlimited, findings);
                if (findings.refused.empty())
                    take_binds(front, servers, findings);
            }
        }
        for (const auto &f : findings.refused)
            out_.findings.refused.push_back(f);
        if (out_.services.size() != before)
            for (const auto &f : findings.different)
                if (told_.insert(f.place).second) // else by another that inherits it
                    out_.findings.different.push_back(f);
    }

    void take_binds(const Proxy &front, const Pool &pool, Findings &findings)
    {
        for (const auto &d : front.directives)
            if (d.line.word(0) == "bind")
                for (const auto &at : read_bind(front, d.line, options_.addresses, findings))
                    take_endpoint(front, d.line, at, pool, findings);
    }

    void take_endpoint(const Proxy &front, const Line &bind, const Endpoint &at, const Pool &pool,
                       Findings &findings)
    {
        const auto [it, fresh] = taken_.emplace(at.text(), bind.number);
        if (!fresh)
            return findings.refuse(front.text(), bind, 1,
                                   at.text() + " is taken in line " + std::to_string(it->second));
        json service;
        if (const auto why = make_service(at, pool, service); !why.empty()) {
            taken_.erase(it);
            return findings.refuse(front.text(), bind, 1, why);
        }
        out_.services.push_back(std::move(service));
        out_.origins.push_back({bind.place(), front.text()});
    }

    const std::vector<Proxy> &proxies_;
    const ImportOptions &options_;
    std::map<std::string, unsigned> taken_; // endpoints, and the line
    std::set<Place> told_;
    Import out_;
};

} // namespace

Result<Import> import_services(const std::string &text, const std::string &name,
                               const ImportOptions &options)
{
    auto proxies = read_proxies(text, name);
    if (!proxies)
        return proxies.error();
    return Importer(*proxies, options).run();
}

} // namespace evnf::elb::haproxy
