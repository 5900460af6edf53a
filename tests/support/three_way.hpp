// SPDX-License-Identifier: GPL-2.0-or-later
// efw against the kernel's own netfilter, and both against the plain model: the same rules as
// nftables rules, the same frames through veths, and each must have met the same rules.
#pragma once

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/chain.hpp"
#include "support/efw_trial.hpp"
#include "support/interfaces.hpp"
#include "support/model.hpp"
#include "support/nft.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::test
{

namespace model = evnf::efw::model;

// What arrives on the interfaces meets an nftables chain there, before anything else.
class Netfilter
{
public:
    explicit Netfilter(const model::World &world)
    {
        // An interface whose driver runs XDP has what a test run by its name needs.
        const std::array<bpf_insn, 2> code{
            bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
            bpf_insn{.code = BPF_JMP | BPF_EXIT}};
        const Fd pass(
            bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", code.data(), code.size(), nullptr));
        REQUIRE(pass);
        for (const auto &[ifindex, name] : world.interfaces)
            REQUIRE(bpf_xdp_attach(static_cast<int>(ifindex), pass.get(), XDP_FLAGS_DRV_MODE,
                                   nullptr) == 0);
        socket_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        REQUIRE(socket_);
    }

    void load(const std::vector<efw::SectionRule> &rules, const model::World &world)
    {
        char path[] = "/tmp/evnf-nft-XXXXXX";
        const Fd made(::mkstemp(path));
        REQUIRE(made);
        std::ofstream(path) << efw::nft_table(rules, world);
        sh(std::string("nft -f ") + path);
        std::remove(path);
    }

    void send(const Bytes &frame, const std::string &interface)
    {
        sockaddr_ll to{};
        to.sll_family = AF_PACKET;
        to.sll_ifindex = static_cast<int>(::if_nametoindex((interface + "-").c_str()));
        REQUIRE(::sendto(socket_.get(), frame.data(), frame.size(), 0,
                         reinterpret_cast<const sockaddr *>(&to),
                         sizeof to) == static_cast<ssize_t>(frame.size()));
    }

    // Packets by counter, once all that were sent have arrived.
    std::map<std::string, std::uint64_t> counts(std::uint64_t sent)
    {
        std::map<std::string, std::uint64_t> out;
        for (int tries = 0; tries < 6000; ++tries) {
            out = read();
            if (out["everything"] == sent)
                return out;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        FAIL("netfilter counted " << out["everything"] << " frames of " << sent);
        return out;
    }

private:
    static std::map<std::string, std::uint64_t> read()
    {
        FILE *nft = ::popen("nft -j list counters", "r");
        REQUIRE(nft);
        std::string text;
        char part[4096];
        for (std::size_t n; (n = std::fread(part, 1, sizeof part, nft)) > 0;)
            text.append(part, n);
        REQUIRE(::pclose(nft) == 0);
        std::map<std::string, std::uint64_t> out;
        const json listing = json::parse(text);
        for (const auto &item : listing["nftables"])
            if (item.contains("counter"))
                out[item["counter"]["name"]] = item["counter"]["packets"];
        return out;
    }

    Fd socket_;
};

// A frame for a packet of the model, if there is one that both sides read whole.
inline std::optional<Frame> frame_for(const pkt &p, model::Random &random)
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
    f.tcp_flags = p.tcp_flags;
    f.icmp_type = p.icmp_type;
    f.icmp_code = p.icmp_code;
    f.tos = p.tos;
    if (p.vlans) // nft looks into one tag
        f.vlans = {p.vlan_tci[0]};
    const unsigned offset = p.frag == PKT_FRAG_LATER ? 8 + model::below(random, 100) * 8 : 0;
    if (v6 && (p.frag != PKT_FRAG_NONE || model::below(random, 8) == 0)) // or an atomic one
        f.ext.push_back(
            {IPPROTO_FRAGMENT, 8, static_cast<std::uint16_t>(offset | (p.frag == PKT_FRAG_FIRST))});
    else if (v6 && model::below(random, 3) == 0)
        f.ext = {{IPPROTO_DSTOPTS, 8}, {IPPROTO_ROUTING, 24}};
    if (!v6)
        f.frag = static_cast<std::uint16_t>(offset / 8 | (p.frag == PKT_FRAG_FIRST ? 0x2000 : 0) |
                                            (model::below(random, 2) ? 0x4000 : 0));
    if (!v6 && model::below(random, 3) == 0)
        f.ip_options = 8;
    f.payload.clear();
    const Layout headers = layout(f);
    const std::size_t length = std::min<std::size_t>(p.l3_end - p.l3_off, 1400);
    f.payload.resize(std::max(length + headers.l3, headers.end) - headers.end, 0x5a);
    const Parsed parsed = model_parse(build(f));
    // "No next header" is no protocol to netfilter.
    if (parsed.reason != NEXT || parsed.p.l4 == PKT_L4_BAD || parsed.p.l4 == PKT_L4_UNREAD ||
        f.proto == IPPROTO_NONE)
        return std::nullopt;
    return f;
}

class ThreeWay
{
public:
    explicit ThreeWay(model::Random &random)
        : random_(random),
          world_{test_interfaces(), {}},
          netfilter_(world_),
          section_(efw::section_of({{}, {{}, model::any_sets(random)}, EFW_SLOW, {}})),
          efw_(must(find_vnf("efw")->load(chain_.maps, section_, nullptr)))
    {
        chain_.add_stage(efw_->program());
    }

    // Puts the rules in force on all three sides, and sends about so many frames at their edges.
    void compare(const efw::Trial &trial, int frames, const std::string &what)
    {
        section_ = efw::section_of(trial);
        // Counters of the rules before would be taken for these ones': start anew.
        must(efw_->apply(must(find_vnf("efw")->check(nullptr, nullptr))));
        must(efw_->apply(section_));
        fill_sets(trial, section_, must(efw::SetElements::bind(chain_.maps)));
        const auto ordered = efw::ordered_rules(section_);
        std::vector<efw::Rule> rules;
        for (const auto &r : ordered)
            rules.push_back(r.rule);
        const model::Model plain(rules, trial.world);
        netfilter_.load(ordered, trial.world);

        const json before = efw_->show(section_);
        std::uint64_t sent = 0;
        std::vector<std::uint64_t> expected(rules.size() + 1);
        for (int i = 0; i < frames; ++i) {
            const pkt p = model::any_packet(random_, rules, trial.world);
            const auto f = frame_for(p, random_);
            if (!f)
                continue;
            const Bytes frame = build(*f);
            pkt seen = model_parse(frame).p;
            seen.ifindex = p.ifindex;
            const auto answer = plain.decide(seen);
            // What we cannot tell, nft decides in its own way: by the first fragment's ports.
            if (answer.rule == model::cannot_tell)
                continue;
            for (const auto counted : answer.counted)
                ++expected[counted];
            ++expected[answer.rule < 0 ? rules.size() : static_cast<std::size_t>(answer.rule)];
            chain_.run(frame, p.ifindex);
            netfilter_.send(frame, world_.interfaces.at(p.ifindex));
            ++sent;
        }
        auto theirs = netfilter_.counts(sent);
        const json ours = efw_->show(section_);
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const auto theirs_here = theirs["r" + std::to_string(i)];
            by_rule_ += theirs_here;
            if (ours["rules"][i]["packets"] == expected[i] && theirs_here == expected[i])
                continue;
            for (const auto &match : efw::nft_matches(rules[i].match))
                UNSCOPED_INFO("nft: " << match);
            INFO(what << ", rule " << i << ": " << text_of(rules[i]));
            CHECK(ours["rules"][i]["packets"] == expected[i]);
            CHECK(theirs_here == expected[i]);
        }
        INFO(what);
        CHECK(ours["default_packets"].get<std::uint64_t>() -
                  before["default_packets"].get<std::uint64_t>() ==
              expected.back());
        CHECK(theirs["otherwise"] == expected.back());
        compared_ += sent;
    }

    [[nodiscard]] std::size_t compared() const { return compared_; } // frames
    [[nodiscard]] std::size_t by_rule() const { return by_rule_; }   // packets of rules' counters
    [[nodiscard]] const model::World &world() const { return world_; }

private:
    model::Random &random_;
    model::World world_;
    ChainFixture chain_;
    Netfilter netfilter_;
    json section_;
    std::unique_ptr<FastPath> efw_;
    std::size_t compared_ = 0, by_rule_ = 0;
};

} // namespace evnf::test
