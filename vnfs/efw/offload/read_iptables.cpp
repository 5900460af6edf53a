// SPDX-License-Identifier: GPL-2.0-or-later
#include <map>

#include "base/text.hpp"
#include "vnfs/efw/offload/lexer.hpp"
#include "vnfs/efw/offload/ruleset.hpp"
#include "vnfs/efw/offload/xtables.hpp"

namespace evnf::efw::offload
{

namespace
{

struct Place {
    Hook hook;
    int priority;
};

// Where the chains of iptables hang: linux/netfilter_ipv4.h.
std::optional<Place> place_of(const std::string &table, const std::string &chain)
{
    static const std::map<std::string, Hook> hooks{{"PREROUTING", Hook::prerouting},
                                                   {"INPUT", Hook::input},
                                                   {"FORWARD", Hook::forward},
                                                   {"OUTPUT", Hook::output},
                                                   {"POSTROUTING", Hook::postrouting}};
    static const std::map<std::string, int> priorities{
        {"raw", -300}, {"mangle", -150}, {"filter", 0}, {"security", 50}};
    const auto hook = hooks.find(chain);
    if (hook == hooks.end())
        return std::nullopt;
    if (table == "nat") {
        const bool source = chain == "POSTROUTING" || chain == "INPUT";
        return Place{hook->second, source ? 100 : -100};
    }
    const auto priority = priorities.find(table);
    if (priority == priorities.end())
        return std::nullopt;
    return Place{hook->second, priority->second};
}

class SaveReader
{
public:
    SaveReader(int family, const std::string &name) : family_(family), name_(name) {}

    Result<Ruleset> read(std::string_view text)
    {
        for (auto line : split(text, '\n')) {
            ++line_;
            if (line.ends_with('\r'))
                line.remove_suffix(1);
            if (auto r = read_line(line); !r)
                return r.error();
        }
        if (!chains_.empty() || table_)
            return at(0, "the table " + table_->name + " has no COMMIT");
        return std::move(out_);
    }

private:
    struct Word {
        std::string text;
        std::size_t offset;
    };

    [[nodiscard]] Error at(std::size_t column, const std::string &what) const
    {
        return bad_input(name_ + ":" + std::to_string(line_) + ":" + std::to_string(column + 1) +
                         ": " + what);
    }

    // Words apart by blanks; quotes hold one together, and a backslash in them the next.
    Result<std::vector<Word>> words_of(std::string_view line) const
    {
        std::vector<Word> out;
        for (std::size_t i = 0; i < line.size();) {
            if (line[i] == ' ' || line[i] == '\t') {
                ++i;
                continue;
            }
            Word word{"", i};
            bool quoted = false;
            for (; i < line.size() && (quoted || (line[i] != ' ' && line[i] != '\t')); ++i) {
                if (line[i] == '"')
                    quoted = !quoted;
                else if (quoted && line[i] == '\\' && i + 1 < line.size())
                    word.text += line[++i];
                else
                    word.text += line[i];
            }
            if (quoted)
                return at(word.offset, "a quote is not closed");
            out.push_back(std::move(word));
        }
        return out;
    }

    // "[12:3456]"
    static std::optional<Counters> counters_of(std::string_view word)
    {
        if (!word.starts_with('[') || !word.ends_with(']'))
            return std::nullopt;
        const auto parts = split(word.substr(1, word.size() - 2), ':');
        if (parts.size() != 2)
            return std::nullopt;
        const auto packets = number_of(parts[0], ~0ULL), bytes = number_of(parts[1], ~0ULL);
        if (!packets || !bytes)
            return std::nullopt;
        return Counters{*packets, *bytes};
    }

    Result<> read_line(std::string_view line)
    {
        if (line.empty() || line.starts_with('#'))
            return Unit{};
        auto words = words_of(line);
        if (!words)
            return words.error();
        if (words->empty())
            return Unit{};
        const std::string &first = words->front().text;
        if (first.starts_with('*')) {
            if (table_)
                return at(0, "the table " + table_->name + " before it has no COMMIT");
            table_ = Table{.family = family_ == 4 ? Family::ip : Family::ip6,
                           .name = first.substr(1),
                           .iptables = true};
            return Unit{};
        }
        if (!table_)
            return at(0, in_quotes(first) + " stands before any table");
        if (first == "COMMIT") {
            read_rules();
            out_.tables.push_back(std::move(*table_));
            table_.reset();
            chains_.clear();
            return Unit{};
        }
        return first.starts_with(':') ? chain(*words) : rule(line, std::move(*words));
    }

    Result<> chain(const std::vector<Word> &words)
    {
        Chain chain{.name = words[0].text.substr(1)};
        if (chain.name.empty() || words.size() < 2)
            return at(0, "a chain has a name and a policy: \":INPUT ACCEPT [0:0]\"");
        if (words.size() > 2 && !(chain.counters = counters_of(words[2].text)))
            return at(words[2].offset, in_quotes(words[2].text) + " are no counters");
        const std::string &policy = words[1].text;
        if (policy != "-" && policy != "ACCEPT" && policy != "DROP")
            return at(words[1].offset, in_quotes(policy) + " is no policy: ACCEPT or DROP");
        if (!chains_.emplace(chain.name, table_->chains.size()).second)
            return at(1, "there are two chains " + chain.name);
        if (policy == "-") {
            chain.counters.reset();
        } else if (const auto place = place_of(table_->name, chain.name)) {
            chain.hook = place->hook;
            chain.priority = place->priority;
            chain.type = table_->name == "nat" ? "nat" : "filter";
            chain.policy_drop = policy == "DROP";
        } else {
            return at(1, in_quotes(chain.name) + " is no chain of the kernel in the table " +
                             table_->name);
        }
        table_->chains.push_back(std::move(chain));
        return Unit{};
    }

    Result<> rule(std::string_view line, std::vector<Word> words)
    {
        std::optional<Counters> counters;
        if (words[0].text.starts_with('[')) {
            counters = counters_of(words[0].text);
            if (!counters)
                return at(0, in_quotes(words[0].text) + " are no counters");
            words.erase(words.begin());
        }
        if (words.size() < 2 || words[0].text != "-A")
            return at(words.empty() ? 0 : words[0].offset, "a rule is \"-A CHAIN …\"");
        const auto it = chains_.find(words[1].text);
        if (it == chains_.end())
            return at(words[1].offset, "there is no chain " + in_quotes(words[1].text));
        Rule r{.text = std::string(line.substr(words[0].offset)),
               .counters = counters,
               .place = {line_, words[0].offset + 1}};
        auto &rules = table_->chains[it->second].rules;
        r.number = static_cast<unsigned>(rules.size() + 1);
        rules.push_back(std::move(r));
        words.erase(words.begin(), words.begin() + 2);
        std::vector<std::string> texts;
        std::vector<std::size_t> columns;
        for (auto &w : words) {
            columns.push_back(w.offset + 1);
            texts.push_back(std::move(w.text));
        }
        pending_.push_back({it->second, rules.size() - 1, std::move(texts), std::move(columns)});
        return Unit{};
    }

    // Once all chains of the table are known.
    void read_rules()
    {
        std::set<std::string> user;
        for (const auto &c : table_->chains)
            if (c.hook == Hook::none)
                user.insert(c.name);
        for (const auto &p : pending_) {
            auto read = read_xtables(p.words, family_, user);
            Rule &rule = table_->chains[p.chain].rules[p.rule];
            for (const auto &s : read.steps)
                if (const auto *effect = std::get_if<Effect>(&s)) {
                    if (effect->what.find("--helper") != std::string::npos)
                        out_.ct_helpers = true;
                    if (effect->what.find("--zone") != std::string::npos)
                        out_.ct_zones = true;
                }
            for (const std::size_t word : read.from)
                rule.places.push_back({rule.place.line, word < p.columns.size()
                                                            ? p.columns[word]
                                                            : rule.place.column});
            rule.steps = std::move(read.steps);
            rule.comment = std::move(read.comment);
        }
        pending_.clear();
    }

    struct Pending {
        std::size_t chain, rule;
        std::vector<std::string> words;
        std::vector<std::size_t> columns;
    };

    int family_;
    const std::string &name_;
    std::size_t line_ = 0;
    std::optional<Table> table_;
    std::map<std::string, std::size_t> chains_;
    std::vector<Pending> pending_;
    Ruleset out_;
};

} // namespace

Result<Ruleset> parse_iptables_save(std::string_view text, int family, const std::string &name)
{
    return SaveReader(family, name).read(text);
}

} // namespace evnf::efw::offload
