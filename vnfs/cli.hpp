// SPDX-License-Identifier: GPL-2.0-or-later
// What a VNF's command-line verbs are to `evnf`: each VNF adds its own, and talks
// to the daemon only through the API.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf::cli
{

using json = nlohmann::json;

// What a verb works with; given by `evnf`.
class Context
{
public:
    virtual ~Context() = default;

    // One call to the daemon. `path` as in the OpenAPI file; `body` null for none.
    virtual Result<json> call(const std::string &method, const std::string &path,
                              const json &body = nullptr) = 0;
    // With --json prints `value`, else what `human` makes of it.
    virtual void print(const json &value,
                       const std::function<std::string(const json &)> &human) = 0;
    // A GET whose answer is a JSON object to a line, without end: prints the first `count`, or
    // all if it is 0, as they come.
    virtual void follow(const std::string &path, std::size_t count,
                        const std::function<std::string(const json &)> &human) = 0;
    // The verb ends in failure: prints the error, with a caret under the word at
    // fault if `input` is the text it is about; the command exits 1, or 2 for input.
    virtual void fail(const Error &error, const std::string &input = {}) = 0;
    // The verb ends with an exit code of its own: for verbs that answer a question.
    virtual void conclude(int exit_code) = 0;
};

// Rows as a table with aligned columns; the first row is the heading.
std::string table(const std::vector<std::vector<std::string>> &rows);

// A call of the API.
struct Call {
    std::string method;
    std::string path;
    json body;
};

// A VNF's verbs: `add` hangs a subcommand of the VNF's name on `app`.
struct Verbs {
    std::string vnf;
    std::function<void(CLI::App &app, Context &context)> add;
    // What is to be done for a section once a file with it has been applied; read before, so
    // that what is wrong with it changes nothing. Not every VNF has this.
    std::function<Result<std::vector<Call>>(const json &section)> apply = {};
};
const std::vector<Verbs> &all_verbs();
struct VerbsRegistration {
    explicit VerbsRegistration(Verbs verbs);
};

} // namespace evnf::cli
