// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/xdp_filter.hpp"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <array>
#include <filesystem>
#include <vector>

#include "abi/types.h"
#include "base/bpf.hpp"

namespace evnf::bench
{

namespace
{

// Debian's libxdp1 brings it. It drops what is in its tables, and lets the rest pass.
constexpr const char *path = "/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_alw_all.o";
constexpr const char *program_name = "xdpfilt_alw_all";
constexpr __u32 entries = 10'000; // the most that its hashes hold
// Of its values, prog.h there: which side of the packet, which protocol.
constexpr __u64 both_sides = 3, destination = 2, tcp = 4;
constexpr __u32 first_port = 40'000; // above those of the traffic

class XdpFilter : public Program
{
public:
    explicit XdpFilter(FilterHit hit) : hit_(hit) {}
    ~XdpFilter() override { bpf_object__close(object_); }
    XdpFilter(const XdpFilter &) = delete;
    XdpFilter &operator=(const XdpFilter &) = delete;

    Result<> load()
    {
        object_ = bpf_object__open_file(path, nullptr);
        if (!object_)
            return sys_error(std::string("open ") + path);
        bpf_map *map = nullptr;
        bpf_object__for_each_map(map, object_) bpf_map__set_pin_path(map, nullptr);
        if (bpf_object__load(object_))
            return sys_error(std::string("load ") + path);
        return fill();
    }

    [[nodiscard]] int entry() const override
    {
        return bpf_program__fd(bpf_object__find_program_by_name(object_, program_name));
    }
    [[nodiscard]] unsigned verdict() const override
    {
        return hit_ == FilterHit::port ? XDP_DROP : XDP_PASS;
    }
    [[nodiscard]] Result<> check_all_went(std::uint64_t packets) const override
    {
        auto stats = bpf::PerCpuCounters<std::array<__u64, 2>>::bind(map("xdp_stats_map"));
        if (!stats)
            return stats.error();
        const auto went = stats->sum(verdict())[0];
        if (went != packets)
            return Error{.what = "xdp-filter decided " + std::to_string(went) + " of " +
                                 std::to_string(packets) + " packets as is measured"};
        return Unit{};
    }

private:
    [[nodiscard]] int map(const char *name) const
    {
        return bpf_object__find_map_fd_by_name(object_, name);
    }

    template <class Key>
    Result<> put(const char *name, const Key &key, __u64 value)
    {
        const auto cpus = bpf::possible_cpus();
        if (!cpus)
            return cpus.error();
        const std::vector<__u64> values(*cpus, value);
        if (bpf_map_update_elem(map(name), &key, values.data(), BPF_ANY))
            return sys_error(std::string("fill ") + name);
        return Unit{};
    }

    Result<> fill()
    {
        for (__u32 i = 0; i < entries; ++i) {
            const std::array<__u32, 4> v6{htonl(0x20010db8), 0, 1, htonl(i)};
            const std::array<__u8, ETH_ALEN> mac{
                2, 1, 0, 0, static_cast<__u8>(i >> 8), static_cast<__u8>(i)};
            if (auto r = put("filter_ipv4", htonl(0x0a000000 + i * 7), both_sides); !r)
                return r;
            if (auto r = put("filter_ipv6", v6, both_sides); !r)
                return r;
            if (auto r = put("filter_ethernet", mac, both_sides); !r)
                return r;
            // Ports are looked up as they are in the packet.
            if (auto r = put("filter_ports", __u32{htons(static_cast<__u16>(first_port + i))},
                             both_sides | tcp);
                !r)
                return r;
        }
        if (hit_ == FilterHit::port)
            return put("filter_ports", __u32{htons(80)}, destination | tcp);
        return Unit{};
    }

    bpf_object *object_ = nullptr;
    FilterHit hit_;
};

} // namespace

Result<std::unique_ptr<Program>> xdp_filter(FilterHit hit)
{
    if (!std::filesystem::exists(path))
        return std::unique_ptr<Program>();
    auto out = std::make_unique<XdpFilter>(hit);
    if (auto r = out->load(); !r)
        return r.error();
    return std::unique_ptr<Program>(std::move(out));
}

} // namespace evnf::bench
