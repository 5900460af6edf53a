// SPDX-License-Identifier: GPL-2.0-or-later
// Packets that workers put back: each comes in by its interface, once, whole, in its order.
#include "daemon/reenter.hpp"

#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <random>
#include <thread>

#include "abi/copy.h"
#include "support/chain.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

constexpr std::size_t id_at = 14 + 20 + 8; // after Ethernet, IPv4 and UDP: worker, number

// What comes in by an interface, from when it is made.
class Ear
{
public:
    explicit Ear(unsigned ifindex) : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0))
    {
        REQUIRE(fd_);
        const int room = 64 << 20;
        REQUIRE(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0);
        sockaddr_ll at{};
        at.sll_family = AF_PACKET;
        at.sll_protocol = htons(ETH_P_IP);
        at.sll_ifindex = static_cast<int>(ifindex);
        REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr *>(&at), sizeof at) == 0);
    }
    // By worker.
    std::map<unsigned, std::vector<Bytes>> heard()
    {
        std::map<unsigned, std::vector<Bytes>> out;
        Bytes frame(4096);
        for (ssize_t n; (n = ::recv(fd_.get(), frame.data(), frame.size(), 0)) >= 0;) {
            const Bytes one(frame.begin(), frame.begin() + n);
            out[one.at(id_at)].push_back(one);
        }
        return out;
    }

private:
    Fd fd_;
};

void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

// This thread, and those that it starts, may make no namespace while this is there.
class NoNamespaces
{
public:
    NoNamespaces()
    {
        REQUIRE(::syscall(SYS_capget, &header_, before_) == 0);
        __user_cap_data_struct less[2] = {before_[0], before_[1]};
        less[0].effective &= ~(1U << CAP_SYS_ADMIN);
        REQUIRE(::syscall(SYS_capset, &header_, less) == 0);
    }
    ~NoNamespaces() { ::syscall(SYS_capset, &header_, before_); }
    NoNamespaces(const NoNamespaces &) = delete;
    NoNamespaces &operator=(const NoNamespaces &) = delete;

private:
    __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct before_[2] = {};
};

// What goes on after stage_at is the stack's, in a network namespace of two interfaces.
class PutBack : public ChainFixture
{
public:
    PutBack()
    {
        link(stage_at, last_at);
        cpu_set_t all;
        CPU_ZERO(&all);
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            CPU_SET(cpu, &all);
        REQUIRE(::sched_setaffinity(0, sizeof all, &all) == 0);
        REQUIRE(::unshare(CLONE_NEWNET) == 0); // gone with the process
        for (const std::string name : {"one", "two"}) {
            sh("ip link add " + name + " type veth peer name " + name + "-; ip link set " + name +
               " up; ip link set " + name + "- up");
            ifindexes.push_back(::if_nametoindex(name.c_str()));
        }
    }
    std::vector<unsigned> ifindexes;
};

struct Sent {
    std::map<unsigned, std::vector<Bytes>> arrive; // by interface
    std::uint64_t failed = 0;
};

// So many packets, of which the chain drops every third: the kernel takes its frame again.
Sent put_back(Reenter::Batch &batch, unsigned worker, unsigned packets,
              const std::vector<unsigned> &ifindexes)
{
    std::mt19937 random(worker);
    Sent out;
    for (unsigned n = 0; n < packets; ++n) {
        const std::size_t size =
            random() % 4 ? 60 + random() % (COPY_HELD_BYTES - 60 + 1) : COPY_HELD_BYTES;
        Frame frame{.proto = IPPROTO_UDP, .payload = Bytes(size - id_at)};
        for (auto &byte : frame.payload)
            byte = static_cast<std::uint8_t>(random());
        frame.payload[0] = static_cast<std::uint8_t>(worker);
        Bytes bytes = build(frame);
        const unsigned ifindex = ifindexes[random() % ifindexes.size()];
        if (random() % 3 == 0)
            bytes[14] = 0x41; // no header is so short
        else
            out.arrive[ifindex].push_back(bytes);
        batch.add(stage_at, ifindex, bytes);
        if (random() % 100 == 0)
            batch.send();
    }
    batch.send();
    out.failed = batch.failed();
    return out;
}

void check_put_back(PutBack &chain, unsigned packets)
{
    const auto reenter = must(Reenter::load(chain.maps));
    std::map<unsigned, Ear> ears;
    for (const unsigned ifindex : chain.ifindexes)
        ears.try_emplace(ifindex, ifindex);
    std::vector<std::unique_ptr<Reenter::Batch>> batches;
    for (unsigned w = 0; w < 3; ++w)
        batches.push_back(must(reenter->batch(w)));
    std::vector<Sent> sent(batches.size());
    std::vector<std::thread> workers;
    for (unsigned w = 0; w < sent.size(); ++w)
        workers.emplace_back(
            [&, w] { sent[w] = put_back(*batches[w], w, packets, chain.ifindexes); });
    for (auto &w : workers)
        w.join();
    for (auto &[ifindex, ear] : ears) {
        const auto heard = ear.heard();
        for (unsigned w = 0; w < sent.size(); ++w)
            CHECK((heard.at(w) == sent[w].arrive.at(ifindex)));
        CHECK(heard.size() == sent.size());
    }
    for (const auto &s : sent)
        CHECK(s.failed == 0);
}

} // namespace

TEST_CASE_METHOD(PutBack, "packets that are put back together come in whole and in order")
{
    check_put_back(*this, 1000);
}

TEST_CASE_METHOD(PutBack, "without a namespace of its own they are put back one by one")
{
    const NoNamespaces none;
    check_put_back(*this, 100);
}

TEST_CASE_METHOD(PutBack, "packets of an interface that is gone are counted, the others arrive")
{
    const auto reenter = must(Reenter::load(maps));
    const Bytes packet = build({.proto = IPPROTO_UDP, .payload = Bytes(100)});
    Ear ear(ifindexes[0]);
    const auto batch = must(reenter->batch(0));
    for (unsigned i = 0; i < 100; ++i)
        batch->add(stage_at, i % 2 ? ifindexes[0] : 9999, packet);
    batch->send();
    CHECK(ear.heard()[0].size() == 50);
    CHECK(batch->failed() == 50);
    batch->add(stage_at, ifindexes[0], Bytes(COPY_HELD_BYTES + 1));
    batch->send();
    CHECK(batch->failed() == 51);
}
