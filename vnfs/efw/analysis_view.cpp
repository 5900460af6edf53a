// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis_view.hpp"

namespace evnf::efw
{

namespace
{

using analysis::Fault;
using analysis::Severity;
using nlohmann::json;

constexpr std::size_t most_named = 5; // rules in one line

std::string_view fault_word(Fault fault)
{
    switch (fault) {
    case Fault::never:
        return "never";
    case Fault::shadowed:
        return "shadowed";
    case Fault::repeated:
        return "repeated";
    case Fault::redundant:
        return "redundant";
    case Fault::useless_part:
        return "useless_part";
    case Fault::overlap:
        return "overlap";
    }
    return "";
}

std::string_view severity_word(Severity severity)
{
    return severity == Severity::error     ? "error"
           : severity == Severity::warning ? "warning"
                                           : "info";
}

json rule_json(const NamedRuleset &r, std::uint32_t i)
{
    const auto &rules = r.ruleset.rules;
    if (i == rules.size())
        return {{"place", r.default_place},
                {"rule", "default " + std::string(action_text(r.ruleset.otherwise))},
                {"action", action_text(r.ruleset.otherwise)}};
    return {{"place", r.places[i]},
            {"rule", text_of(rules[i])},
            {"action", action_text(rules[i].action)}};
}

json rules_json(const NamedRuleset &r, const std::vector<std::uint32_t> &rules)
{
    json out = json::array();
    for (const auto i : rules)
        out.push_back(rule_json(r, i));
    return out;
}

std::string str(const json &value)
{
    return value.get<std::string>();
}

std::string line_of(const json &rule)
{
    return str(rule["place"]) + ": " + str(rule["rule"]);
}

std::string places(const json &rules)
{
    std::string out;
    for (std::size_t i = 0; i < rules.size() && i < most_named; ++i)
        out += (i ? ", " : "") + str(rules[i]["place"]);
    if (rules.size() > most_named)
        out += " and " + std::to_string(rules.size() - most_named) + " more";
    return out;
}

std::string sentence(const json &finding)
{
    const std::string fault = str(finding["fault"]);
    const json &by = finding["by"];
    if (fault == "never")
        return "no packet can be what it asks for";
    if (fault == "shadowed")
        return "no packet reaches it: " + places(by) +
               (by.size() > 1 ? " together take" : " takes") + " all it means before";
    if (fault == "repeated")
        return "no packet reaches it: what it does is done by " + places(by) + " before";
    if (fault == "redundant")
        return "without it the same becomes of every packet: " + places(by) + " does it after it";
    if (fault == "useless_part")
        return str(finding["part"]) + " in it does nothing: " +
               (by.empty() ? "no packet has it" : places(by) + " takes that before");
    return places(by) + (by.size() > 1 ? " take" : " takes") +
           " some of what it means before it, to another action";
}

std::string finding_text(const json &finding)
{
    std::string out = str(finding["severity"]) + ": " + line_of(finding["rule"]) + "\n  " +
                      sentence(finding) + "\n";
    if (finding.contains("witness"))
        out += "  for instance " + str(finding["witness"]) + "\n    meets " +
               line_of(finding["decided_by"]) + "\n";
    return out;
}

std::string question(const std::string &fault)
{
    return fault == "redundant"      ? "whether it is needed"
           : fault == "useless_part" ? "whether all it lists does something"
           : fault == "overlap"      ? "whether earlier rules take some of what it means"
                                     : "whether any packet reaches it";
}

json fate_json(const NamedRuleset &r, const analysis::Fate &fate)
{
    json out = rule_json(r, fate.rule);
    out["before"] = rules_json(r, fate.before);
    return out;
}

std::string fate_text(const json &fate)
{
    std::string out;
    for (const auto &rule : fate["before"])
        out += "  " + line_of(rule) + "  (passes some on)\n";
    return out + "  " + line_of(fate) + "\n";
}

std::string count_text(std::size_t n, const std::string &thing)
{
    return std::to_string(n) + " " + thing + (n == 1 ? "" : "s");
}

} // namespace

json lint_json(const NamedRuleset &rules, const analysis::Lint &lint)
{
    json findings = json::array(), undecided = json::array();
    for (const auto &f : lint.findings) {
        json out{{"fault", fault_word(f.fault)},
                 {"severity", severity_word(severity_of(f.fault))},
                 {"rule", rule_json(rules, f.rule)},
                 {"by", rules_json(rules, f.others)}};
        if (!f.part.empty())
            out["part"] = f.part;
        if (f.witness) {
            out["witness"] = text_of(*f.witness);
            out["decided_by"] = rule_json(rules, f.decider);
        }
        findings.push_back(std::move(out));
    }
    for (const auto &u : lint.undecided)
        undecided.push_back(
            {{"rule", rule_json(rules, u.rule)}, {"question", fault_word(u.question)}});
    return {
        {"rules", rules.ruleset.rules.size()}, {"findings", findings}, {"undecided", undecided}};
}

std::string lint_text(const json &lint, std::size_t infos)
{
    std::string out;
    std::size_t bad = 0, all_infos = 0;
    for (const auto &f : lint["findings"]) {
        const bool info = f["severity"] == "info";
        bad += !info;
        if (!info || all_infos++ < infos)
            out += finding_text(f);
    }
    for (const auto &u : lint["undecided"])
        out += "undecided: " + line_of(u["rule"]) + "\n  " + question(u["question"]) + "\n";
    out += count_text(lint["rules"], "rule") + ": " + count_text(bad, "finding");
    if (all_infos)
        out += ", " + count_text(all_infos, "overlap");
    if (all_infos > infos)
        out += " (--all shows each)";
    if (!lint["undecided"].empty())
        out += ", " + std::to_string(lint["undecided"].size()) + " undecided (more --steps may do)";
    return out + "\n";
}

json diff_json(const NamedRuleset &a, const NamedRuleset &b, const analysis::Diff &diff)
{
    using Answer = analysis::Diff::Answer;
    json out{
        {"answer", diff.answer == Answer::equal       ? "equal"
                   : diff.answer == Answer::different ? "different"
                                                      : "undecided"},
        {"a", {{"name", a.name}, {"rules", a.ruleset.rules.size()}, {"unlike", diff.unlike_a}}},
        {"b", {{"name", b.name}, {"rules", b.ruleset.rules.size()}, {"unlike", diff.unlike_b}}}};
    if (diff.witness) {
        out["witness"] = text_of(*diff.witness);
        out["a"]["decided_by"] = fate_json(a, diff.a);
        out["b"]["decided_by"] = fate_json(b, diff.b);
    }
    return out;
}

std::string diff_text(const json &diff)
{
    const std::string answer = str(diff["answer"]);
    if (answer == "equal")
        return "equal: the same becomes of every packet\n";
    if (answer == "undecided")
        return "undecided: no difference was found, but not all could be looked at "
               "(more --steps may do)\n";
    return "different: " + str(diff["witness"]) + "\n" + fate_text(diff["a"]["decided_by"]) +
           fate_text(diff["b"]["decided_by"]);
}

} // namespace evnf::efw
