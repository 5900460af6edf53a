// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/path.hpp"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include "base/text.hpp"

namespace evnf::path
{

namespace
{

using Kind = Element::Kind;

constexpr std::array ends{std::pair{"out", Kind::out}, std::pair{"wire", Kind::wire},
                          std::pair{"hairpin", Kind::hairpin}, std::pair{"host", Kind::host},
                          std::pair{"drop", Kind::drop}};
constexpr std::size_t max_depth = 16; // of blocks in blocks: the parser recurses

bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_end(Kind kind)
{
    return std::any_of(ends.begin(), ends.end(), [&](const auto &e) { return e.second == kind; });
}

class Parser
{
public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<std::vector<Statement>> chain()
    {
        std::vector<Statement> out;
        for (skip(); !done(); skip()) {
            auto s = statement();
            if (!s)
                return s.error();
            out.push_back(*std::move(s));
            skip();
            if (!done() && !take(";"))
                return here("a ';' must stand between two paths");
        }
        if (out.empty())
            return here("the chain is empty: write for example in(eth0) -> efw -> out");
        return out;
    }

private:
    [[nodiscard]] bool done() const { return at_ == text_.size(); }
    void skip()
    {
        while (!done() && is_blank(text_[at_]))
            ++at_;
    }
    [[nodiscard]] bool next_is(std::string_view token) const
    {
        return text_.substr(at_).starts_with(token);
    }
    bool take(std::string_view token)
    {
        skip();
        if (!next_is(token))
            return false;
        at_ += token.size();
        return true;
    }
    [[nodiscard]] Error error(std::string what, Span at) const
    {
        return bad_input(std::move(what), "", at.offset, at.length);
    }
    // An error at what comes next: a word, or one character.
    [[nodiscard]] Error here(std::string what)
    {
        skip();
        std::size_t end = next_is("->") ? at_ + 2 : at_;
        while (end < text_.size() && is_word(text_[end]))
            ++end;
        const std::size_t length = std::max<std::size_t>(end - at_, done() ? 0 : 1);
        return error(std::move(what), {at_, length});
    }
    static bool is_word(char c)
    {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
    }
    // The next word, up to what cannot be part of one; "->" is no part of one.
    std::string_view word()
    {
        skip();
        const std::size_t start = at_;
        while (!done() && is_word(text_[at_]) && !next_is("->"))
            ++at_;
        return text_.substr(start, at_ - start);
    }

    Result<Statement> statement()
    {
        Statement s;
        skip();
        const std::size_t start = at_;
        const std::string_view first = word();
        s.at = {start, first.size()};
        if (!first.empty() && take(":")) {
            if (!is_name(first))
                return error(in_quotes(first) + " cannot be a label: " + name_rule, s.at);
            s.label = first;
        } else {
            at_ = start;
        }
        auto p = path(s.label.empty() ? First::in : First::stage, 0);
        if (!p)
            return p.error();
        s.path = *std::move(p);
        return s;
    }

    enum class First { in, stage };

    Result<Path> path(First first, std::size_t depth)
    {
        Path out;
        do {
            auto e = element(depth);
            if (!e)
                return e.error();
            const bool is_first = out.empty();
            if (is_first && first == First::in && e->kind != Kind::in)
                return error("a path starts with in(INTERFACE), or with a label and ':'", e->at);
            if ((!is_first || first == First::stage) && e->kind == Kind::in)
                return error("in() stands at the start of a path, and only there", e->at);
            out.push_back(*std::move(e));
            skip();
            const Element &last = out.back();
            if (next_is("->") && is_end(last.kind))
                return here("nothing comes after " +
                            in_quotes(text_.substr(last.at.offset, last.at.length)) +
                            ", where packets leave the chain");
            if (next_is("->") && !last.arms.empty())
                return here("nothing comes after a block: its arms say where packets go");
        } while (take("->"));
        if (out.back().kind == Kind::in)
            return error("in() leads nowhere: add '-> out'", out.back().at);
        return out;
    }

    Result<Element> element(std::size_t depth)
    {
        Element e;
        skip();
        const std::size_t start = at_;
        if (next_is("{")) {
            e.kind = Kind::block;
            e.at = {start, 1};
            return with_arms(std::move(e), depth);
        }
        const std::string_view name = word();
        e.at = {start, name.size()};
        if (name.empty())
            return here(done() ? "the path ends here: a stage or 'out' is missing"
                               : "a stage, a block, 'out', 'wire(…)', 'hairpin', 'host' or 'drop' "
                                 "is wanted here");
        if (name == "in") {
            e.kind = Kind::in;
            auto names = interfaces();
            if (!names)
                return names.error();
            e.interfaces = *std::move(names);
            return e;
        }
        for (const auto &[text, kind] : ends)
            if (name == text)
                e.kind = kind;
        if (e.kind == Kind::wire) {
            auto names = interfaces();
            if (!names)
                return names.error();
            if (names->size() != 1)
                return error("a wire leads to one interface: wire(eth1)", e.at);
            e.name = names->front();
            return e;
        }
        if (e.kind != Kind::name)
            return e;
        if (!is_name(name))
            return error(in_quotes(name) + " cannot be the name of a stage: " + name_rule, e.at);
        e.name = name;
        skip();
        return next_is("{") ? with_arms(std::move(e), depth) : Result<Element>(std::move(e));
    }

    // "(eth0, eth1)"
    Result<std::vector<std::string>> interfaces()
    {
        std::vector<std::string> out;
        if (!take("("))
            return here("'(' and the interface's name are missing");
        do {
            skip();
            const std::size_t start = at_;
            while (!done() && !is_blank(text_[at_]) && text_[at_] != ',' && text_[at_] != ')')
                ++at_;
            const std::string name(text_.substr(start, at_ - start));
            if (name.empty())
                return here("the name of an interface is missing");
            if (name.size() >= IFNAMSIZ || name.find_first_of("/;{}(:") != name.npos)
                return error(in_quotes(name) + " is not an interface's name", {start, name.size()});
            if (std::find(out.begin(), out.end(), name) != out.end())
                return error(in_quotes(name) + " is named twice", {start, name.size()});
            out.push_back(name);
        } while (take(","));
        if (!take(")"))
            return here("a ')' is missing");
        return out;
    }

    Result<Element> with_arms(Element e, std::size_t depth)
    {
        if (depth == max_depth)
            return here("blocks stand in blocks too deeply: give a path a label");
        if (!take("{"))
            return here("a '{' is missing");
        while (!take("}")) {
            auto a = arm(depth);
            if (!a)
                return a.error();
            e.arms.push_back(*std::move(a));
            if (!take(";")) {
                if (take("}"))
                    break;
                return here("a ';' or '}' is missing after the arm");
            }
        }
        if (e.arms.empty())
            return error("the block is empty: write { CONDITION -> …; otherwise -> … }", e.at);
        return e;
    }

    // The arrow after the condition that starts there, in which there may be { lists }.
    [[nodiscard]] std::size_t condition_end(std::size_t start) const
    {
        bool in_list = false;
        for (std::size_t i = start; i < text_.size(); ++i) {
            if (text_.substr(i).starts_with("->"))
                return in_list ? text_.npos : i;
            if (text_[i] == ';' || text_[i] == (in_list ? '{' : '}'))
                return text_.npos;
            if (text_[i] == '{' || text_[i] == '}')
                in_list = !in_list;
        }
        return text_.npos;
    }

    Result<Arm> arm(std::size_t depth)
    {
        Arm a;
        skip();
        const std::size_t start = at_;
        const std::size_t arrow = condition_end(start);
        if (arrow == text_.npos)
            return here("an arm is a condition, '->' and a path");
        std::size_t length = arrow - start;
        while (length > 0 && is_blank(text_[start + length - 1]))
            --length;
        a.at = {start, length};
        a.condition = text_.substr(start, length);
        std::replace_if(a.condition.begin(), a.condition.end(), is_blank, ' ');
        if (a.condition.empty())
            return here("a condition, or 'otherwise', is missing before '->'");
        if (a.condition == "otherwise")
            a.condition.clear();
        at_ = arrow + 2;
        auto p = path(First::stage, depth + 1);
        if (!p)
            return p.error();
        a.path = *std::move(p);
        return a;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

std::string joined(const std::vector<std::string> &names)
{
    std::string out;
    for (const auto &n : names)
        out += (out.empty() ? "" : ", ") + n;
    return out;
}

std::string text_of(const Path &path);

std::string text_of(const std::vector<Arm> &arms)
{
    std::string out;
    for (const auto &a : arms)
        out += (out.empty() ? "{ " : "; ") + (a.condition.empty() ? "otherwise" : a.condition) +
               " -> " + text_of(a.path);
    return out + " }";
}

std::string text_of(const Element &e)
{
    switch (e.kind) {
    case Kind::in:
        return "in(" + joined(e.interfaces) + ")";
    case Kind::wire:
        return "wire(" + e.name + ")";
    case Kind::block:
        return text_of(e.arms);
    case Kind::name:
        return e.arms.empty() ? e.name : e.name + " " + text_of(e.arms);
    default:
        return std::find_if(ends.begin(), ends.end(),
                            [&](const auto &end) { return end.second == e.kind; })
            ->first;
    }
}

std::string text_of(const Path &path)
{
    std::string out;
    for (const auto &e : path)
        out += (out.empty() ? "" : " -> ") + text_of(e);
    return out;
}

} // namespace

Result<std::vector<Statement>> parse(std::string_view text)
{
    return Parser(text).chain();
}

std::string text_of(const std::vector<Statement> &statements)
{
    std::string out;
    for (const auto &s : statements)
        out +=
            (out.empty() ? "" : "; ") + (s.label.empty() ? "" : s.label + ": ") + text_of(s.path);
    return out;
}

bool is_chain_name(std::string_view s)
{
    return !s.empty() && s.size() <= 32 && std::all_of(s.begin(), s.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '-' || c == '_';
    });
}

bool is_name(std::string_view s)
{
    return is_chain_name(s) && s != "in" && s != "otherwise" && s != "chain" &&
           std::none_of(ends.begin(), ends.end(), [&](const auto &e) { return e.first == s; });
}

} // namespace evnf::path
