// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/lines.hpp"

#include <optional>

#include "base/text.hpp"

namespace evnf::elb::haproxy
{

namespace
{

// One line: quotes ("" and '') group, \ takes the next character as it is, # begins a comment.
class Splitter
{
public:
    explicit Splitter(const std::string &line) : line_(line) {}

    // What is wrong, and at which column.
    std::optional<std::pair<unsigned, std::string>> split(std::vector<Word> &words)
    {
        for (; at_ < line_.size(); ++at_) {
            const char c = line_[at_];
            if (quote_ == 0 && (c == ' ' || c == '\t' || c == '\r'))
                finish(words);
            else if (quote_ == 0 && c == '#')
                break;
            else if (c == quote_)
                quote_ = 0;
            else if (quote_ == 0 && (c == '"' || c == '\''))
                open(c);
            else if (c == '\\' && quote_ != '\'') {
                if (++at_ == line_.size())
                    return std::pair(static_cast<unsigned>(at_), "nothing follows this \\");
                add(escaped(line_[at_]));
            } else
                add(c);
        }
        if (quote_)
            return std::pair(quote_column_, "this quote is not closed");
        finish(words);
        return {};
    }

private:
    void begin()
    {
        if (!word_)
            word_ = Word{"", static_cast<unsigned>(at_ + 1)};
    }
    void open(char quote)
    {
        begin();
        quote_ = quote;
        quote_column_ = static_cast<unsigned>(at_ + 1);
    }
    void add(char c)
    {
        begin();
        word_->text += c;
    }
    void finish(std::vector<Word> &words)
    {
        if (word_)
            words.push_back(*std::move(word_));
        word_.reset();
    }
    static char escaped(char c) { return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c; }

    const std::string &line_;
    std::size_t at_ = 0;
    char quote_ = 0;
    unsigned quote_column_ = 0;
    std::optional<Word> word_;
};

} // namespace

Error at(const std::string &name, Place place, const std::string &what)
{
    return bad_input(name + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) +
                     ": " + what);
}

Result<std::vector<Line>> read_lines(const std::string &text, const std::string &name)
{
    std::vector<Line> out;
    unsigned number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        Line line{++number, {}, text.substr(begin, end - begin)};
        begin = end + 1;
        const auto nul = line.text.find('\0');
        if (nul != line.text.npos)
            return at(name, {number, static_cast<unsigned>(nul + 1)},
                      "there is a zero byte: this is no configuration of HAProxy");
        if (const auto wrong = Splitter(line.text).split(line.words))
            return at(name, {number, wrong->first}, wrong->second);
        if (!line.words.empty())
            out.push_back(std::move(line));
    }
    return out;
}

} // namespace evnf::elb::haproxy
