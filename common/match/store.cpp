// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/store.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <random>

namespace evnf::match
{

namespace
{

// Lines of flows in all, which the CPUs share out; and the least for each.
constexpr std::size_t all_flow_lines = 256 * 1024, least_flow_lines = 16 * 1024;

// An id that no ruleset of this process had. Programs know it no longer than it runs.
std::uint32_t next_id()
{
    static std::atomic<std::uint32_t> last{0};
    const std::uint32_t id = ++last;
    return id ? id : ++last; // 0 is none
}

void set_lines(bpf::MapSet &maps, std::size_t lines, std::size_t cpus)
{
    maps.set_size("chain_match_flows", static_cast<__u32>(lines * cpus));
    maps.set_size("chain_match_flows6", static_cast<__u32>(lines * cpus));
    maps.set_constant("match_flow_lines", static_cast<__u32>(lines));
}

std::size_t cells_for(std::size_t bytes)
{
    return (bytes + sizeof(match_cell) - 1) / sizeof(match_cell);
}

// Enough for any rules of one value or range in each field; what needs more is put as a whole.
constexpr std::size_t most_change_cells = 8192;

// Of a place for changes, beside rulesets of so many.
std::size_t change_cells(std::size_t whole)
{
    return std::min(whole, most_change_cells);
}

} // namespace

Result<> prepare(bpf::MapSet &maps, std::size_t bytes, std::size_t elements)
{
    auto cpus = bpf::possible_cpus();
    if (!cpus)
        return cpus.error();
    static const auto seed = static_cast<__u32>(std::random_device()());
    const std::size_t whole = cells_for(bytes);
    maps.set_size("match_cells", static_cast<__u32>(1 + 2 * (whole + change_cells(whole))));
    maps.set_size("match_sets", static_cast<__u32>(std::max<std::size_t>(elements, 1)));
    maps.set_constant("match_flow_seed", seed);
    set_lines(maps, std::max(std::bit_floor(all_flow_lines / *cpus), least_flow_lines), *cpus);
    return Unit{};
}

Result<> remember_little(bpf::MapSet &maps)
{
    auto cpus = bpf::possible_cpus();
    if (!cpus)
        return cpus.error();
    set_lines(maps, MATCH_FLOW_WAYS, *cpus);
    return Unit{};
}

Result<Store> Store::bind(const bpf::MapSet &maps)
{
    auto fd = maps.fd("match_cells");
    if (!fd)
        return fd.error();
    auto mapping = bpf::Mapping::of_array(*fd, sizeof(match_cell));
    if (!mapping)
        return mapping.error();
    const std::size_t each = (mapping->size() / sizeof(match_cell) - 1) / 2;
    const std::size_t whole = std::max(each / 2, each - std::min(each, most_change_cells));
    return Store(*std::move(mapping), whole, each - whole);
}

// The two rulesets lie behind cell 0, and the two changes behind them.
std::uint32_t Store::next_change() const
{
    const std::size_t first = 1 + 2 * whole_;
    return static_cast<std::uint32_t>(in_force_ == first ? first + change_ : first);
}

Result<> Store::put(Tables tables)
{
    if (tables.size() > whole_)
        return bad_input("the rules need " + std::to_string(tables.size() * sizeof(match_cell)) +
                         " bytes of tables, and there is room for " + std::to_string(room()));
    ruleset_ = static_cast<std::uint32_t>(ruleset_ == 1 ? 1 + whole_ : 1);
    tables.front().layout.first = ruleset_;
    used_ = tables.size();
    changed_ = 0;
    bring(std::move(tables), ruleset_);
    return Unit{};
}

void Store::change(Tables tables)
{
    changed_ = tables.size();
    bring(std::move(tables), next_change());
}

void Store::bring(Tables tables, std::uint32_t first)
{
    auto *cells = reinterpret_cast<match_cell *>(mapping_.data());
    tables.front().layout.id = next_id();
    std::copy(tables.begin(), tables.end(), cells + first);
    std::atomic_ref<__u32>(cells[0].u32[0]).store(first, std::memory_order_release);
    in_force_ = first;
    bpf::wait_for_packets_in_flight();
}

} // namespace evnf::match
