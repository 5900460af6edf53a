// SPDX-License-Identifier: GPL-2.0-or-later
// `evnf edpi …`.
#include <chrono>
#include <memory>
#include <thread>

#include "vnfs/edpi/cli_words.hpp"
#include "vnfs/edpi/inspector.hpp"

namespace evnf::edpi
{

namespace
{

using cli::Context;
using cli::json;

std::string number(const json &value)
{
    return value.is_null() ? "0" : value.dump();
}

std::string endpoint(const json &flow, const std::string &end)
{
    const std::string address = flow[end];
    const auto port = flow.find(end + "_port");
    if (port == flow.end())
        return address;
    const bool v6 = address.find(':') != std::string::npos;
    return (v6 ? "[" + address + "]" : address) + ":" + number(*port);
}

struct Wanted {
    std::vector<std::pair<std::string, std::shared_ptr<std::string>>> words;

    void add(CLI::App *verb, const std::string &key, const char *help)
    {
        words.emplace_back(key, std::make_shared<std::string>());
        verb->add_option("--" + key, *words.back().second, help);
    }
    [[nodiscard]] std::string query(const std::string &from) const
    {
        std::string out = "?from=" + from;
        for (const auto &[key, value] : words)
            if (!value->empty())
                out += "&" + key + "=" + *value;
        return out;
    }
};

// All of them, which come in pages.
void flows(Context &context, const Wanted &wanted)
{
    json all = json::array();
    for (std::string from = "0"; !from.empty();) {
        auto page = context.call("GET", "/v1/edpi/flows" + wanted.query(from));
        if (!page)
            return context.fail(page.error());
        for (auto &row : (*page)["flows"])
            all.push_back(std::move(row));
        from = page->contains("next") ? (*page)["next"].dump() : "";
    }
    context.print(all, flows_text);
}

void flow_show(Context &context, const std::string &id)
{
    auto flow = context.call("GET", "/v1/edpi/flows/" + id);
    if (!flow)
        return context.fail(flow.error());
    context.print(*flow, flow_text);
}

void protocols(Context &context, const std::string &file)
{
    auto inspector = Inspector::make(file, {}, 1);
    if (!inspector)
        return context.fail(inspector.error());
    json rows = json::array();
    for (const auto &p : (*inspector)->protocols())
        rows.push_back(
            {{"id", p.id}, {"name", p.name}, {"category", p.category}, {"breed", p.breed}});
    context.print(rows, [](const json &all) {
        std::vector<std::vector<std::string>> out{{"ID", "NAME", "CATEGORY", "BREED"}};
        for (const auto &p : all)
            out.push_back({number(p["id"]), p["name"], p["category"], p["breed"]});
        return cli::table(out);
    });
}

struct Top {
    double interval = 2;
    unsigned count = 0;
    unsigned lines = 20;
};

// What has changed from `before` to `now`, for each second.
json rates(const json &before, const json &now, double seconds)
{
    std::map<std::string, json> old;
    for (const auto &row : before["applications"])
        old[row["application"]] = row;
    const auto rate = [&](const json &row, const json *then, const char *key) {
        const double passed = row[key].get<double>() - (then ? (*then)[key].get<double>() : 0.0);
        return passed > 0 ? passed / seconds : 0.0; // open flows move to what they turn out to be
    };
    json rows = json::array();
    for (auto row : now["applications"]) {
        const auto then = old.find(row["application"]);
        const json *was = then == old.end() ? nullptr : &then->second;
        row["bits_per_second"] = 8 * rate(row, was, "bytes");
        row["packets_per_second"] = rate(row, was, "packets");
        rows.push_back(std::move(row));
    }
    std::sort(rows.begin(), rows.end(), [](const json &a, const json &b) {
        return std::pair(a["bits_per_second"].get<double>(), a["bytes"].get<double>()) >
               std::pair(b["bits_per_second"].get<double>(), b["bytes"].get<double>());
    });
    json out = now;
    out["applications"] = std::move(rows);
    return out;
}

std::string fixed(const json &value, double unit)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value.get<double>() / unit);
    return text;
}

std::string top_text(const json &now, unsigned lines)
{
    std::vector<std::vector<std::string>> rows{
        {"APPLICATION", "CATEGORY", "MBIT/S", "PACKETS/S", "ACTIVE", "FLOWS", "PACKETS", "BYTES"}};
    for (const auto &row : now["applications"]) {
        if (rows.size() > lines)
            break;
        rows.push_back({row["application"], row["category"], fixed(row["bits_per_second"], 1e6),
                        fixed(row["packets_per_second"], 1), number(row["active"]),
                        number(row["flows"]), number(row["packets"]), number(row["bytes"])});
    }
    return number(now["flows"]) + " flows, " + number(now["inspected"]) + " inspected, " +
           number(now["unaccounted"]["packets"]) + " packets unaccounted\n" + cli::table(rows);
}

void top(Context &context, const Top &asked)
{
    auto before = context.call("GET", "/v1/edpi/applications");
    for (unsigned shown = 0; before && (!asked.count || shown < asked.count); ++shown) {
        std::this_thread::sleep_for(std::chrono::duration<double>(asked.interval));
        auto now = context.call("GET", "/v1/edpi/applications");
        if (!now)
            return context.fail(now.error());
        context.print(rates(*before, *now, asked.interval),
                      [&](const json &all) { return top_text(all, asked.lines); });
        before = std::move(now);
    }
    if (!before)
        context.fail(before.error());
}

void add_flow_verbs(CLI::App *edpi, Context &context)
{
    auto *list = edpi->add_subcommand("flows", "The flows in the table");
    auto wanted = std::make_shared<Wanted>();
    wanted->add(list, "address", "Only those from or to this one");
    wanted->add(list, "port", "Only those from or to this one");
    wanted->add(list, "protocol", "Only of this one: tcp, udp, … or a number");
    wanted->add(list, "application",
                "Only of this one, or a part of its name: Google of TLS.Google");
    wanted->add(list, "host", "Only those whose server's name has these letters");
    wanted->add(list, "state", "Only those that are new, sampling, classified or \"given up\"");
    list->callback([&context, wanted] { flows(context, *wanted); });

    auto *flow = edpi->add_subcommand("flow", "One flow")->require_subcommand(1);
    auto *show = flow->add_subcommand("show", "All that is known of it");
    auto id = std::make_shared<std::string>();
    show->add_option("ID", *id, "As `flows` has it")->required();
    show->callback([&context, id] { flow_show(context, *id); });
}

void add_verbs(CLI::App &app, Context &context)
{
    auto *edpi = app.add_subcommand("edpi", "The classifier")->require_subcommand(1);
    add_flow_verbs(edpi, context);

    auto *list = edpi->add_subcommand("protocols", "The applications that nDPI knows");
    auto file = std::make_shared<std::string>();
    list->add_option("--protocols", *file, "With those of a file, as in the section's protocols");
    list->callback([&context, file] { protocols(context, *file); });

    auto *rates = edpi->add_subcommand("top", "Applications by what passes now");
    auto asked = std::make_shared<Top>();
    rates->add_option("--interval", asked->interval, "Seconds between looks; 2 if not given")
        ->check(CLI::Range(0.1, 3600.0));
    rates->add_option("--count", asked->count, "Looks; without it, until Ctrl-C");
    rates->add_option("--lines", asked->lines, "Applications shown, at most; 20 if not given");
    rates->callback([&context, asked] { top(context, *asked); });

    auto *records = edpi->add_subcommand("records", "The records of flows, as they are written");
    auto count = std::make_shared<std::size_t>(0);
    records->add_option("--count", *count, "So many; without it, until Ctrl-C");
    records->callback([&context, count] {
        context.follow("/v1/edpi/records", *count, [](const json &r) { return r.dump() + "\n"; });
    });
    add_policy_verbs(*edpi, context);
    add_read_verb(*edpi, context);
}

const cli::VerbsRegistration registration({"edpi", add_verbs});

} // namespace

std::string flows_text(const json &flows)
{
    std::vector<std::vector<std::string>> rows{{"ID", "PROTOCOL", "SOURCE", "DESTINATION",
                                                "APPLICATION", "HOST", "PACKETS", "BYTES",
                                                "PACKETS-BACK", "BYTES-BACK"}};
    for (const auto &f : flows)
        rows.push_back({f["id"], f["protocol"], endpoint(f, "source"), endpoint(f, "destination"),
                        f["application"], f.value("host", "-"), number(f["packets"]),
                        number(f["bytes"]), number(f["packets_back"]), number(f["bytes_back"])});
    return cli::table(rows);
}

std::string flow_text(const json &flow)
{
    std::vector<std::vector<std::string>> rows;
    for (const auto &[key, value] : flow.items())
        if (value.is_object())
            for (const auto &[name, inner] : value.items())
                rows.push_back({key + "." + name,
                                inner.is_string() ? inner.get<std::string>() : inner.dump()});
        else
            rows.push_back({key, value.is_string() ? value.get<std::string>() : value.dump()});
    return cli::table(rows);
}

} // namespace evnf::edpi
