// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/same.hpp"

#include <linux/bpf.h>
#include <netinet/in.h>

#include <cstring>

#include "bench/subject.hpp"
#include "bench/traffic.hpp"
#include "vnfs/elb/abi.h"

namespace evnf::bench
{

namespace
{

struct Outcome {
    unsigned verdict;
    Bytes frame;
    friend bool operator==(const Outcome &, const Outcome &) = default;
};

Result<Outcome> run(const Subject &subject, const Bytes &in)
{
    Outcome out{0, Bytes(in.size() + 64)};
    LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in.data(), .data_out = out.frame.data(),
                .data_size_in = static_cast<__u32>(in.size()),
                .data_size_out = static_cast<__u32>(out.frame.size()));
    if (const int err = bpf_prog_test_run_opts(subject.entry(), &o))
        return sys_error("test run", err);
    out.verdict = o.retval;
    out.frame.resize(o.data_size_out);
    return out;
}

// Of any kind; half of them for the service, by few clients, so that they meet again.
Bytes random_bytes(test::Random &random)
{
    Frame f = test::random_frame(random);
    if (test::roll(random, 2)) {
        f.src = "192.0.2." + std::to_string(test::roll(random, 256));
        f.dst = service_address;
        f.proto = IPPROTO_TCP;
        f.sport = static_cast<std::uint16_t>(1024 + test::roll(random, 8));
        f.dport = 80;
        f.vlans.clear();
        f.ext.clear();
        f.csum = test::roll(random, 8) ? test::Csum::right : test::Csum::partial;
    }
    const Bytes frame = build(f);
    return test::roll(random, 4) ? frame : test::mutate(frame, random);
}

bool same_counters(const Subject &a, const Subject &b)
{
    const auto left = a.counters(), right = b.counters();
    return left.size() == right.size() &&
           std::memcmp(left.data(), right.data(), left.size() * sizeof left[0]) == 0;
}

} // namespace

Result<> check_linked(unsigned frames)
{
    const json rules = json::array({"ip saddr 192.0.2.0/26 drop", "udp slow", "tcp dport 80 accept",
                                    "ip6 tcp dport 0-32767 drop"});
    const Stage efw{"efw", {{"default", "accept"}, {"rules", rules}}, NEXT};
    const Stage elb{"elb", elb_section(frames), ELB_NEXT_BACKEND};
    auto chain = Subject::chain({efw, elb}, End::forward);
    if (!chain)
        return chain.error();
    auto linked = Subject::linked(efw, elb);
    if (!linked)
        return linked.error();

    test::Random random(1);
    for (unsigned i = 0; i < frames; ++i) {
        const Bytes in = random_bytes(random);
        auto want = run(**chain, in);
        if (!want)
            return want.error();
        auto got = run(**linked, in);
        if (!got)
            return got.error();
        if (*got != *want)
            return Error{.what = "the chain in one program gives verdict " +
                                 std::to_string(got->verdict) + " and\n" + test::hex(got->frame) +
                                 "\nwhere the chain of tail calls gives " +
                                 std::to_string(want->verdict) + " and\n" + test::hex(want->frame) +
                                 "\nfor\n" + test::hex(in)};
    }
    if (!same_counters(**chain, **linked) || (*chain)->connections() != (*linked)->connections())
        return Error{.what = "the chain in one program counts otherwise than the chain of tail "
                             "calls"};
    return Unit{};
}

} // namespace evnf::bench
