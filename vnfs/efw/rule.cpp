// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/rule.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/text.hpp"

namespace evnf::efw
{

namespace
{

using match::at;
using match::Hint;
using match::Synonym;
using match::Word;

struct ActionName {
    efw_action action;
    std::string_view name;
};
constexpr std::array actions{
    ActionName{EFW_ACCEPT, "accept"}, ActionName{EFW_DROP, "drop"},   ActionName{EFW_SLOW, "slow"},
    ActionName{EFW_REJECT, "reject"}, ActionName{EFW_COUNT, "count"},
};
constexpr const char *actions_text = "accept, drop, slow, reject or count";

struct UnitName {
    std::uint32_t seconds;
    std::string_view name;
};
constexpr std::array units{UnitName{1, "second"}, UnitName{60, "minute"}, UnitName{3600, "hour"},
                           UnitName{86400, "day"}};

constexpr std::array<std::string_view, 10> own_words{
    "priority", "limit", "log", "accept", "drop", "slow", "reject", "count", "name", "comment"};
constexpr std::array own_synonyms{
    Synonym{"allow", "accept"},  Synonym{"pass", "accept"},     Synonym{"permit", "accept"},
    Synonym{"deny", "drop"},     Synonym{"block", "drop"},      Synonym{"discard", "drop"},
    Synonym{"counter", "count"}, Synonym{"hashlimit", "limit"}, Synonym{"--comment", "comment"},
    Synonym{"ACCEPT", "accept"}, Synonym{"DROP", "drop"},       Synonym{"REJECT", "reject"},
};
constexpr const char *state_mend =
    "connections are known to netfilter, to which slow gives the packet: end the rule with slow";
constexpr std::array own_hints{
    Hint{"ct", state_mend},
    Hint{"state", state_mend},
    Hint{"--state", state_mend},
    Hint{"--ctstate", state_mend},
    Hint{"conntrack", state_mend},
    Hint{"-m", "leave it out: what follows stands by itself"},
    Hint{"-j",
         "the action stands by itself: end the rule with accept, drop, slow, reject or count"},
    Hint{"-A", "rules are in no chains of netfilter: leave it and the chain's name out"},
    Hint{"jump", "there are no other lists of rules to go to: write what they match here"},
    Hint{"goto", "there are no other lists of rules to go to: write what they match here"},
    Hint{"return", "there are no other lists of rules to come from: use accept"},
    Hint{"queue", "user space has its own exit in a chain: use slow"},
    Hint{"prefix", "what logs call a rule is its name: write name \"…\" after the action"},
    Hint{"packets", "a burst is of packets: write burst and the number alone"},
    Hint{"rate", "it comes after limit, as in limit rate 10/second"},
    Hint{"burst", "it comes after the rate, as in limit rate 10/second burst 20"},
    Hint{"per", "it comes after the rate, as in limit rate 10/second per saddr"},
    Hint{"sample", "it comes after log, as in log sample 100"},
};
constexpr match::Language language{
    .name = "rule",
    .words = own_words,
    .synonyms = own_synonyms,
    .hints = own_hints,
    .expected = ", priority, limit, log, or an action: accept, drop, slow, reject, count"};

class Parser
{
public:
    Parser(std::span<const Word> words, std::size_t end) : reader_(words, language), end_(end) {}

    Result<Rule> rule()
    {
        while (!reader_.done() && !parse_action(reader_.peek().text))
            if (auto r = part(); !r)
                return r.error();
        if (reader_.done())
            return bad_input("the rule has no action: end it with " + std::string(actions_text), "",
                             end_, 0);
        const Word &action = reader_.take();
        rule_.action = *parse_action(action.text);
        rule_.match = reader_.match();
        while (!reader_.done())
            if (auto r = text(action); !r)
                return r.error();
        return rule_;
    }

private:
    Result<> part()
    {
        const std::string &w = reader_.peek().text;
        if (w == "priority")
            return priority(reader_.take());
        if (w == "limit")
            return limit(reader_.take());
        if (w == "log")
            return log(reader_.take());
        if (w == "comment" || w == "name")
            return at(reader_.peek(), "the " + w + " comes last, after " + actions_text);
        return reader_.part();
    }

    [[nodiscard]] bool next_is(std::string_view word) const
    {
        return !reader_.done() && reader_.peek().text == word;
    }

    // The number after a word.
    Result<std::uint32_t> number(const Word &word, const char *example, std::uint32_t low,
                                 std::uint32_t high)
    {
        auto given = reader_.value(word, example);
        if (!given)
            return given.error();
        auto n = parse_number(given->text, low, high, word.text);
        if (!n)
            return at(*given, n.error().what);
        return static_cast<std::uint32_t>(*n);
    }

    Result<> priority(const Word &word)
    {
        auto n = number(word, "10", 0, Rule::max_priority);
        if (!n)
            return n.error();
        if (has_priority_)
            return reader_.twice(word);
        rule_.priority = *n;
        has_priority_ = true;
        return Unit{};
    }

    Result<> limit(const Word &word)
    {
        if (rule_.limit)
            return reader_.twice(word);
        if (!next_is("rate"))
            return at(word, "limit needs a rate after it: limit rate 10/second");
        const Word rate = reader_.take();
        Limit limit;
        if (next_is("over")) {
            limit.over = true;
            reader_.take();
        }
        auto given = reader_.value(rate, "10/second");
        if (!given)
            return given.error();
        if (auto r = read_rate(*given, limit); !r)
            return r;
        if (next_is("burst")) {
            auto n = number(reader_.take(), "20", 1, most);
            if (!n)
                return n.error();
            limit.burst = *n;
        }
        if (next_is("per")) {
            const Word per = reader_.take();
            if (!next_is("saddr"))
                return at(per, "a limit is for all packets, or one for each source: per saddr");
            reader_.take();
            limit.per_source = true;
        }
        rule_.limit = limit;
        return Unit{};
    }

    static Result<> read_rate(const Word &given, Limit &limit)
    {
        const std::string_view text = given.text;
        const auto slash = text.find('/');
        const auto packets = parse_number(text.substr(0, slash), 1, most, "rate");
        const auto unit = std::find_if(units.begin(), units.end(), [&](const UnitName &u) {
            return slash != text.npos && u.name == text.substr(slash + 1);
        });
        if (!packets || unit == units.end())
            return at(given, in_quotes(text) +
                                 " is not a rate: a number above 0, / and second, minute, hour or "
                                 "day, such as 10/second");
        limit.packets = static_cast<std::uint32_t>(*packets);
        limit.seconds = unit->seconds;
        return Unit{};
    }

    Result<> log(const Word &word)
    {
        if (rule_.log_sample)
            return reader_.twice(word);
        rule_.log_sample = 1;
        if (!next_is("sample"))
            return Unit{};
        auto n = number(reader_.take(), "100", 1, most);
        if (!n)
            return n.error();
        rule_.log_sample = *n;
        return Unit{};
    }

    // The name or comment after the action.
    Result<> text(const Word &action)
    {
        const Word &word = reader_.take();
        if (word.text != "comment" && word.text != "name") {
            const bool unquoted = !last_text_.empty();
            return at(word, in_quotes(word.text) + " comes after " +
                                (unquoted ? "the " + last_text_ + ": put a " + last_text_ +
                                                " of several words in double quotes"
                                          : action.text + ", which ends the rule: only a name and "
                                                          "a comment may follow"));
        }
        const bool is_name = word.text == "name";
        auto given = reader_.value(word, is_name ? "\"web\"" : "\"why this rule is here\"");
        if (!given)
            return given.error();
        std::string &field = is_name ? rule_.name : rule_.comment;
        if (!field.empty())
            return reader_.twice(word);
        if (given->text.size() > Rule::max_comment)
            return at(*given, "the " + word.text + " is longer than " +
                                  std::to_string(Rule::max_comment) + " bytes");
        field = given->text;
        last_text_ = word.text;
        return Unit{};
    }

    static constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();

    match::Reader reader_;
    std::size_t end_; // of the text
    Rule rule_;
    bool has_priority_ = false;
    std::string last_text_; // name or comment, whichever was last
};

std::string text_of(const Limit &limit)
{
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const UnitName &u) { return u.seconds == limit.seconds; });
    std::string out = "limit rate ";
    out += limit.over ? "over " : "";
    out += std::to_string(limit.packets) + "/" + std::string(unit->name);
    if (limit.burst != Limit{}.burst)
        out += " burst " + std::to_string(limit.burst);
    out += limit.per_source ? " per saddr" : "";
    return out;
}

} // namespace

std::string_view action_text(efw_action action)
{
    return std::find_if(actions.begin(), actions.end(),
                        [&](const ActionName &a) { return a.action == action; })
        ->name;
}

std::optional<efw_action> parse_action(std::string_view word)
{
    for (const auto &a : actions)
        if (a.name == word)
            return a.action;
    return std::nullopt;
}

Result<Rule> parse_rule(std::string_view text)
{
    auto words = match::split_words(text, language);
    if (!words)
        return words.error();
    return Parser(*words, text.size()).rule();
}

std::string text_of(const Rule &rule)
{
    std::string out;
    if (rule.priority != Rule::default_priority)
        out += "priority " + std::to_string(rule.priority) + " ";
    if (const std::string match = text_of(rule.match); !match.empty())
        out += match + " ";
    if (rule.limit)
        out += text_of(*rule.limit) + " ";
    if (rule.log_sample)
        out +=
            rule.log_sample == 1 ? "log " : "log sample " + std::to_string(rule.log_sample) + " ";
    out += action_text(rule.action);
    if (!rule.name.empty())
        out += " name \"" + rule.name + "\"";
    if (!rule.comment.empty())
        out += " comment \"" + rule.comment + "\"";
    return out;
}

} // namespace evnf::efw
