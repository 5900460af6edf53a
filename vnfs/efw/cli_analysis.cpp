// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/cli_analysis.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>

#include "vnfs/efw/analysis_view.hpp"

namespace evnf::efw
{

namespace
{

using cli::Context;
using cli::json;

// As diff(1) has them, and one more.
enum Exit { nothing = 0, something = 1, trouble = 2, undecided = 3 };

constexpr std::size_t usual_infos = 20;
constexpr const char *running = "running";

// How far it is, for people who wait; where nobody does, nothing is printed.
class ProgressLine
{
public:
    ProgressLine() : shown_(isatty(STDERR_FILENO) == 1) {}
    ProgressLine(const ProgressLine &) = delete;
    ProgressLine &operator=(const ProgressLine &) = delete;
    ~ProgressLine()
    {
        if (printed_)
            std::fputs("\r\x1b[K", stderr);
    }

    void at(std::size_t done, std::size_t all)
    {
        const auto now = std::chrono::steady_clock::now();
        if (!shown_ || now - last_ < std::chrono::milliseconds(500))
            return;
        std::fprintf(stderr, "\rrule %zu of %zu\x1b[K", done, all);
        std::fflush(stderr);
        last_ = now;
        printed_ = true;
    }

private:
    bool shown_, printed_ = false;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

struct Asked {
    std::string a, b;
    std::string section = "efw";
    std::uint64_t steps = 0; // 0: the usual
    bool all = false;
    bool counts = false;
};

Result<NamedRuleset> load(Context &context, const std::string &name, const std::string &section)
{
    if (name != running)
        return read_ruleset(name, section);
    auto reply = context.call("GET", "/v1/efw");
    if (!reply)
        return reply.error();
    return ruleset_of_section(*reply, running);
}

void give_up(Context &context, const Error &error)
{
    context.fail(error);
    context.conclude(trouble);
}

void lint_verb(Context &context, const Asked &asked)
{
    auto rules = load(context, asked.a, asked.section);
    if (!rules)
        return give_up(context, rules.error());
    json out;
    {
        ProgressLine line;
        analysis::LintOptions options;
        if (asked.steps)
            options.budget = asked.steps;
        options.progress = [&](std::uint32_t i) { line.at(i, rules->ruleset.rules.size()); };
        out = lint_json(*rules, analysis::lint(rules->ruleset, options));
    }
    const std::size_t infos = asked.all ? std::numeric_limits<std::size_t>::max() : usual_infos;
    context.print(out, [infos](const json &lint) { return lint_text(lint, infos); });
    bool bad = false;
    for (const auto &f : out["findings"])
        bad = bad || f["severity"] != "info";
    context.conclude(bad ? something : out["undecided"].empty() ? nothing : undecided);
}

void diff_verb(Context &context, const Asked &asked)
{
    auto a = load(context, asked.a, asked.section);
    if (!a)
        return give_up(context, a.error());
    auto b = load(context, asked.b, asked.section);
    if (!b)
        return give_up(context, b.error());
    analysis::Diff diff;
    {
        ProgressLine line;
        analysis::DiffOptions options{.counts = asked.counts};
        if (asked.steps)
            options.budget = asked.steps;
        options.progress = [&](std::size_t done, std::size_t all) { line.at(done, all); };
        diff = analysis::diff(a->ruleset, b->ruleset, options);
    }
    context.print(diff_json(*a, *b, diff), diff_text);
    using Answer = analysis::Diff::Answer;
    context.conclude(diff.answer == Answer::equal       ? nothing
                     : diff.answer == Answer::different ? something
                                                        : undecided);
}

constexpr const char *files_help =
    "A ruleset is 'running', or a file: a configuration or a section of it in TOML or JSON, or\n"
    "text with one rule on each line and 'default ACTION' on one of its own.\n";

void add_common(CLI::App &verb, Asked &asked)
{
    verb.add_option("--section", asked.section, "Which section of a file")->capture_default_str();
    verb.add_option("--steps", asked.steps, "Look so far and no further: 0 for as far as usual");
}

} // namespace

void add_analysis_verbs(CLI::App &efw, Context &context)
{
    auto *lint = efw.add_subcommand("lint", "Rules that do nothing, or not what they seem to");
    auto of_lint = std::make_shared<Asked>();
    of_lint->a = running;
    lint->add_option("FILE", of_lint->a, "A ruleset")->capture_default_str();
    lint->add_flag("--all", of_lint->all, "Show every overlap");
    add_common(*lint, *of_lint);
    lint->footer(
        std::string(files_help) +
        "Exits 0 if nothing was found but overlaps, 1 if something was, 2 if that failed,\n"
        "3 if nothing was found but not all could be decided.");
    lint->callback([&context, of_lint] { lint_verb(context, *of_lint); });

    auto *diff = efw.add_subcommand("diff", "Whether two rulesets do the same to every packet");
    auto of_diff = std::make_shared<Asked>();
    diff->add_option("A", of_diff->a, "A ruleset")->required();
    diff->add_option("B", of_diff->b, "Another one")->required();
    diff->add_flag("--counts", of_diff->counts, "Rules that count are to be the same too");
    add_common(*diff, *of_diff);
    diff->footer(std::string(files_help) +
                 "Exits 0 if they are equal, 1 if a packet shows that they are not, 2 if that\n"
                 "failed, 3 if it could not be decided.");
    diff->callback([&context, of_diff] { diff_verb(context, *of_diff); });
}

} // namespace evnf::efw
