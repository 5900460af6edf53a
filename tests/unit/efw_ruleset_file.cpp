// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "vnfs/efw/analysis_view.hpp"
#include "vnfs/efw/ruleset_file.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

class Folder
{
public:
    Folder() : path_(mkdtemp(name_)) {}
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;

    std::string put(const std::string &name, const std::string &text) const
    {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }

private:
    char name_[32] = "/tmp/evnf-rules-XXXXXX";
    std::string path_;
};

std::vector<std::string> texts(const NamedRuleset &r)
{
    std::vector<std::string> out;
    for (const auto &rule : r.ruleset.rules)
        out.push_back(text_of(rule));
    return out;
}

const std::vector<std::string> both{"priority 5 tcp dport 80 accept", "udp drop"};

} // namespace

TEST_CASE("a ruleset is read from text, TOML and JSON alike, in order of evaluation")
{
    const Folder folder;
    const auto text =
        folder.put("a.txt", "# a note\nudp drop\n\ndefault drop\npriority 5 tcp dport 80 accept\n");
    const auto toml = folder.put("a.toml", "[efw]\ndefault = \"drop\"\nrules = [\n  \"udp drop\",\n"
                                           "  \"priority 5 tcp dport 80 accept\",\n]\n");
    const auto json =
        folder.put("a.json", R"({"default": "drop", "rules": ["udp drop", {"id": 7, "counter": 1,
                      "rule": "priority 5 tcp dport 80 accept"}]})");
    for (const auto &path : {text, toml, json}) {
        INFO(path);
        auto r = read_ruleset(path, "efw");
        REQUIRE(r);
        CHECK(texts(*r) == both);
        CHECK(r->ruleset.otherwise == EFW_DROP);
    }
    CHECK(read_ruleset(text, "efw")->places == std::vector<std::string>{text + ":5", text + ":2"});
    CHECK(read_ruleset(toml, "efw")->places == std::vector<std::string>{toml + ":5", toml + ":4"});
    CHECK(read_ruleset(json, "efw")->places ==
          std::vector<std::string>{json + " rule 7", json + "/rules/0"});
}

TEST_CASE("another section of a configuration is named")
{
    const Folder folder;
    const auto path = folder.put("a.toml", "[edge]\nvnf = \"efw\"\nrules = [\"udp drop\"]\n");
    CHECK(read_ruleset(path, "edge"));
    auto r = read_ruleset(path, "efw");
    REQUIRE(!r);
    CHECK_THAT(r.error().what, Catch::Contains("there is no section [efw]"));
}

TEST_CASE("a wrong rule is shown at its place")
{
    const Folder folder;
    const auto text = folder.put("a.txt", "udp drop\n  tcp dportt 80 accept\n");
    const auto toml = folder.put("a.toml", "[efw]\nrules = [\"tcp dportt 80 accept\"]\n");
    for (const auto &path : {text, toml}) {
        auto r = read_ruleset(path, "efw");
        REQUIRE(!r);
        CHECK_THAT(r.error().what, Catch::StartsWith(path + ":2"));
        CHECK_THAT(r.error().what, Catch::Contains("^^^^^^"));
    }
    CHECK(read_ruleset(folder.put("b.txt", "default count\n"), "efw").error().what ==
          folder.put("b.txt", "") + ":1: the default is accept, drop, reject or slow");
    CHECK(read_ruleset("/nowhere/a.txt", "efw").error().what ==
          "read /nowhere/a.txt: No such file or directory");
}

TEST_CASE("what is found is told with its rules and a packet")
{
    auto r = ruleset_of_text("tcp drop\ntcp dport 22 accept\ndefault accept\n", "rules");
    REQUIRE(r);
    const auto found = lint_json(*r, analysis::lint(r->ruleset));
    CHECK(lint_text(found, 20) == "error: rules:2: tcp dport 22 accept\n"
                                  "  no packet reaches it: rules:1 takes all it means before\n"
                                  "  for instance tcp 198.51.100.7:4000 > 192.0.2.10:22 syn\n"
                                  "    meets rules:1: tcp drop\n"
                                  "2 rules: 1 finding\n");
    auto other = ruleset_of_text("tcp drop\n", "other");
    REQUIRE(other);
    const auto d = diff_json(*r, *other, analysis::diff(r->ruleset, other->ruleset));
    CHECK(diff_text(d) == "different: udp 198.51.100.7:4000 > 192.0.2.10:80\n"
                          "  rules:3: default accept\n"
                          "  other: default slow\n");
}
