// SPDX-License-Identifier: GPL-2.0-or-later
// efw against the kernel's own netfilter: the same random rules as nftables rules, the same
// frames through a veth, and each must have decided by the same rule.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/net.hpp"
#include "support/chain.hpp"
#include "support/efw_model.hpp"
#include "support/model.hpp"
#include "vnfs/efw/section.hpp"
#include "vnfs/vnf.hpp"

using namespace evnf;
using namespace evnf::test;
namespace model = evnf::efw::model;

namespace
{

constexpr int rulesets = 60, frames_each = 250;
constexpr std::size_t most_rules = 30;

void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

std::string range(const match::PortRange &r)
{
    return std::to_string(r.low) + "-" + std::to_string(r.high);
}

// The match in nft's own language, which counts and ends; "" if nft cannot say it.
std::string nft_rule(const match::Match &r)
{
    std::string out;
    const std::string ip = r.family == 4 ? "ip" : "ip6";
    if (r.family)
        out += "meta protocol " + ip + " ";
    if (r.src)
        out += ip + " saddr " + r.src->text() + " ";
    if (r.dst)
        out += ip + " daddr " + r.dst->text() + " ";
    if (r.protocol)
        out += "meta l4proto " + std::to_string(*r.protocol) + " ";
    if (r.sport)
        out += "th sport " + range(*r.sport) + " ";
    if (r.dport)
        out += "th dport " + range(*r.dport) + " ";
    return out + "counter drop";
}

// a0 -> a1; what arrives on a1 meets an nftables chain there, before anything else.
class Netfilter
{
public:
    Netfilter()
    {
        REQUIRE(::unshare(CLONE_NEWNET) == 0); // gone with the process
        sh("ip link add a0 type veth peer name a1");
        for (const auto *name : {"a0", "a1"})
            sh(std::string("sysctl -qw net.ipv6.conf.") + name + ".disable_ipv6=1; ip link set " +
               name + " up");
        socket_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        REQUIRE(socket_);
        to_.sll_family = AF_PACKET;
        to_.sll_ifindex = static_cast<int>(::if_nametoindex("a0"));
    }

    void load(const std::vector<efw::SectionRule> &rules)
    {
        char path[] = "/tmp/evnf-nft-XXXXXX";
        const Fd made(::mkstemp(path));
        REQUIRE(made);
        std::ofstream file(path);
        file << "flush ruleset\ntable netdev t {\n chain c {\n"
             << "  type filter hook ingress device a1 priority 0; policy accept;\n";
        for (const auto &r : rules)
            file << "  " << nft_rule(r.rule.match) << "\n";
        file << "  counter drop\n }\n}\n"; // the default
        file.close();
        sh(std::string("nft -f ") + path);
        std::remove(path);
    }

    void send(const Bytes &frame)
    {
        REQUIRE(::sendto(socket_.get(), frame.data(), frame.size(), 0,
                         reinterpret_cast<const sockaddr *>(&to_),
                         sizeof to_) == static_cast<ssize_t>(frame.size()));
    }

    // Packets by rule, the default last, once all that were sent have arrived.
    std::vector<std::uint64_t> counts(std::uint64_t sent)
    {
        std::vector<std::uint64_t> out;
        std::uint64_t total = 0;
        for (int tries = 0; tries < 200; ++tries) {
            out = read();
            total = 0;
            for (const auto n : out)
                total += n;
            if (total == sent)
                return out;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        FAIL("netfilter counted " << total << " frames of " << sent);
        return out;
    }

private:
    static std::vector<std::uint64_t> read()
    {
        FILE *nft = ::popen("nft -j list chain netdev t c", "r");
        REQUIRE(nft);
        std::string text;
        char part[4096];
        for (std::size_t n; (n = std::fread(part, 1, sizeof part, nft)) > 0;)
            text.append(part, n);
        REQUIRE(::pclose(nft) == 0);
        std::vector<std::uint64_t> out;
        const json listing = json::parse(text);
        for (const auto &item : listing["nftables"])
            if (item.contains("rule"))
                for (const auto &e : item["rule"]["expr"])
                    if (e.contains("counter"))
                        out.push_back(e["counter"]["packets"]);
        return out;
    }

    Fd socket_;
    sockaddr_ll to_{};
};

// A frame for a packet of the model, if there is one that both sides read whole.
std::optional<Frame> frame_for(const pkt &p, model::Random &random)
{
    const Address src(p.flow.saddr), dst(p.flow.daddr);
    const bool v6 = p.flow.family == 6;
    if (src.is_v4() == v6 || dst.is_v4() == v6)
        return std::nullopt;
    Frame f;
    f.src = src.text();
    f.dst = dst.text();
    f.proto = p.flow.proto;
    f.sport = ntohs(p.flow.sport);
    f.dport = ntohs(p.flow.dport);
    f.payload.resize(8 + model::below(random, 60));
    if (v6 && model::below(random, 3) == 0)
        f.ext = {{IPPROTO_DSTOPTS, 8}, {IPPROTO_ROUTING, 24}};
    if (!v6 && model::below(random, 3) == 0)
        f.ip_options = 8;
    const Parsed parsed = model_parse(build(f));
    const bool whole =
        parsed.p.l4 == PKT_L4_PORTS || parsed.p.l4 == PKT_L4_ICMP || parsed.p.l4 == PKT_L4_OTHER;
    // "No next header" is no protocol to netfilter.
    if (parsed.reason != NEXT || !whole || f.proto == IPPROTO_NONE)
        return std::nullopt;
    return f;
}

} // namespace

TEST_CASE("efw and netfilter decide by the same rule")
{
    ChainFixture chain;
    Netfilter netfilter;
    json section = must(find_vnf("efw")->check(nullptr, nullptr));
    const auto efw = must(find_vnf("efw")->load(chain.maps, section, nullptr));
    chain.add_stage(efw->program());
    model::Random random(11);
    std::size_t compared = 0, by_rule = 0;
    for (int round = 0; round < rulesets; ++round) {
        std::vector<std::string> texts;
        const auto rules = model::any_rules(random, most_rules);
        for (const auto &r : rules)
            texts.push_back(efw::text_of(r));
        section = must(find_vnf("efw")->check({{"rules", texts}}, nullptr));
        // Counters of the round before would be taken for this one's: start anew.
        must(efw->apply(must(find_vnf("efw")->check(nullptr, nullptr))));
        must(efw->apply(section));
        const auto ordered = efw::ordered_rules(section);
        netfilter.load(ordered);

        const json before = efw->show(section);
        std::uint64_t sent = 0;
        for (int i = 0; i < frames_each; ++i) {
            const auto f = frame_for(model::any_packet(random, rules), random);
            if (!f)
                continue;
            const Bytes frame = build(*f);
            chain.run(frame);
            netfilter.send(frame);
            ++sent;
        }
        const auto theirs = netfilter.counts(sent);
        const json ours = efw->show(section);
        REQUIRE(theirs.size() == ordered.size() + 1);
        for (std::size_t i = 0; i < ordered.size(); ++i) {
            INFO("round " << round << ", rule: " << text_of(ordered[i].rule)
                          << "\nnft: " << nft_rule(ordered[i].rule.match));
            CHECK(ours["rules"][i]["packets"] == theirs[i]);
            by_rule += theirs[i];
        }
        CHECK(ours["default_packets"].get<std::uint64_t>() -
                  before["default_packets"].get<std::uint64_t>() ==
              theirs.back());
        compared += sent;
    }
    CHECK(compared > rulesets * frames_each / 3); // not all frames were left out
    CHECK(by_rule > compared / 4);                // nor did the default decide all
}
