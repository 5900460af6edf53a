// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/haproxy/checks.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <utility>

#include "base/text.hpp"

namespace evnf::elb::haproxy
{

namespace
{

constexpr const char *by_script = "elb has no such check; a script can make it";

class Asked
{
public:
    Asked(const Proxy &backend, Findings &findings) : backend_(backend), findings_(findings) {}

    Question read()
    {
        const Directive *option = nullptr;
        for (const auto &d : backend_.directives)
            if (d.line.word(0) == "option" && is_check_option(d.line.word(1)))
                option = d.no ? nullptr : &d;
        const std::string kind = option ? option->line.word(1) : "";
        if (kind == "httpchk")
            http(option->line);
        else if (option && kind != "tcp-check")
            findings_.refuse(backend_.text(), option->line, 1, kind + ": " + by_script);
        for (const auto &d : backend_.directives) {
            const bool counts = !d.no && ((d.line.word(0) == "http-check" && kind == "httpchk") ||
                                          (d.line.word(0) == "tcp-check" && kind == "tcp-check"));
            if (counts)
                rule(d.line);
        }
        if (const auto *t = backend_.last("timeout", "check")) {
            auto seconds = parse_time(t->line.word(2));
            if (seconds)
                out_.timeout = *seconds;
            else
                findings_.refuse(backend_.text(), t->line, 1, seconds.error().what);
        }
        return std::move(out_);
    }

private:
    void refuse(const Line &line, std::size_t word, const std::string &why)
    {
        findings_.refuse(backend_.text(), line, word, why);
    }

    void method(const Line &line, std::size_t word)
    {
        const std::string text = line.word(word);
        if (text != "GET" && text != "HEAD" && text != "OPTIONS")
            refuse(line, word, "elb asks by GET, HEAD or OPTIONS, not by " + text);
        out_.more["method"] = text;
    }

    void header(const Line &line, std::size_t word, std::string name, const std::string &value)
    {
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        if (name != "host")
            return refuse(line, word, "elb's checks send no header " + in_quotes(name));
        out_.more["host"] = value;
    }

    // option httpchk [METHOD] [URI] [VERSION, and maybe headers behind it]
    void http(const Line &line)
    {
        out_.type = "http";
        out_.more["method"] = "OPTIONS";
        const auto &w = line.words;
        if (w.size() == 3)
            out_.more["path"] = w[2].text;
        if (w.size() > 3) {
            method(line, 2);
            out_.more["path"] = w[3].text;
        }
        if (w.size() > 4)
            version(line, 4);
        if (w.size() > 5)
            refuse(line, 5, "nothing comes after the version");
    }

    // "HTTP/1.1\r\nHost: www"
    void version(const Line &line, std::size_t word)
    {
        std::istringstream in(line.word(word));
        std::string text;
        std::getline(in, text); // the version: elb has its own
        while (std::getline(in, text)) {
            if (text.ends_with("\r"))
                text.pop_back();
            const auto colon = std::min(text.find(':'), text.size());
            const auto value = text.find_first_not_of(' ', colon + 1);
            header(line, word, text.substr(0, colon), value == text.npos ? "" : text.substr(value));
        }
    }

    void rule(const Line &line)
    {
        const std::string kind = line.word(1);
        if (kind == "comment")
            return;
        if (kind == "connect" && line.words.size() == 2)
            return;
        if (line.word(0) == "tcp-check")
            return refuse(
                line, 1, "elb's check of TCP connects, and says and expects nothing: a script can");
        if (kind == "send")
            send(line);
        else if (kind == "expect")
            expect(line);
        else
            refuse(line, 1, "http-check " + kind + ": " + by_script);
    }

    void send(const Line &line)
    {
        for (std::size_t i = 2; i < line.words.size(); i += 2) {
            const std::string word = line.word(i);
            const std::string value = line.word(i + 1);
            if (word == "meth")
                method(line, i + 1);
            else if (word == "uri")
                out_.more["path"] = value;
            else if (word == "ver")
                continue;
            else if (word == "hdr") {
                ++i; // a name and a value
                header(line, i, value, line.word(i + 1));
            } else
                return refuse(line, i, "elb's checks send no " + word);
        }
    }

    void expect(const Line &line)
    {
        const std::string kind = line.word(2);
        const std::string value = line.word(3);
        if (line.words.size() != 4)
            return refuse(line, line.words.size() > 4 ? 4 : 1, by_script);
        if (std::exchange(expects_, true))
            return refuse(line, 1, "elb's checks expect one thing");
        if (kind != "status")
            out_.more["status"] = "100-599"; // HAProxy then looks at no status
        if (kind == "status")
            status(line, value);
        else if (kind == "string")
            out_.more["body"] = value;
        else if (kind == "rstring")
            pattern(line, value);
        else
            refuse(line, 2, "http-check expect " + kind + ": " + by_script);
    }

    // "200,204,300-399"
    void status(const Line &line, const std::string &value)
    {
        json list = json::array();
        std::istringstream in(value);
        for (std::string one; std::getline(in, one, ',');) {
            if (one.empty() || one.find_first_not_of("0123456789-") != one.npos)
                return refuse(line, 3, in_quotes(one) + " is no status");
            list.push_back(one);
        }
        out_.more["status"] = std::move(list);
    }

    // elb's patterns are POSIX's; those of HAProxy have more.
    void pattern(const Line &line, const std::string &value)
    {
        for (std::size_t i = 0; i + 1 < value.size(); ++i) {
            const auto next = static_cast<unsigned char>(value[i + 1]);
            if ((value[i] == '\\' && std::isalnum(next)) ||
                (next == '?' && std::string_view("(*+?}").find(value[i]) != std::string_view::npos))
                return refuse(line, 3,
                              in_quotes(value.substr(i, 2)) +
                                  " means something else in a POSIX expression");
        }
        out_.more["body_regex"] = value;
    }

    const Proxy &backend_;
    Findings &findings_;
    Question out_;
    bool expects_ = false;
};

} // namespace

Question read_question(const Proxy &backend, Findings &findings)
{
    return Asked(backend, findings).read();
}

json health_table(const Server &server, const Question &question)
{
    if (!server.check)
        return {{"type", "none"}};
    json out = question.more;
    const bool tls = server.check_ssl && question.type == "http";
    out["type"] = tls ? "https" : question.type;
    out["interval"] = server.inter;
    out["timeout"] = std::min(question.timeout.value_or(server.inter), server.inter);
    out["rise"] = server.rise;
    out["fall"] = server.fall;
    if (server.slow_start > 0)
        out["slow_start"] = server.slow_start;
    if (server.resets)
        out["on_down"] = "reset";
    if (server.check_port)
        out["port"] = *server.check_port;
    if (tls) {
        out["verify"] = server.verify;
        if (!server.ca_file.empty())
            out["ca_file"] = server.ca_file;
    }
    return out;
}

} // namespace evnf::elb::haproxy
