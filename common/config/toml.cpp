// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/toml.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace evnf::config
{

namespace
{

using nlohmann::json;

std::string at(const std::string &name, Position p)
{
    return name + ":" + std::to_string(p.line) + ":" + std::to_string(p.column);
}

std::vector<std::string> split_lines(std::string_view text)
{
    std::vector<std::string> lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        std::string line(text.substr(0, end));
        if (line.ends_with('\r'))
            line.pop_back();
        lines.push_back(std::move(line));
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    return lines;
}

// toml++ counts columns in characters; the rest of us counts bytes.
std::size_t byte_column(const std::string &line, std::size_t column)
{
    std::size_t byte = 0;
    for (std::size_t seen = 1; seen < column && byte < line.size(); ++seen) {
        ++byte;
        while (byte < line.size() && (static_cast<unsigned char>(line[byte]) & 0xc0) == 0x80)
            ++byte;
    }
    return byte + 1;
}

// A key within a JSON pointer (RFC 6901 section 3).
std::string pointer_word(std::string_view key)
{
    std::string out;
    for (const char c : key)
        out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    return out;
}

// Walks the tree once: makes the JSON and notes where each value stands.
class Reader
{
public:
    explicit Reader(Document &out) : out_(out) {}

    Result<json> read(const toml::node &node, const std::string &pointer)
    {
        const Position p = note(node, pointer);
        if (const auto *table = node.as_table())
            return read_table(*table, pointer);
        if (const auto *array = node.as_array())
            return read_array(*array, pointer);
        if (const auto *s = node.as_string())
            return json(s->get());
        if (const auto *i = node.as_integer())
            return json(i->get());
        if (const auto *f = node.as_floating_point())
            return json(f->get());
        if (const auto *b = node.as_boolean())
            return json(b->get());
        return bad_input(at(out_.name, p) + ": a date or time has no meaning here");
    }

private:
    Position note(const toml::node &node, const std::string &pointer)
    {
        const auto begin = node.source().begin;
        Position p{begin.line, begin.column};
        if (p.line >= 1 && p.line <= out_.lines.size())
            p.column = byte_column(out_.lines[p.line - 1], p.column);
        out_.positions[pointer] = p;
        return p;
    }

    Result<json> read_table(const toml::table &table, const std::string &pointer)
    {
        json out = json::object();
        for (const auto &[key, value] : table) {
            auto one = read(value, pointer + "/" + pointer_word(key.str()));
            if (!one)
                return one;
            out[std::string(key.str())] = *std::move(one);
        }
        return out;
    }

    Result<json> read_array(const toml::array &array, const std::string &pointer)
    {
        json out = json::array();
        for (const auto &value : array) {
            auto one = read(value, pointer + "/" + std::to_string(out.size()));
            if (!one)
                return one;
            out.push_back(*std::move(one));
        }
        return out;
    }

    Document &out_;
};

} // namespace

Position Document::find(const std::string &pointer) const
{
    for (std::string p = pointer;; p.erase(p.rfind('/'))) {
        if (const auto it = positions.find(p); it != positions.end() && it->second.line > 0)
            return it->second;
        if (p.find('/') == p.npos)
            return {1, 1};
    }
}

Result<Document> read_toml(std::string_view text, const std::string &name)
{
    Document out;
    out.name = name;
    out.lines = split_lines(text);
    try {
        const toml::table root = toml::parse(text);
        auto value = Reader(out).read(root, "");
        if (!value)
            return value.error();
        out.value = *std::move(value);
        return out;
    } catch (const toml::parse_error &e) {
        const auto begin = e.source().begin;
        const std::string line =
            begin.line >= 1 && begin.line <= out.lines.size() ? out.lines[begin.line - 1] : "";
        const Position p{begin.line, byte_column(line, begin.column)};
        return bad_input(at(name, p) + ": " + std::string(e.description()) + "\n" +
                         underline(line, p.column - 1, 1));
    }
}

Result<Document> read_toml_file(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    if (!in)
        return sys_error("read " + path);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (in.bad())
        return sys_error("read " + path);
    return read_toml(text, path);
}

std::string underline(const std::string &line, std::size_t offset, std::size_t length)
{
    std::string carets;
    for (std::size_t i = 0; i < std::min(offset, line.size()); ++i) {
        const auto c = static_cast<unsigned char>(line[i]);
        if ((c & 0xc0) != 0x80) // one column for each character
            carets += c == '\t' ? '\t' : ' ';
    }
    carets.append(std::max<std::size_t>(length, 1), '^');
    return "  " + line + "\n  " + carets;
}

std::string explain(const Document &file, const Error &error)
{
    Position p = file.find(error.where);
    std::size_t length = 1;
    const std::string line = p.line <= file.lines.size() ? file.lines[p.line - 1] : "";
    // Inside a string on one line the word's place is exact, if nothing is escaped
    // before it: the text starts after the quote.
    const bool in_string = error.length > 0 && p.column <= line.size() &&
                           (line[p.column - 1] == '"' || line[p.column - 1] == '\'') &&
                           line.compare(p.column - 1, 3, R"(""")") != 0 &&
                           line.compare(p.column - 1, 3, "'''") != 0 &&
                           line.substr(p.column, error.offset).find('\\') == std::string::npos;
    if (in_string) {
        p.column += 1 + error.offset;
        length = error.length;
    }
    return at(file.name, p) + ": " + error.message() + "\n" + underline(line, p.column - 1, length);
}

} // namespace evnf::config
