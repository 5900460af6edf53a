// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/cli_sets.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "base/text.hpp"
#include "vnfs/efw/set_file.hpp"

namespace evnf::efw
{

namespace
{

using cli::Context;
using cli::json;

constexpr const char *element_help =
    "An element is, by the set's type, an address or prefix of either family (addr), a port\n"
    "(port), or an address with a port (addr_port), as 192.0.2.1:80 or [2001:db8::1]:80. What is\n"
    "there already, or not there, does no harm. All of the elements are changed, or none is.";

constexpr std::size_t worth_telling = 50'000; // elements

std::string path_of(const std::string &set)
{
    return "/v1/efw/sets/" + set;
}

// A line that the next one takes the place of; only for a person who waits.
void progress(const std::string &text)
{
    if (::isatty(STDERR_FILENO))
        std::cerr << "\r\x1b[K" << text << std::flush;
}

std::string changed_text(const json &reply)
{
    return std::to_string(reply["added"].get<std::size_t>()) + " added, " +
           std::to_string(reply["removed"].get<std::size_t>()) + " removed, " +
           std::to_string(reply["count"].get<std::size_t>()) + " in the set\n";
}

void list(Context &context)
{
    auto sets = context.call("GET", "/v1/efw/sets");
    if (!sets)
        return context.fail(sets.error());
    context.print(*sets, [](const json &shown) {
        std::vector<std::vector<std::string>> rows{{"NAME", "TYPE", "ELEMENTS", "SIZE"}};
        for (const auto &set : shown)
            rows.push_back({set["name"], set["type"], set["count"].dump(), set["size"].dump()});
        return cli::table(rows);
    });
}

json body_of(const std::vector<match_set_element> &elements, SetType type)
{
    json out{{"elements", json::array()}};
    for (const auto &e : elements)
        out["elements"].push_back(element_text(e, type));
    return out;
}

// The set with all its elements, in order, which come in pages.
Result<json> whole(Context &context, const std::string &name)
{
    json out;
    std::vector<std::string> texts;
    std::string from;
    do {
        auto page = context.call("GET", path_of(name) + from);
        if (!page)
            return page;
        for (auto &text : (*page)["elements"])
            texts.push_back(std::move(text.get_ref<std::string &>()));
        from = page->contains("next") ? "?from=" + (*page)["next"].dump() : "";
        if (texts.size() > worth_telling)
            progress("read " + std::to_string(texts.size()) + " of " + (*page)["count"].dump());
        page->erase("next");
        page->erase("elements");
        out = *std::move(page);
    } while (!from.empty());
    if (texts.size() > worth_telling)
        progress("");
    const auto type = parse_set_type(out["type"].get<std::string>());
    std::vector<std::pair<match_set_element, std::string>> sorted;
    for (auto &text : texts)
        if (const auto e = parse_element(text, type.value_or(SetType::addr)))
            sorted.emplace_back(*e, std::move(text));
    std::sort(sorted.begin(), sorted.end(),
              [](const auto &a, const auto &b) { return ElementBefore()(a.first, b.first); });
    json elements = json::array();
    for (auto &[e, text] : sorted)
        elements.push_back(std::move(text));
    out["elements"] = std::move(elements);
    return out;
}

void show(Context &context, const std::string &name)
{
    auto set = whole(context, name);
    if (!set)
        return context.fail(set.error());
    context.print(*set, [](const json &shown) {
        std::string out;
        for (const auto &text : shown["elements"])
            out += text.get_ref<const std::string &>() + "\n";
        return out;
    });
}

void change(Context &context, const std::string &name, const char *key,
            const std::vector<std::string> &elements)
{
    auto reply = context.call("POST", path_of(name) + "/elements", {{key, elements}});
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, changed_text);
}

Result<SetType> type_of(Context &context, const std::string &name)
{
    auto sets = context.call("GET", "/v1/efw/sets");
    if (!sets)
        return sets.error();
    for (const auto &set : *sets)
        if (set["name"] == name)
            if (const auto type = parse_set_type(set["type"].get<std::string>()))
                return *type;
    return Error{.code = ENOENT, .what = "there is no set " + in_quotes(name)};
}

void replace(Context &context, const std::string &name, const std::string &path)
{
    auto type = type_of(context, name);
    if (!type)
        return context.fail(type.error());
    auto elements = read_set_file(path, *type); // here, so that the place can be shown
    if (!elements) {
        Error e = elements.error();
        e.what = e.message();
        return context.fail(e);
    }
    if (elements->size() > worth_telling)
        progress("sending " + std::to_string(elements->size()) + " elements");
    auto reply = context.call("PUT", path_of(name) + "/elements", body_of(*elements, *type));
    if (elements->size() > worth_telling)
        progress("");
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, changed_text);
}

void flush(Context &context, const std::string &name)
{
    auto reply = context.call("PUT", path_of(name) + "/elements", {{"elements", json::array()}});
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, changed_text);
}

void test(Context &context, const std::string &name, const std::string &of)
{
    auto reply = context.call("POST", path_of(name) + "/test", {{"of", of}});
    if (!reply)
        return context.fail(reply.error(), of);
    context.print(*reply, [&](const json &shown) {
        return shown["member"]
                   ? of + " is in " + name + ", by " + shown["by"].get<std::string>() + "\n"
                   : of + " is not in " + name + "\n";
    });
}

// A verb that is about one set, and maybe more words.
CLI::App *add_verb(CLI::App &set, const char *verb, const char *help,
                   const std::shared_ptr<std::string> &name)
{
    auto *app = set.add_subcommand(verb, help);
    app->add_option("NAME", *name, "The set's name")->required();
    return app;
}

void add_change(CLI::App &set, Context &context, const char *verb, const char *help,
                const char *key)
{
    auto name = std::make_shared<std::string>();
    auto elements = std::make_shared<std::vector<std::string>>();
    auto *app = add_verb(set, verb, help, name);
    app->add_option("ELEMENT", *elements, "Elements")->required();
    app->footer(element_help);
    app->callback([&context, name, elements, key] { change(context, *name, key, *elements); });
}

std::string string_at(const json &table, const char *key)
{
    return table.contains(key) && table[key].is_string() ? table[key].get<std::string>() : "";
}

} // namespace

// What is no good as a section is for the daemon to say.
Result<std::vector<cli::Call>> set_files(const json &section)
{
    std::vector<cli::Call> out;
    if (!section.is_object() || !section.contains("sets") || !section["sets"].is_object())
        return out;
    for (const auto &[name, set] : section["sets"].items()) {
        if (!set.is_object())
            continue;
        const auto type = parse_set_type(string_at(set, "type"));
        const std::string path = string_at(set, "file");
        if (!type || !path.starts_with('/'))
            continue;
        auto elements = read_set_file(path, *type);
        if (!elements)
            return elements.error();
        out.push_back({"PUT", path_of(name) + "/elements", body_of(*elements, *type)});
    }
    return out;
}

void add_set_verbs(CLI::App &efw, Context &context)
{
    auto *set = efw.add_subcommand("set", "The elements of its sets")->require_subcommand(1);
    set->add_subcommand("list", "The sets, and how many elements they have")->callback([&context] {
        list(context);
    });
    auto shown = std::make_shared<std::string>();
    add_verb(*set, "show", "Print the elements", shown)->callback([&context, shown] {
        show(context, *shown);
    });
    add_change(*set, context, "add", "Add elements", "add");
    add_change(*set, context, "del", "Remove elements", "del");

    auto replaced = std::make_shared<std::string>();
    auto path = std::make_shared<std::string>();
    auto *with = add_verb(*set, "replace", "Make the elements those of a file", replaced);
    with->add_option("FILE", *path, "One element on each line; - for the standard input")
        ->required();
    with->footer("What follows a # is a comment. Elements that stay are there all the time.");
    with->callback([&context, replaced, path] { replace(context, *replaced, *path); });

    auto flushed = std::make_shared<std::string>();
    add_verb(*set, "flush", "Remove all elements", flushed)->callback([&context, flushed] {
        flush(context, *flushed);
    });

    auto tested = std::make_shared<std::string>();
    auto of = std::make_shared<std::string>();
    auto *tests =
        add_verb(*set, "test", "Whether an address is in it, and by which element", tested);
    tests->add_option("ADDRESS", *of, "An address, port or pair, as the set's type is")->required();
    tests->callback([&context, tested, of] { test(context, *tested, *of); });
}

} // namespace evnf::efw
