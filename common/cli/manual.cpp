// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/manual.hpp"

#include <algorithm>
#include <cctype>

namespace evnf::cli
{

namespace
{

// As roff prints it: a hyphen that can be copied, no line that is taken for a request.
std::string escaped(const std::string &text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool begins = i == 0 || text[i - 1] == '\n';
        if (begins && (text[i] == '.' || text[i] == '\''))
            out += "\\&";
        if (text[i] == '\\')
            out += "\\e";
        else if (text[i] == '-')
            out += "\\-";
        else
            out += text[i];
    }
    return out;
}

std::string bold(const std::string &text)
{
    return "\\fB" + escaped(text) + "\\fR";
}

std::string italic(const std::string &text)
{
    return "\\fI" + escaped(text) + "\\fR";
}

std::vector<const CLI::App *> commands_of(const CLI::App &app)
{
    auto all = app.get_subcommands([](const CLI::App *sub) { return !sub->get_group().empty(); });
    return {all.begin(), all.end()};
}

std::string path_of(const CLI::App &app)
{
    const auto *parent = app.get_parent();
    return (parent ? path_of(*parent) + " " : "") + app.get_name();
}

std::string page_of(const CLI::App &app)
{
    std::string page = path_of(app);
    std::replace(page.begin(), page.end(), ' ', '-');
    return page;
}

bool takes_more(const CLI::Option &option)
{
    return option.get_expected_max() > 1;
}

std::string usage(const CLI::App &app)
{
    std::string out = bold(path_of(app));
    const auto options = app.get_options([&app](const CLI::Option *option) {
        return !option->get_positional() && !option->get_group().empty() &&
               option != app.get_help_ptr();
    });
    if (!options.empty())
        out += " [" + italic("OPTION") + "...]";
    for (const auto *option : app.get_options())
        if (option->get_positional() && !option->get_group().empty()) {
            const std::string word =
                italic(option->get_name(true)) + (takes_more(*option) ? "..." : "");
            out += option->get_required() ? " " + word : " [" + word + "]";
        }
    if (!commands_of(app).empty())
        out += " " + italic("COMMAND") + " ...";
    return out;
}

std::string entry(const CLI::Option &option)
{
    std::string names;
    if (option.get_positional())
        names = italic(option.get_name(true));
    for (const auto &name : option.get_snames())
        names += (names.empty() ? "" : ", ") + bold("-" + name);
    for (const auto &name : option.get_lnames())
        names += (names.empty() ? "" : ", ") + bold("--" + name);
    if (!option.get_positional() && option.get_items_expected_max() > 0)
        names += " " + italic(option.get_type_name());
    std::string text = option.get_description();
    if (!option.get_default_str().empty())
        text += (text.empty() ? "" : "; ") + ("without it " + option.get_default_str());
    return ".TP\n" + names + "\n" + escaped(text.empty() ? "See above." : text + ".") + "\n";
}

std::string entries(const CLI::App &app)
{
    std::string out;
    for (const bool positional : {true, false})
        for (const auto *option : app.get_options())
            if (option->get_positional() == positional && !option->get_group().empty() &&
                option != app.get_help_ptr())
                out += entry(*option);
    return out;
}

std::string sentence(std::string text)
{
    if (!text.empty() && text.back() != '.')
        text += '.';
    return escaped(text);
}

// Text whose lines are as they should be.
std::string as_it_is(const std::string &text)
{
    return text.empty() ? "" : ".PP\n.EX\n" + escaped(text) + "\n.EE\n";
}

// A command and those below it, save for those that have a page of their own.
std::string described(const CLI::App &app)
{
    std::string out;
    const auto below = commands_of(app);
    if (below.empty())
        out += ".SS " + usage(app) + "\n" + sentence(app.get_description()) + "\n" + entries(app) +
               as_it_is(app.get_footer());
    else if (app.get_parent() && !app.get_parent()->get_parent())
        out += ".SS " + usage(app) + "\n" + sentence(app.get_description()) + "\nSee " +
               bold(page_of(app)) + "(1).\n";
    else
        for (const auto *sub : below)
            out += described(*sub);
    return out;
}

const CLI::App *find_page(const CLI::App &app, const std::string &page)
{
    if (page_of(app) == page)
        return &app;
    for (const auto *sub : commands_of(app))
        if (page_of(*sub) == page)
            return sub;
    return nullptr;
}

} // namespace

std::vector<std::string> manual_pages(const CLI::App &app)
{
    std::vector<std::string> out{page_of(app)};
    for (const auto *sub : commands_of(app))
        out.push_back(page_of(*sub));
    return out;
}

std::string manual_page(const CLI::App &app, const std::string &page, const std::string &section)
{
    const CLI::App *at = find_page(app, page);
    if (!at)
        return "";
    std::string title = page;
    std::transform(title.begin(), title.end(), title.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    std::string what = at->get_description();
    if (const auto colon = what.find(": "); colon != what.npos)
        what.erase(0, colon + 2); // "evnf: steers …"
    std::string out = ".TH " + title + " " + section + " \"\" \"eVNF " EVNF_VERSION "\" eVNF\n" +
                      ".SH NAME\n" + escaped(page) + " \\- " + escaped(what) + "\n.SH SYNOPSIS\n" +
                      usage(*at) + "\n";
    const std::string options = entries(*at);
    if (!options.empty())
        out += ".SH OPTIONS\n" + options;
    std::string commands;
    for (const auto *sub : commands_of(*at))
        commands += described(*sub);
    if (!commands.empty())
        out += ".SH COMMANDS\n" + commands;
    if (!at->get_footer().empty())
        out += ".SH NOTES\n" + as_it_is(at->get_footer());
    if (at->get_parent())
        out +=
            ".PP\nThe options of " + bold(page_of(*at->get_parent())) + "(1) may stand anywhere.\n";
    out += ".SH EXIT STATUS\n0: done. 1: it failed. 2: the input is wrong, and changed nothing.\n";
    out += ".SH SEE ALSO\n";
    std::string others;
    for (const auto *other : {"evnf(1)", "evnfd(8)", "evnf.toml(5)"})
        if (!std::string(other).starts_with(page + "("))
            others += (others.empty() ? "" : ", ") + bold(std::string(other));
    return out + others + "\n";
}

} // namespace evnf::cli
