// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/table.hpp"

#include <atomic>
#include <bit>
#include <cstring>

#include "vnfs/edpi/memory.hpp"

namespace evnf::edpi
{

namespace
{

// The memory is the kernel's too.
template <class T>
T load(const T &value)
{
    return std::atomic_ref(const_cast<T &>(value)).load();
}

template <class T>
void store(T &value, T to)
{
    std::atomic_ref(value).store(to);
}

} // namespace

Counts Counts::operator-(const Counts &o) const
{
    Counts out;
    for (int end = 0; end < 2; ++end) {
        out.packets[end] = packets[end] - o.packets[end];
        out.bytes[end] = bytes[end] - o.bytes[end];
    }
    return out;
}

Counts &Counts::operator+=(const Counts &o)
{
    for (int end = 0; end < 2; ++end) {
        packets[end] += o.packets[end];
        bytes[end] += o.bytes[end];
    }
    return *this;
}

void Table::set_size(bpf::MapSet &maps, std::uint32_t flows)
{
    for (const char *name :
         {"edpi_slots", "edpi_others", "edpi_exports", "edpi_index", "edpi_free"})
        maps.set_size(name, flows);
    const std::uint32_t lines = std::bit_ceil(flows * EDPI_LINE_ROOM / EDPI_LINE_WAYS);
    maps.set_size("edpi_lines", lines);
    maps.set_constant("edpi_lines_all", lines);
}

Result<Table> Table::bind(const bpf::MapSet &maps)
{
    Table t;
    for (const auto &[name, own] : {std::pair{"edpi_index", &t.index_},
                                    {"edpi_free", &t.free_},
                                    {"edpi_unaccounted", &t.unaccounted_}})
        if (auto r = keep_map(maps, name, *own); !r)
            return r.error();
    if (auto r = map_array(maps, "edpi_slots", t.slot_memory_, t.slots_); !r)
        return r.error();
    if (auto r = map_array(maps, "edpi_others", t.others_memory_, t.others_); !r)
        return r.error();
    if (auto r = map_array(maps, "edpi_exports", t.export_memory_, t.exports_); !r)
        return r.error();
    if (auto r = map_array(maps, "edpi_books", t.book_memory_, t.book_); !r)
        return r.error();
    t.size_ = static_cast<std::uint32_t>(t.slot_memory_->size() / sizeof(edpi_slot));
    if (auto r = t.offer_all(); !r)
        return r.error();
    return t;
}

// A slot that is offered twice because an evnfd died here is taken once: see slot_take().
Result<> Table::offer_all()
{
    while (load(book_->offered) < size_) {
        const auto slot = static_cast<std::uint32_t>(load(book_->offered));
        if (bpf_map_update_elem(free_.get(), nullptr, &slot, 0))
            return sys_error("fill the free flow slots");
        store(book_->offered, load(book_->offered) + 1);
    }
    return Unit{};
}

std::uint32_t Table::state(std::uint32_t slot) const
{
    return load(slots_[slot].flow.state);
}

bool Table::is_flow(std::uint32_t slot) const
{
    const auto s = state(slot);
    return s == EDPI_OPEN || s == EDPI_CLASSIFIED || s == EDPI_GIVEN_UP;
}

edpi_flow Table::flow(std::uint32_t slot) const
{
    const edpi_flow &f = slots_[slot].flow;
    const edpi_counts &others = others_[slot];
    return {.packets = {load(f.packets[0]) + load(others.packets[0]),
                        load(f.packets[1]) + load(others.packets[1])},
            .bytes = {load(f.bytes[0]) + load(others.bytes[0]),
                      load(f.bytes[1]) + load(others.bytes[1])},
            .first = load(f.first),
            .last = load(f.last),
            .seen = load(f.seen),
            .copied = load(f.copied) & EDPI_COPIED,
            .master = load(f.master),
            .app = load(f.app),
            .state = load(f.state)};
}

Counts Table::counts(std::uint32_t slot) const
{
    const edpi_flow f = flow(slot);
    const edpi_counts &told = exports_[slot];
    Counts now, before;
    for (int end = 0; end < 2; ++end) {
        now.packets[end] = f.packets[end];
        now.bytes[end] = f.bytes[end];
        before.packets[end] = load(told.packets[end]);
        before.bytes[end] = load(told.bytes[end]);
    }
    return now - before;
}

counter Table::unaccounted() const
{
    const auto all = bpf::PerCpuCounters<counter>::bind(unaccounted_.get());
    const counter total = all ? all->sum(0) : counter{};
    return {total.packets - load(book_->unaccounted.packets),
            total.bytes - load(book_->unaccounted.bytes)};
}

bool Table::change(std::uint32_t slot, std::uint32_t from, std::uint32_t to)
{
    return std::atomic_ref(slots_[slot].flow.state).compare_exchange_strong(from, to);
}

void Table::name(std::uint32_t slot, std::uint16_t master, std::uint16_t app)
{
    store(slots_[slot].flow.master, master);
    store(slots_[slot].flow.app, app);
}

void Table::inspect_anew(std::uint32_t slot)
{
    if (state(slot) == EDPI_OPEN)
        std::atomic_ref(slots_[slot].flow.copied).fetch_and(~std::uint32_t{EDPI_COPIED});
}

// Not of a flow that is about to end.
void Table::close_inspection(std::uint32_t slot)
{
    const edpi_flow &f = slots_[slot].flow;
    change(slot, EDPI_OPEN, load(f.master) || load(f.app) ? EDPI_CLASSIFIED : EDPI_GIVEN_UP);
}

Standing Table::standing(std::uint32_t slot) const
{
    const auto word = load(slots_[slot].flow.copied);
    return {(word & EDPI_POLICY) >> EDPI_POLICY_SHIFT, (word & EDPI_KEPT) != 0};
}

// The fast path counts in the same word.
void Table::set_standing(std::uint32_t slot, Standing to)
{
    const std::atomic_ref word(slots_[slot].flow.copied);
    std::uint32_t was = word.load();
    const std::uint32_t upper = to.policy << EDPI_POLICY_SHIFT | (to.kept ? EDPI_KEPT : 0);
    while (!word.compare_exchange_weak(was, (was & EDPI_COPIED) | upper))
        ;
}

bool Table::begin_end(std::uint32_t slot)
{
    const auto was = state(slot);
    if (was == EDPI_ENDING) // by a daemon that died over it
        ;
    else if (!(is_flow(slot) || was == EDPI_SPARE) || !change(slot, was, EDPI_ENDING))
        return false;
    std::uint32_t owner = 0;
    if (bpf_map_lookup_elem(index_.get(), &slots_[slot].key, &owner) == 0 && owner == slot)
        bpf_map_delete_elem(index_.get(), &slots_[slot].key);
    return true;
}

void Table::account_for(std::uint32_t slot, const Counts &told)
{
    edpi_counts &e = exports_[slot];
    for (int end = 0; end < 2; ++end) {
        store(e.packets[end], load(e.packets[end]) + told.packets[end]);
        store(e.bytes[end], load(e.bytes[end]) + told.bytes[end]);
    }
}

void Table::account_for_unaccounted(const counter &told)
{
    store(book_->unaccounted.packets, load(book_->unaccounted.packets) + told.packets);
    store(book_->unaccounted.bytes, load(book_->unaccounted.bytes) + told.bytes);
}

// Each step is taken again by the next daemon if this one dies over it. Nobody takes a slot
// that is EDPI_TOLD: it may be in edpi_free yet from such a time.
void Table::release(std::uint32_t slot)
{
    if (state(slot) != EDPI_DONE) {
        store(slots_[slot].flow.state, std::uint32_t{EDPI_TOLD});
        std::memset(&slots_[slot].flow, 0, offsetof(edpi_flow, state));
        others_[slot] = {};
        exports_[slot] = {};
        store(slots_[slot].flow.state, std::uint32_t{EDPI_DONE});
    }
    bpf_map_update_elem(free_.get(), nullptr, &slot, 0); // full only if it is in there
    change(slot, EDPI_DONE, EDPI_FREE);
}

} // namespace evnf::edpi
