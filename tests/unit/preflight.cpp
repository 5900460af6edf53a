// SPDX-License-Identifier: GPL-2.0-or-later
// What preflight makes of facts: those of real drivers, in tests/data/preflight, each with all
// warnings and errors that there are to be. A file says of itself whether it was taken from a
// running guest or composed of what is published of a driver.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "tools/preflight/driver.hpp"
#include "tools/preflight/gather.hpp"
#include "tools/preflight/judge.hpp"

namespace
{

using namespace evnf::preflight;
using nlohmann::json;

std::vector<std::filesystem::path> files()
{
    std::vector<std::filesystem::path> out;
    for (const auto &entry : std::filesystem::directory_iterator(TESTS_DATA "/preflight"))
        out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
}

json read(const std::filesystem::path &path)
{
    std::ifstream in(path);
    return json::parse(in);
}

json json_of(const Finding &f)
{
    json mend = json::array();
    for (const auto &command : f.mend)
        mend.push_back(text_of(command));
    return {{"subject", f.subject},
            {"check", f.check},
            {"level", text_of(f.level)},
            {"mend", mend},
            {"safe", f.safe}};
}

std::multiset<std::string> errors(const json &facts)
{
    std::multiset<std::string> out;
    for (const auto &f : judge(facts_from_json(facts)))
        if (f.level == Level::error)
            out.insert(f.subject + " " + f.check);
    return out;
}

} // namespace

TEST_CASE("facts of real drivers have the findings that they should")
{
    REQUIRE(files().size() > 20);
    for (const auto &path : files()) {
        INFO(path.filename());
        const json file = read(path);
        CHECK(file.at("source").get<std::string>().size() > 30); // where it is from
        std::vector<json> found;
        for (const auto &f : judge(facts_from_json(file.at("facts")))) {
            INFO(f.text);
            CHECK_FALSE(f.text.empty());
            CHECK((f.mend.empty() ? !f.safe : f.level != Level::ok)); // no order for what is good
            found.push_back(json_of(f));
        }
        auto wanted = file.at("expect").get<std::vector<json>>();
        for (const auto &f : found) {
            INFO(f);
            const auto it = std::find(wanted.begin(), wanted.end(), f);
            const bool silent = f["level"] == "ok" || f["level"] == "note";
            CHECK((it != wanted.end() || silent));
            if (it != wanted.end())
                wanted.erase(it);
        }
        INFO("not found: " << json(wanted));
        CHECK(wanted.empty());
    }
}

// As tests/matrix/nic_check.py has it from the kernels.
TEST_CASE("the greatest MTU at which a driver takes a program is known")
{
    struct Greatest {
        const char *file, *interface;
        unsigned mtu;
    };
    for (const auto &[file, interface, mtu] :
         {Greatest{"qemu-6.1.json", "eth0", 4064}, Greatest{"qemu-6.12.json", "eth0", 3506},
          Greatest{"qemu-6.12.json", "eth6", 3494}})
        for (const unsigned more : {0U, 1U}) {
            json facts = read(std::string(TESTS_DATA "/preflight/") + file)["facts"];
            for (auto &i : facts["interfaces"])
                if (i["name"] == interface)
                    i["mtu"] = mtu + more;
            INFO(file << " " << interface << " " << mtu + more);
            CHECK(errors(facts).contains(std::string(interface) + " xdp") == (more == 1));
        }
}

TEST_CASE("facts are the same as JSON and back")
{
    for (const auto &path : files()) {
        INFO(path.filename());
        const json given = read(path).at("facts");
        const json facts = to_json(facts_from_json(given));
        CHECK(to_json(facts_from_json(facts)) == facts);
        for (const auto &[key, value] : given["host"].items())
            CHECK(facts["host"][key] == value);
    }
    CHECK_THROWS_AS(facts_from_json({{"host", {{"cpus", "four"}}}}), json::exception);
}

TEST_CASE("what is not known is no error")
{
    unsigned tried = 0;
    for (const auto &path : files()) {
        const json facts = to_json(facts_from_json(read(path).at("facts")));
        const auto known = errors(facts);
        std::vector<json::json_pointer> optionals;
        for (const char *key : {"btf", "jit", "bpffs", "clsact", "helpers", "memory_available",
                                "memory_left", "irqbalance"})
            optionals.emplace_back(std::string("/host/") + key);
        optionals.emplace_back("/trial");
        for (std::size_t i = 0; i < facts["interfaces"].size(); ++i)
            for (const char *key : {"xdp_features", "channels", "virtio_features", "rps_queues",
                                    "peer", "forwarding4", "forwarding6", "rp_filter"})
                optionals.emplace_back("/interfaces/" + std::to_string(i) + "/" + key);
        for (const auto &at : optionals) {
            if (facts[at].is_null())
                continue;
            json less = facts;
            less[at] = nullptr;
            INFO(path.filename() << " without " << at.to_string());
            const auto found = errors(less);
            CHECK(std::includes(known.begin(), known.end(), found.begin(), found.end()));
            ++tried;
        }
    }
    CHECK(tried > 100);
}

TEST_CASE("a far end's mending is for where it is")
{
    json facts = read(TESTS_DATA "/preflight/veth.json")["facts"];
    facts["interfaces"][0]["peer"]["name"] = "";
    for (const auto &f : judge(facts_from_json(facts)))
        for (const auto &command : f.mend)
            CHECK(std::find(command.begin(), command.end(), "") == command.end());
}

TEST_CASE("commands are shown as a shell takes them")
{
    CHECK(text_of(Command{"ip", "link", "set", "dev", "eth0.7", "mtu", "1500"}) ==
          "ip link set dev eth0.7 mtu 1500");
    CHECK(text_of(Command{"ethtool", "-K", "a;b", "lro", "off"}) == "ethtool -K 'a;b' lro off");
    CHECK(text_of(Command{"sh", "-c", "echo 'a' > b", ""}) == "sh -c 'echo '\\''a'\\'' > b' ''");
}

TEST_CASE("lists of CPUs are read as the kernel writes them, or not at all")
{
    using List = std::vector<unsigned>;
    CHECK(parse_cpus("0-3") == List{0, 1, 2, 3});
    CHECK(parse_cpus("0,2-3,7") == List{0, 2, 3, 7});
    CHECK(parse_cpus("5") == List{5});
    for (const char *bad : {"", "-", "1-", "3-99999999", "a", "0,,1", "99999999999999999999"})
        CHECK(parse_cpus(bad).empty());
    CHECK(parse_cpus("3-1").empty());
}

TEST_CASE("releases are compared by their numbers")
{
    CHECK(*parse_version("6.1.0-26-cloud-amd64") == Version{6, 1});
    CHECK(*parse_version("5.9") < *parse_version("5.13.2"));
    CHECK(*parse_version("6.0") > *parse_version("5.19"));
    for (const char *bad : {"", "6", "6.", "x.y", ".1"})
        CHECK_FALSE(parse_version(bad));
}
