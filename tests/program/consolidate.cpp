// SPDX-License-Identifier: GPL-2.0-or-later
// What is done to make a chain cheaper changes nothing for any packet. A chain as the daemon builds
// it (direct jumps, idle stages passed by, no more parsed than is needed), and as it is while
// somebody watches, against the same chain in its plainest form: the same verdict, the same bytes,
// the same counters, the same connections.
//
// EVNF_CAPTURES names a folder of pcap and pcapng files, whose frames are tried too; EVNF_PACKETS
// (50,000) says how many random frames each chain gets.
#include <catch2/catch.hpp>

#include <bpf/bpf.h>
#include <netinet/in.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "daemon/trace.hpp"
#include "support/environment.hpp"
#include "support/frame.hpp"
#include "support/generation.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

constexpr std::size_t largest = 3400; // that a test run takes in one piece
constexpr std::array<std::uint8_t, 6> mac{0x02, 0, 0, 0, 0, 0x01};
const std::string vip = "198.51.100.10", vip6 = "2001:db8:2::10";
const std::string server = "10.0.2.11", server6 = "2001:db8:3::11";

// The names of the maps that a program has.
std::set<std::string> maps_of(int program)
{
    std::array<__u32, 64> ids{};
    bpf_prog_info info{};
    info.nr_map_ids = ids.size();
    info.map_ids = reinterpret_cast<__u64>(ids.data());
    __u32 size = sizeof info;
    REQUIRE(bpf_obj_get_info_by_fd(program, &info, &size) == 0);
    REQUIRE(info.nr_map_ids <= ids.size());
    std::set<std::string> out;
    for (__u32 i = 0; i < info.nr_map_ids; ++i) {
        const Fd fd(bpf_map_get_fd_by_id(ids[i]));
        bpf_map_info map{};
        __u32 map_size = sizeof map;
        REQUIRE(bpf_obj_get_info_by_fd(fd.get(), &map, &map_size) == 0);
        out.insert(map.name);
    }
    return out;
}

void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

// Clients behind in0, servers and the rest of the world behind out0; every next hop known.
class Network
{
public:
    Network()
    {
        REQUIRE(::unshare(CLONE_NEWNET) == 0); // gone with the process
        sh("ip link add in0 type veth peer name in1; ip link add out0 type veth peer name out1");
        for (const std::string name : {"in0", "out0"})
            sh("ip link set " + name + " address 02:00:00:00:00:01");
        for (const std::string name : {"lo", "in0", "in1", "out0", "out1"})
            sh("ip link set " + name + " addrgenmode none up");
        sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        sh("ip addr add 10.0.1.1/24 dev in0; ip addr add 10.0.2.1/24 dev out0");
        sh("ip addr add 2001:db8:4::1/64 dev in0 nodad; ip addr add 2001:db8:3::1/64 dev out0 "
           "nodad");
        for (const std::string last : {"2", "11", "12"}) {
            sh("ip neigh add 10.0.2." + last + " dev out0 lladdr 02:00:00:00:02:" + last);
            sh("ip neigh add 2001:db8:3::" + last + " dev out0 lladdr 02:00:00:00:06:" + last);
        }
        sh("ip neigh add 10.0.1.2 dev in0 lladdr 02:00:00:00:01:02");
        sh("ip neigh add 2001:db8:4::2 dev in0 lladdr 02:00:00:00:01:06");
        sh("ip route add 192.0.2.0/24 via 10.0.1.2; ip route add default via 10.0.2.2");
        sh("ip route add 2001:db8:1::/48 via 2001:db8:4::2; ip route add default via "
           "2001:db8:3::2");
    }
};

json document_of(const std::string &path, const json &efw)
{
    const auto service = [](const std::string &address, const std::string &protocol,
                            const std::vector<std::string> &backends) {
        json out{{"address", address}, {"port", 80}, {"protocol", protocol}, {"backends", {}}};
        for (const auto &b : backends)
            out["backends"].push_back({{"address", b}, {"port", 8080}});
        return out;
    };
    return {{"chain", {{{"name", "in"}, {"path", path}}}},
            {"efw", efw},
            {"elb",
             {{"connections", 1 << 17}, // nothing is forgotten
              {"service",
               {service(vip, "tcp", {server, "10.0.2.12"}), service(vip, "udp", {server}),
                service(vip6, "tcp", {server6, "2001:db8:3::12"})}}}}};
}

const json rules{{"default", "accept"},
                 {"rules",
                  {"tcp dport 80 accept", "udp dport 80 accept", "ip saddr 192.0.2.64/26 drop",
                   "tcp dport 1024-9000 drop", "ip6 saddr 2001:db8:1::/116 slow",
                   "udp sport 0-9000 slow", "icmp drop"}}};
const json idle{{"default", "accept"}, {"rules", json::array()}};

// What every part of the chains has something to do with: packets to a service, a server's answers,
// and anything; as they should be, or not.
Bytes any_frame(Random &random)
{
    Frame f = random_frame(random);
    const bool six = f.src.find(':') != f.src.npos;
    f.dmac = mac;
    const unsigned kind = roll(random, 4);
    if (kind < 3) {
        constexpr std::array<std::uint8_t, 5> flags{0x02, 0x10, 0x18, 0x11, 0x04};
        const std::string client =
            (six ? "2001:db8:1::" : "192.0.2.") + std::to_string(1 + roll(random, 99));
        const auto port = static_cast<std::uint16_t>(1024 + roll(random, 50));
        f.proto = roll(random, 3) ? IPPROTO_TCP : IPPROTO_UDP;
        f.tcp_flags = flags[roll(random, flags.size())];
        f.vlans.resize(roll(random, 8) ? 0 : f.vlans.size());
        f.ip_options = roll(random, 8) ? 0 : f.ip_options;
        f.frag = roll(random, 4) ? 0 : f.frag;
        f.csum = roll(random, 6) ? Csum::right : Csum::partial;
        f.src = kind == 2 ? (six ? server6 : server) : client;
        f.dst = kind == 2 ? client : (six ? vip6 : vip);
        f.sport = kind == 2 ? 8080 : port;
        f.dport = kind == 2 ? port : 80;
    }
    const Bytes frame = build(f);
    return roll(random, 3) ? frame : mutate(frame, random);
}

// The frames of pcap (draft-ietf-opsawg-pcap) and pcapng files, of Ethernet.
class Captured
{
public:
    explicit Captured(const std::string &folder)
    {
        for (const auto &entry : std::filesystem::directory_iterator(folder)) {
            std::ifstream in(entry.path(), std::ios::binary);
            file_.assign(std::istreambuf_iterator<char>(in), {});
            const std::uint32_t magic = file_.size() < 24 ? 0 : word(0);
            if (magic == 0x0a0d0d0a)
                read_pcapng();
            else if (magic == 0xa1b2c3d4 || magic == 0xa1b23c4d)
                read_pcap();
        }
    }

    std::vector<Bytes> frames;
    std::size_t too_long = 0;

private:
    // Of this machine's byte order, as nearly all files are.
    [[nodiscard]] std::uint32_t word(std::size_t at) const
    {
        std::uint32_t out = 0;
        if (at + sizeof out <= file_.size())
            std::memcpy(&out, &file_[at], sizeof out);
        return out;
    }

    void take(std::size_t at, std::size_t size)
    {
        if (size < 14 || at + size > file_.size())
            return;
        if (size > largest)
            ++too_long;
        else
            frames.emplace_back(&file_[at], &file_[at] + size);
    }

    void read_pcap()
    {
        if ((word(20) & 0xffff) != 1)
            return;
        for (std::size_t at = 24; at + 16 <= file_.size(); at += 16 + word(at + 8))
            take(at + 16, word(at + 8));
    }

    void read_pcapng()
    {
        std::vector<bool> ethernet; // by interface
        for (std::size_t at = 0; at + 12 <= file_.size() && word(at + 4) >= 12;
             at += word(at + 4)) {
            if (word(at) == 1)
                ethernet.push_back((word(at + 8) & 0xffff) == 1);
            else if (word(at) == 6 && word(at + 8) < ethernet.size() && ethernet[word(at + 8)])
                take(at + 28, word(at + 20));
        }
    }

    Bytes file_;
};

// Said once.
const std::vector<Bytes> &captured_frames()
{
    static const std::vector<Bytes> frames = [] {
        const char *folder = std::getenv("EVNF_CAPTURES");
        if (!folder) {
            std::cout << "EVNF_CAPTURES is not set: no captured frames were tried\n";
            return std::vector<Bytes>{};
        }
        Captured c(folder);
        std::cout << c.frames.size() << " captured frames from " << folder << ", " << c.too_long
                  << " left out as too long for a test run\n";
        REQUIRE_FALSE(c.frames.empty());
        return c.frames;
    }();
    return frames;
}

// Two forms of one chain, which get the same frames.
class Pair
{
public:
    Pair(Form &cheap, Form &plain) : cheap_(cheap), plain_(plain)
    {
        for (const auto &entry : plain.plan().chains[0].entries)
            interfaces_.push_back(entry.interface);
    }

    void run(const Bytes &frame)
    {
        const std::string &interface = interfaces_[ran_++ % interfaces_.size()];
        const Ran a = cheap_.run(frame, interface), b = plain_.run(frame, interface);
        if (a.verdict == b.verdict && a.out == b.out)
            return;
        FAIL("frame " << ran_ << ", in by " << interface << "\n"
                      << hex(frame) << "\ngets " << a.verdict << "\n"
                      << hex(a.out) << "\nplain: " << b.verdict << "\n"
                      << hex(b.out));
    }

    void run_all()
    {
        Random random(11);
        const unsigned random_frames = environment("EVNF_PACKETS", 50'000);
        for (unsigned i = 0; i < random_frames; ++i)
            run(any_frame(random));
        for (Bytes frame : captured_frames()) {
            run(frame);
            std::copy(mac.begin(), mac.end(), frame.begin()); // now it is for this host
            for (std::size_t i = 0; i < interfaces_.size(); ++i)
                run(frame);
        }
    }

    // All that packets have left behind.
    void check_traces() const
    {
        auto wanted = plain_.counters(), got = cheap_.counters();
        std::size_t passed_by = 0;
        for (const auto &chain : plain_.plan().chains)
            for (const auto &place : chain.places) {
                const std::string name = slot_place(chain, place);
                std::uint64_t seen = 0;
                for (const auto &[key, c] : wanted)
                    seen += key.first == name ? c.packets : 0;
                CHECK(seen > 0); // else nothing was tried there
                if (plain_.plan().is_idle(place))
                    passed_by += std::erase_if(
                        wanted, [&](const auto &entry) { return entry.first.first == name; });
            }
        CHECK(passed_by == idle_reasons);
        CHECK(got.size() == wanted.size());
        for (const auto &[key, c] : wanted) {
            INFO(key.first << " reason " << key.second);
            CHECK(got[key].packets == c.packets);
            CHECK(got[key].bytes == c.bytes);
        }
        for (const auto &instance : plain_.plan().instances) {
            INFO(instance.name);
            const json &section = instance.section;
            if (!instance.type->idle || !instance.type->idle(section))
                CHECK(cheap_.fast_path(instance.name).show(section) ==
                      plain_.fast_path(instance.name).show(section));
            if (instance.type->name != "elb")
                continue;
            const auto openings = plain_.state("elb_openings");
            CHECK(std::any_of(openings.begin(), openings.end(), [](const auto &set) {
                return std::any_of(set.second.begin(), set.second.end(), [](auto b) { return b; });
            }));
            CHECK(cheap_.state("elb_openings") == openings);
            CHECK(cheap_.state("elb_conns") == plain_.state("elb_conns"));
        }
    }

    std::size_t idle_reasons = 0; // that idle places count for in the plain form

private:
    Form &cheap_;
    Form &plain_;
    std::vector<std::string> interfaces_;
    std::size_t ran_ = 0;
};

struct Case {
    std::string path;
    json efw;
    std::size_t idle_places = 0;
};

const Case cases[] = {
    {"in(in0) -> out", idle},
    {"in(in0) -> wire(out0)", idle},
    {"in(in0) -> host", idle},
    {"in(in0) -> drop", idle},
    {"in(in0) -> efw -> out", rules},
    {"in(in0, out0) -> efw -> elb -> out", rules},
    {"in(in0, out0) -> efw -> elb -> out", idle, 1},
    {"in(in0, out0) -> efw -> efw -> elb -> efw -> hairpin", idle, 3},
    {"in(in0, out0) -> { tcp dport 80 -> elb -> out; udp -> drop; otherwise -> host }", rules},
    {"in(in0, out0) -> elb { to_backend -> efw -> out; to_client -> hairpin; otherwise -> host }",
     {{"rules", {"tcp sport 1030-1040 drop"}}, {"default", "accept"}}},
    {"in(in0, out0) -> elb { to_backend -> efw -> rest; otherwise -> rest }; rest: out", idle, 1},
    // The second efw must not take the first one's answer, which was for other ports.
    {"in(in0, out0) -> efw -> elb -> efw -> out", rules},
    {"in(in0, out0) -> { tcp sport 1024-1050 -> efw -> efw -> out; otherwise -> host }", rules},
    {"in(in0) -> efw -> wire(out0)", rules},
    {"in(in0) -> efw -> wire(out0)", idle, 1},
};

} // namespace

TEST_CASE("a cheaper chain does the same as the plain one")
{
    const Network network;
    for (const auto &c : cases) {
        INFO(c.path << " with efw " << c.efw.dump());
        const Plan plan = plan_of(document_of(c.path, c.efw));
        BuiltForm cheap(plan);
        PlainForm plain(plan);
        Pair pair(cheap, plain);
        pair.idle_reasons = c.idle_places;
        pair.run_all();
        pair.check_traces();
    }
}

TEST_CASE("a chain that is watched does the same as the plain one")
{
    const Network network;
    for (const auto &c : cases) {
        INFO(c.path << " with efw " << c.efw.dump());
        Plan plan = plan_of(document_of(c.path, c.efw));
        PlainForm plain(plan);
        plan.observe = true;
        BuiltForm watched(plan);
        const auto wanted = must(trace_request("", "", "any", "3500"));
        const auto trace = must(Trace::begin(watched.generation(), wanted));
        Pair pair(watched, plain);
        pair.idle_reasons = c.idle_places;
        pair.run_all(); // most of it while the ring is full
        pair.check_traces();
        CHECK(trace->read(0).size() > 1000);
    }
}

// Else the test above compares a thing with itself.
TEST_CASE("the chain that the daemon builds is another than the plain one")
{
    const Network network;
    const Plan plan = plan_of(document_of("in(in0, out0) -> efw -> out",
                                          {{"default", "accept"}, {"rules", {"icmpv6 drop"}}}));
    BuiltForm cheap(plan);
    PlainForm plain(plan);
    const Bytes error =
        build({.dmac = mac,
               .proto = IPPROTO_ICMP,
               .icmp_type = 3,
               .payload = Bytes{0x45, 0, 0,   28, 0,   0, 0, 0,  64, 17, 0, 0, 192, 0,
                                2,    1, 198, 51, 100, 1, 0, 53, 0,  53, 0, 8, 0,   0}});
    CHECK(cheap.run(error, "in0").verdict == XDP_REDIRECT);
    CHECK_FALSE(cheap.seen().flags & PKT_F_QUOTED);
    CHECK(plain.run(error, "in0").verdict == XDP_REDIRECT);
    CHECK(plain.seen().flags & PKT_F_QUOTED);

    // Without the table of what follows, only direct jumps find their way.
    const Bytes frame = build({.dmac = mac, .dst = vip, .tcp_flags = 0x02});
    for (const Form *form : {static_cast<Form *>(&cheap), static_cast<Form *>(&plain)}) {
        auto next = must(bpf::Map<__u32, __u32>::bind(form->maps(), "slot_next"));
        for (const __u32 key : next.keys())
            must(next.put(key, 0));
    }
    CHECK(cheap.run(frame, "in0").verdict == XDP_REDIRECT);
    CHECK(plain.run(frame, "in0").verdict == XDP_DROP);
}

TEST_CASE("the root reads ahead the lines of stages behind the first")
{
    const Network network;
    const json efw{{"default", "accept"}, {"rules", {"tcp dport 81 drop"}}};
    const auto read_by_root = [&](const std::string &path) {
        const BuiltForm form(plan_of(document_of(path, efw)));
        std::set<std::string> out;
        for (const auto &name : maps_of(form.root("in0")))
            if (name.ends_with("_lines"))
                out.insert(name);
        return out;
    };
    using Names = std::set<std::string>;
    CHECK(read_by_root("in(in0, out0) -> efw -> edpi -> elb -> out") ==
          Names{"edpi_lines", "elb_lines"});
    CHECK(read_by_root("in(in0, out0) -> edpi -> elb -> out") == Names{"elb_lines"});
    CHECK(read_by_root("in(in0, out0) -> elb -> out").empty());
}
