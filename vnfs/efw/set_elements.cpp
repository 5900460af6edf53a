// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/set_elements.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <numeric>

#include "base/text.hpp"

namespace evnf::efw
{

namespace
{

constexpr std::size_t batch = 16384;
// No packet looks for an element of this length.
constexpr __u8 mark_length = 255;

void make_set(Elements &elements, const DeclaredSet &set)
{
    for (auto &e : elements)
        e.set = set.number;
    std::sort(elements.begin(), elements.end(), ElementBefore());
    elements.erase(std::unique(elements.begin(), elements.end(), ElementSame()), elements.end());
}

Elements difference(const Elements &a, const Elements &b)
{
    Elements out;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out),
                        ElementBefore());
    return out;
}

// How many of them are in afterwards; an error is in errno.
std::size_t put_batches(int map, std::span<const match_set_element> elements)
{
    const std::vector<__u32> values(std::min(batch, elements.size()));
    std::size_t done = 0;
    while (done < elements.size()) {
        auto n = static_cast<__u32>(std::min(batch, elements.size() - done));
        const bool failed =
            bpf_map_update_batch(map, &elements[done], values.data(), &n, nullptr) != 0;
        done += n;
        if (failed)
            break;
    }
    return done;
}

Result<> delete_batches(int map, std::span<const match_set_element> elements)
{
    for (std::size_t done = 0; done < elements.size();) {
        auto n = static_cast<__u32>(std::min(batch, elements.size() - done));
        if (bpf_map_delete_batch(map, &elements[done], &n, nullptr) == 0) {
            done += n;
            continue;
        }
        if (errno != ENOENT)
            return sys_error("delete elements");
        done += n + 1; // that one has gone already
    }
    return Unit{};
}

// FNV-1a of what makes a set the same; 0 is no mark.
__u32 identity(const DeclaredSet &set)
{
    const std::string text = set.name + " " + std::string(set_type_text(set.type));
    __u32 h = 2166136261U;
    for (const char c : text)
        h = (h ^ static_cast<unsigned char>(c)) * 16777619U;
    return h ? h : 1;
}

match_set_element mark_of(unsigned set)
{
    match_set_element e{};
    e.set = static_cast<__u16>(set);
    e.length = mark_length;
    return e;
}

// The first `length` bits of an address.
ip_addr cut(const ip_addr &a, unsigned length)
{
    ip_addr out{};
    const auto *from = reinterpret_cast<const unsigned char *>(&a);
    auto *to = reinterpret_cast<unsigned char *>(&out);
    std::copy_n(from, length / 8, to);
    if (length % 8)
        to[length / 8] = static_cast<unsigned char>(from[length / 8] & (0xff00U >> length % 8));
    return out;
}

} // namespace

Result<SetElements> SetElements::bind(const bpf::MapSet &maps)
{
    auto table = Table::bind(maps, "match_sets");
    if (!table)
        return table.error();
    auto lengths = Lengths::bind(maps, "match_set_lengths");
    if (!lengths)
        return lengths.error();
    auto changes = Changes::bind(maps, "match_set_changes");
    if (!changes)
        return changes.error();
    SetElements out(*table, *lengths, *changes);
    if (changes->get(0).value_or(0) % 2) // a daemon ended within a change
        if (auto r = out.end_change(); !r)
            return r.error();
    return out;
}

std::size_t SetElements::room_for(const std::vector<DeclaredSet> &sets)
{
    return std::accumulate(sets.begin(), sets.end(), sets.size(), // a mark for each
                           [](std::size_t n, const DeclaredSet &set) { return n + set.size; });
}

Result<> SetElements::each(const std::function<void(const match_set_element &)> &take) const
{
    Elements keys(batch);
    std::vector<__u32> values(batch);
    __u32 next = 0;
    for (bool first = true, more = true; more; first = false) {
        auto n = static_cast<__u32>(batch);
        if (bpf_map_lookup_batch(table_.fd(), first ? nullptr : &next, &next, keys.data(),
                                 values.data(), &n, nullptr)) {
            if (errno != ENOENT) // the end
                return sys_error("read the elements of sets");
            more = false;
        }
        std::for_each_n(keys.begin(), n, take);
    }
    return Unit{};
}

Result<> SetElements::count_all()
{
    if (counted_)
        return Unit{};
    counts_.clear();
    auto r = each([&](const match_set_element &e) {
        if (e.length != mark_length)
            ++counts_[e.set][e.length];
    });
    counted_ = r.has_value();
    return r;
}

Result<std::size_t> SetElements::count(const DeclaredSet &set)
{
    if (auto r = count_all(); !r)
        return r.error();
    const ByLength &counts = counts_[set.number];
    return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

Result<Elements> SetElements::all(const DeclaredSet &set)
{
    Elements out;
    auto r = each([&](const match_set_element &e) {
        if (e.set == set.number && e.length != mark_length)
            out.push_back(e);
    });
    if (!r)
        return r.error();
    std::sort(out.begin(), out.end(), ElementBefore());
    return out;
}

Result<SetElements::Page> SetElements::page(const DeclaredSet &set, __u32 from) const
{
    Page out{Elements(batch), 0};
    std::vector<__u32> values(batch);
    auto n = static_cast<__u32>(batch);
    if (bpf_map_lookup_batch(table_.fd(), from ? &from : nullptr, &*out.next, out.elements.data(),
                             values.data(), &n, nullptr)) {
        if (errno != ENOENT)
            return sys_error("read the elements of sets");
        out.next.reset();
    }
    out.elements.resize(n);
    std::erase_if(out.elements, [&](const match_set_element &e) {
        return e.set != set.number || e.length == mark_length;
    });
    return out;
}

std::optional<match_set_element> SetElements::member(const DeclaredSet &set,
                                                     const match_set_element &of) const
{
    match_set_element e = of;
    e.set = set.number;
    if (set.type != SetType::addr)
        return table_.get(e) ? std::optional(e) : std::nullopt;
    const unsigned least = Address(of.addr).is_v4() ? 96 : 0;
    for (unsigned length = of.length + 1U; length-- > least;) {
        e.addr = cut(of.addr, length);
        e.length = static_cast<__u8>(length);
        if (table_.get(e))
            return e;
    }
    return std::nullopt;
}

Result<SetElements::Changed> SetElements::change(const DeclaredSet &set, Elements add, Elements del)
{
    make_set(add, set);
    make_set(del, set);
    const Elements given = std::move(add);
    add = difference(given, del); // deleting comes after adding
    std::erase_if(add, [&](const auto &e) { return table_.get(e).has_value(); });
    std::erase_if(del, [&](const auto &e) { return !table_.get(e); });
    return apply(set, add, del);
}

Result<SetElements::Changed> SetElements::replace(const DeclaredSet &set, Elements wanted)
{
    make_set(wanted, set);
    auto there = all(set);
    if (!there)
        return there.error();
    return apply(set, difference(wanted, *there), difference(*there, wanted));
}

Result<SetElements::Changed> SetElements::apply(const DeclaredSet &set, const Elements &fresh,
                                                const Elements &gone)
{
    const auto before = count(set);
    if (!before)
        return before.error();
    const std::size_t after = *before + fresh.size() - gone.size();
    if (after > set.size && after > *before)
        return Error{.code = EDQUOT,
                     .what = "set " + in_quotes(set.name) + " may have " +
                             std::to_string(set.size) + " elements, and would have " +
                             std::to_string(after) + ": give it a greater size in [efw.sets." +
                             set.name + "], or delete some first"};
    if (fresh.empty() && gone.empty())
        return Changed{};
    // The fast path remembers no answer of sets that it gives between these two.
    auto done = begin_change();
    if (done) {
        done = change_elements(set.number, fresh, gone);
        if (auto r = end_change(); done && !r)
            done = r;
    }
    if (!done)
        return std::move(done).context("set " + in_quotes(set.name)).error();
    return Changed{fresh.size(), gone.size()};
}

Result<> SetElements::change_elements(unsigned set, const Elements &fresh, const Elements &gone)
{
    ByLength &counts = counts_[set];
    for (const auto &e : fresh)
        ++counts[e.length];
    auto done = tell_lengths(set);
    if (done)
        done = put(fresh, gone);
    const Elements &away = done ? gone : fresh;
    for (const auto &e : away)
        --counts[e.length];
    if (auto r = tell_lengths(set); done && !r)
        done = r;
    return done;
}

Result<> SetElements::begin_change()
{
    auto r = changes_.put(0, changes_.get(0).value_or(0) | 1);
    std::atomic_thread_fence(std::memory_order_seq_cst); // seen before any element changes
    return r;
}

Result<> SetElements::end_change()
{
    std::atomic_thread_fence(std::memory_order_seq_cst); // not seen before all have changed
    return changes_.put(0, (changes_.get(0).value_or(0) | 1) + 1);
}

// Nothing has changed if it fails, but for what the kernel then refuses too.
Result<> SetElements::put(const Elements &fresh, const Elements &gone)
{
    const std::span<const match_set_element> all(fresh);
    std::size_t in = put_batches(table_.fd(), all);
    const bool full = in < all.size() && errno == E2BIG;
    if (in < all.size() && full && !gone.empty()) {
        if (auto r = delete_batches(table_.fd(), gone); !r)
            return r;
        in += put_batches(table_.fd(), all.subspan(in));
    }
    if (in == all.size())
        return full ? Result<>(Unit{}) : delete_batches(table_.fd(), gone);
    const Error why = errno == E2BIG ? Error{.code = EDQUOT,
                                             .what = "the table of all sets is full: delete "
                                                     "elements first"}
                                     : sys_error("add elements");
    if (auto r = delete_batches(table_.fd(), all.first(in)); !r)
        return r;
    if (full && put_batches(table_.fd(), gone) < gone.size())
        return sys_error("take the change back");
    return why;
}

// Before there is an element of a length the map says so, and until the last has gone.
Result<> SetElements::tell_lengths(unsigned set)
{
    match_set_lengths has{};
    const ByLength &counts = counts_[set];
    for (unsigned n = 0; n < all_lengths; ++n)
        if (counts[n])
            has.word[n / 64] |= 1ULL << n % 64;
    return lengths_.put(set, has);
}

bool SetElements::is_marked(const DeclaredSet &set) const
{
    return table_.get(mark_of(set.number)) == identity(set);
}

Result<> SetElements::mark(const DeclaredSet &set)
{
    return table_.put(mark_of(set.number), identity(set));
}

Result<> SetElements::keep_only(const std::vector<DeclaredSet> &sets)
{
    std::vector<bool> unwanted(MATCH_SET_NUMBERS);
    bool any = false;
    for (unsigned n = 0; n < MATCH_SET_NUMBERS; ++n) {
        const auto mark = table_.get(mark_of(n));
        const bool wanted = std::any_of(sets.begin(), sets.end(), [&](const DeclaredSet &set) {
            return set.number == n && mark == identity(set);
        });
        unwanted[n] = mark && !wanted;
        any |= unwanted[n];
    }
    if (!any)
        return Unit{};
    Elements gone; // the marks last: what is left after a crash is found again
    if (auto r = each([&](const match_set_element &e) {
            if (e.set < unwanted.size() && unwanted[e.set] && e.length != mark_length)
                gone.push_back(e);
        });
        !r)
        return r;
    if (auto r = delete_batches(table_.fd(), gone); !r)
        return r;
    for (unsigned n = 0; n < MATCH_SET_NUMBERS; ++n) {
        if (!unwanted[n])
            continue;
        counts_.erase(n);
        if (auto r = tell_lengths(n); !r)
            return r;
        table_.erase(mark_of(n));
    }
    return Unit{};
}

} // namespace evnf::efw
