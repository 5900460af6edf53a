// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/rule.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace evnf::efw
{

namespace
{

using match::at;
using match::Synonym;
using match::Word;

struct ActionName {
    efw_action action;
    std::string_view name;
};
constexpr std::array actions{
    ActionName{EFW_ACCEPT, "accept"},
    ActionName{EFW_DROP, "drop"},
    ActionName{EFW_SLOW, "slow"},
};

constexpr std::array<std::string_view, 4> own_words{"priority", "accept", "drop", "slow"};
constexpr std::array own_synonyms{
    Synonym{"allow", "accept"}, Synonym{"pass", "accept"}, Synonym{"permit", "accept"},
    Synonym{"deny", "drop"},    Synonym{"block", "drop"},  Synonym{"reject", "drop"},
};
constexpr match::Language language{.name = "rule",
                                   .words = own_words,
                                   .synonyms = own_synonyms,
                                   .expected = ", priority, or an action: accept, drop, slow"};

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
            return bad_input("the rule has no action: end it with accept, drop or slow", "", end_,
                             0);
        const Word &action = reader_.take();
        rule_.action = *parse_action(action.text);
        rule_.match = reader_.match();
        if (!reader_.done())
            if (auto r = comment(action); !r)
                return r.error();
        return rule_;
    }

private:
    Result<> part()
    {
        const std::string &w = reader_.peek().text;
        if (w == "priority")
            return priority(reader_.take());
        if (w == "comment")
            return at(reader_.peek(), "the comment comes last, after accept, drop or slow");
        return reader_.part();
    }

    Result<> priority(const Word &word)
    {
        auto given = reader_.value(word, "10");
        if (!given)
            return given.error();
        if (has_priority_)
            return reader_.twice(word);
        auto n = parse_number(given->text, 0, Rule::max_priority, "priority");
        if (!n)
            return at(*given, n.error().what);
        rule_.priority = static_cast<unsigned>(*n);
        has_priority_ = true;
        return Unit{};
    }

    Result<> comment(const Word &action)
    {
        const Word &word = reader_.take();
        if (word.text != "comment")
            return at(word, in_quotes(word.text) + " comes after " + action.text +
                                ", which ends the rule: only a comment may follow");
        auto given = reader_.value(word, "\"why this rule is here\"");
        if (!given)
            return given.error();
        if (given->text.size() > Rule::max_comment)
            return at(*given,
                      "the comment is longer than " + std::to_string(Rule::max_comment) + " bytes");
        rule_.comment = given->text;
        if (!reader_.done())
            return at(reader_.peek(), in_quotes(reader_.peek().text) +
                                          " comes after the comment: put a comment of several "
                                          "words in double quotes");
        return Unit{};
    }

    match::Reader reader_;
    std::size_t end_; // of the text
    Rule rule_;
    bool has_priority_ = false;
};

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
    out += action_text(rule.action);
    if (!rule.comment.empty())
        out += " comment \"" + rule.comment + "\"";
    return out;
}

} // namespace evnf::efw
