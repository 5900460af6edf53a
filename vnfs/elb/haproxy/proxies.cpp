// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/proxies.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.hpp"

namespace evnf::elb::haproxy
{

namespace
{

using Kind = Proxy::Kind;

const std::map<std::string, Kind> kinds{
    {"frontend", Kind::frontend}, {"backend", Kind::backend}, {"listen", Kind::listen}};

// Sections that say nothing of where connections go.
const std::set<std::string> other_sections{
    "global", "peers", "resolvers",   "userlist", "mailers",   "program",     "cache",      "ring",
    "traces", "acme",  "http-errors", "fcgi-app", "crt-store", "log-profile", "log-forward"};

// A check's rules of the defaults count for no proxy that has its own.
bool is_check_rule(const Directive &d)
{
    const std::string word = d.line.word(0);
    return word == "http-check" || word == "tcp-check";
}

class Reader
{
public:
    explicit Reader(const std::string &name) : name_(name) {}

    Result<std::vector<Proxy>> read(const std::vector<Line> &lines)
    {
        for (const auto &line : lines)
            if (auto r = take(line); !r)
                return r.error();
        for (auto &p : proxies_)
            drop_replaced(p.directives);
        return std::move(proxies_);
    }

private:
    using Directives = std::vector<Directive>;

    Result<> take(const Line &line)
    {
        const std::string word = line.word(0);
        if (word[0] == '.')
            return take_condition(line);
        if (kinds.contains(word))
            return begin_proxy(line);
        if (word == "defaults")
            return begin_defaults(line);
        if (other_sections.contains(word)) {
            section_ = Section::other;
            return Unit{};
        }
        switch (section_) {
        case Section::none:
            return at(name_, line.place(),
                      in_quotes(word) + " stands in no section: is this a configuration of "
                                        "HAProxy?");
        case Section::defaults:
            defaults_.back().directives.push_back(directive(line, true));
            break;
        case Section::proxy:
            proxies_.back().directives.push_back(directive(line, false));
            break;
        case Section::other:
            break;
        }
        return Unit{};
    }

    [[nodiscard]] Result<> take_condition(const Line &line) const
    {
        static const std::set<std::string> messages{".diag", ".notice", ".warning", ".alert"};
        if (messages.contains(line.word(0)))
            return Unit{};
        return at(name_, line.place(),
                  in_quotes(line.word(0)) + ": what a condition comes to, only HAProxy knows; give "
                                            "a file without");
    }

    static Directive directive(Line line, bool inherited)
    {
        const bool no = line.word(0) == "no" && line.words.size() > 1;
        if (no)
            line.words.erase(line.words.begin());
        return {std::move(line), no, inherited};
    }

    // What the heading says with "from", or else the last that were.
    Result<Directives> inherited(const Line &line, std::size_t from) const
    {
        if (line.words.size() <= from)
            return defaults_.empty() || line.word(0) == "defaults" ? Directives()
                                                                   : defaults_.back().directives;
        if (line.word(from) != "from" || line.words.size() != from + 2)
            return at(name_, line.place(from),
                      in_quotes(line.word(from)) + ": after the name comes nothing, or from and a "
                                                   "name of defaults");
        const auto it = std::find_if(defaults_.rbegin(), defaults_.rend(), [&](const Defaults &d) {
            return d.name == line.word(from + 1);
        });
        if (it == defaults_.rend())
            return at(name_, line.place(from + 1),
                      "there are no defaults " + in_quotes(line.word(from + 1)) + " above");
        return it->directives;
    }

    Result<> begin_proxy(const Line &line)
    {
        if (line.words.size() < 2)
            return at(name_, line.place(), "a " + line.word(0) + " has a name");
        auto directives = inherited(line, 2);
        if (!directives)
            return directives.error();
        const Kind kind = kinds.at(line.word(0));
        // A frontend and a backend may be called alike.
        for (const auto &p : proxies_)
            if (p.name == line.word(1) &&
                (p.kind == kind || p.kind == Kind::listen || kind == Kind::listen))
                return at(name_, line.place(1),
                          in_quotes(p.name) + " is the name of a proxy already, in line " +
                              std::to_string(p.line.number));
        proxies_.push_back({kind, line.word(1), line, *std::move(directives)});
        section_ = Section::proxy;
        return Unit{};
    }

    Result<> begin_defaults(const Line &line)
    {
        const bool unnamed = line.words.size() < 2 || line.word(1) == "from";
        auto directives = inherited(line, unnamed ? 1 : 2);
        if (!directives)
            return directives.error();
        defaults_.push_back({unnamed ? "" : line.word(1), *std::move(directives)});
        section_ = Section::defaults;
        return Unit{};
    }

    static void drop_replaced(Directives &directives)
    {
        const bool own = std::any_of(directives.begin(), directives.end(), [](const Directive &d) {
            const bool option = d.line.word(0) == "option" && is_check_option(d.line.word(1));
            return !d.inherited && (option || is_check_rule(d));
        });
        if (own)
            std::erase_if(directives,
                          [](const Directive &d) { return d.inherited && is_check_rule(d); });
    }

    struct Defaults {
        std::string name;
        Directives directives;
    };
    enum class Section { none, defaults, proxy, other };

    const std::string &name_;
    Section section_ = Section::none;
    std::vector<Defaults> defaults_;
    std::vector<Proxy> proxies_;
};

} // namespace

bool is_check_option(const std::string &word)
{
    static const std::set<std::string> words{
        "tcp-check",   "httpchk", "ssl-hello-chk", "mysql-check", "pgsql-check",
        "redis-check", "smtpchk", "ldap-check",    "spop-check",  "external-check"};
    return words.contains(word);
}

std::string Proxy::text() const
{
    return line.word(0) + " " + name;
}

const Directive *Proxy::last(const std::string &word, const std::string &second) const
{
    const Directive *found = nullptr;
    for (const auto &d : directives)
        if (d.line.word(0) == word && (second.empty() || d.line.word(1) == second))
            found = d.no ? nullptr : &d;
    return found;
}

Result<std::vector<Proxy>> read_proxies(const std::string &text, const std::string &name)
{
    auto lines = read_lines(text, name);
    if (!lines)
        return lines.error();
    return Reader(name).read(*lines);
}

} // namespace evnf::elb::haproxy
