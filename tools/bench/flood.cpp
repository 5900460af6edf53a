// SPDX-License-Identifier: GPL-2.0-or-later
// Sends one UDP frame over and over, as fast as the kernel's own XDP can: frames of a
// BPF_PROG_RUN that live on (Linux 5.18).
#include <CLI/CLI.hpp>
#include <bpf/bpf.h>
#include <net/if.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/result.hpp"
#include "flood.skel.h"
#include "support/frame.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

struct Destroy {
    void operator()(flood_bpf *s) const { flood_bpf__destroy(s); }
};

struct Given {
    std::string interface, mac, source, destination;
    unsigned seconds = 1, flows = 1, size = 60;
};

Result<> run(const Given &given)
{
    const unsigned ifindex = ::if_nametoindex(given.interface.c_str());
    if (!ifindex)
        return sys_error("find " + given.interface);
    std::unique_ptr<flood_bpf, Destroy> skel(flood_bpf__open());
    if (!skel)
        return sys_error("open the program");
    skel->rodata->interface = ifindex;
    skel->rodata->ports = static_cast<__u16>(given.flows);
    if (const int e = flood_bpf__load(skel.get()))
        return sys_error("load the program", e);
    Frame f{.src = given.source,
            .dst = given.destination,
            .proto = 17,
            .dport = 9,
            .csum = Csum::zero,
            .payload = Bytes(given.size - 42, 'x')};
    if (std::sscanf(given.mac.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &f.dmac[0], &f.dmac[1],
                    &f.dmac[2], &f.dmac[3], &f.dmac[4], &f.dmac[5]) != 6)
        return bad_input(given.mac + " is not a MAC address");
    auto bytes = build(f);
    std::copy_n(bytes.begin(), sizeof skel->bss->headers, skel->bss->headers);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(given.seconds);
    while (std::chrono::steady_clock::now() < end) {
        LIBBPF_OPTS(bpf_test_run_opts, opts);
        opts.data_in = bytes.data();
        opts.data_size_in = static_cast<__u32>(bytes.size());
        opts.repeat = 1 << 16;
        opts.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
        if (const int e = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.flood), &opts))
            return sys_error("send frames", e);
    }
    std::cout << skel->bss->sent << "\n";
    return Unit{};
}

} // namespace

int main(int argc, char **argv)
{
    CLI::App app("Sends one UDP frame over and over");
    Given given;
    app.add_option("INTERFACE", given.interface)->required();
    app.add_option("MAC", given.mac)->required();
    app.add_option("SOURCE", given.source)->required();
    app.add_option("DESTINATION", given.destination)->required();
    app.add_option("--seconds", given.seconds);
    app.add_option("--flows", given.flows)->check(CLI::Range(1, 60000));
    app.add_option("--size", given.size)->check(CLI::Range(60, 1500));
    CLI11_PARSE(app, argc, argv);
    if (auto r = run(given); !r) {
        std::cerr << "evnf-bench-flood: " << r.error().message() << "\n";
        return 1;
    }
    return 0;
}
