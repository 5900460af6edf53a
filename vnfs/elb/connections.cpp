// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/connections.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "vnfs/elb/openings.hpp"

namespace evnf::elb
{

namespace
{

constexpr std::uint32_t batch = 4096;

// The first layout, of evnfd 0.1 before connections had time-outs.
struct FirstConn {
    ip_addr addr;
    __be16 port;
    __u16 backend;
    __u8 rewrite;
    __u8 closing;
    __u8 pad[2];
};
static_assert(sizeof(FirstConn) == 24);

// Whether it counts as one that its backend has now, see active.h.
bool is_active(const elb_conn &one, const std::optional<elb_conn> &other)
{
    return !(one.flags | (other ? other->flags : 0));
}
// The second, before source NAT: what the third and this one begin with. Its padding was zero.
constexpr std::size_t second_conn = 28, second_opening = 32;
static_assert(offsetof(elb_conn, far) == second_conn && ELB_NAT == 0);
static_assert(offsetof(elb_opening, far) == second_opening);
// The third, whose opening connections were in a table as the others are.
constexpr std::size_t third_conn = sizeof(elb_conn), third_opening = sizeof(elb_opening);

bool same(const flow_key &a, const flow_key &b)
{
    return std::memcmp(&a, &b, sizeof a) == 0;
}

} // namespace

flow_key key_back(const flow_key &key, const elb_conn &conn)
{
    flow_key back = key;
    std::swap(back.saddr, back.daddr);
    std::swap(back.sport, back.dport);
    const bool to_backend = conn.rewrite == ELB_TO_BACKEND;
    (to_backend ? back.saddr : back.daddr) = conn.addr;
    (to_backend ? back.sport : back.dport) = conn.port;
    if (conn.forward == ELB_SOURCE_NAT) {
        (to_backend ? back.daddr : back.saddr) = conn.far.addr;
        (to_backend ? back.dport : back.sport) = conn.far.port;
    }
    return back;
}

Result<Connections> Connections::bind(const bpf::MapSet &maps)
{
    auto table = Table::bind(maps, "elb_conns");
    if (!table)
        return table.error();
    auto clock = Clock::bind(maps, "elb_clock");
    if (!clock)
        return clock.error();
    auto epoch_fd = maps.fd("elb_epoch");
    if (!epoch_fd)
        return epoch_fd.error();
    auto epoch = bpf::Mapping::of_array(*epoch_fd, sizeof(__u32));
    if (!epoch)
        return epoch.error();
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(table->fd(), &info, &length))
        return sys_error("look at map elb_conns");
    auto active = Active::bind(maps);
    if (!active)
        return active.error();
    Connections out(*table, *clock, *std::move(epoch), *std::move(active), info.max_entries);
    out.next_epoch(); // the first
    return out;
}

// The fast path turns it too: what it has turned away from must not come back.
void Connections::next_epoch()
{
    __atomic_fetch_add(reinterpret_cast<__u32 *>(epoch_.data()), 1, __ATOMIC_SEQ_CST);
}

Result<> Connections::tick(std::chrono::steady_clock::time_point now,
                           const BackendTimeouts &timeouts)
{
    std::uint32_t clock = this->clock();
    if (!began_)
        began_ = {now, clock};
    const auto passed = std::chrono::floor<std::chrono::seconds>(now - began_->first);
    const auto due = began_->second + static_cast<std::uint32_t>(passed.count());
    if (static_cast<std::int32_t>(due - clock) > 0) { // else another generation has turned it
        clock = due;
        if (auto r = clock_.put(0, clock); !r)
            return r;
    }
    next_epoch();
    for (std::size_t seen = 0; seen < size_ / ticks_of_pass + batch; seen += batch) {
        auto ended = sweep_batch(timeouts, clock);
        if (!ended)
            return ended.error();
        if (*ended)
            break; // the next pass begins at the next tick
    }
    return Unit{};
}

Result<Connections::Batch> Connections::read(std::optional<std::uint32_t> from) const
{
    Batch out{std::vector<flow_key>(batch), std::vector<elb_conn>(batch), {}};
    __u32 n = batch, next = 0;
    if (bpf_map_lookup_batch(table_.fd(), from ? &*from : nullptr, &next, out.keys.data(),
                             out.conns.data(), &n, nullptr) == 0)
        out.next = next;
    else if (errno != ENOENT) // the end
        return sys_error("read the connections");
    out.keys.resize(n);
    out.conns.resize(n);
    return out;
}

Result<bool> Connections::sweep_batch(const BackendTimeouts &timeouts, std::uint32_t clock)
{
    const auto read_now = read(at_);
    if (!read_now)
        return read_now.error();
    for (std::size_t i = 0; i < read_now->keys.size(); ++i)
        look_at(read_now->keys[i], read_now->conns[i], timeouts.of(read_now->conns[i].backend),
                clock);
    at_ = read_now->next;
    if (at_)
        return false;
    active_.all_found();
    return true;
}

Result<Connections::Page> Connections::page(std::uint32_t from) const
{
    const auto got = read(from ? std::optional(from) : std::nullopt);
    if (!got)
        return got.error();
    Page out{{}, got->next};
    for (std::size_t i = 0; i < got->keys.size(); ++i)
        if (got->conns[i].rewrite == ELB_TO_BACKEND)
            out.connections.push_back(
                {got->keys[i], got->conns[i], table_.get(key_back(got->keys[i], got->conns[i]))});
    return out;
}

void Connections::forget(const Known &connection)
{
    table_.erase(key_back(connection.flow, connection.there));
    if (table_.erase(connection.flow) && is_active(connection.there, connection.back))
        active_.ends(connection.there.backend);
    next_epoch();
}

std::uint32_t Connections::silent(const Known &connection) const
{
    const std::uint32_t clock = this->clock();
    const std::uint32_t there = clock - connection.there.seen;
    return connection.back ? std::min(there, clock - connection.back->seen) : there;
}

// Both directions go together, and only if neither has had a packet.
void Connections::look_at(const flow_key &key, const elb_conn &conn, const Timeouts &timeouts,
                          std::uint32_t clock)
{
    const bool to_backend = conn.rewrite == ELB_TO_BACKEND;
    const auto silent = [&](const elb_conn &c) { return clock - c.seen; };
    if (!to_backend && silent(conn) <= least_timeout(timeouts))
        return;
    const flow_key other_key = key_back(key, conn);
    auto other = table_.get(other_key);
    if (other && !same(key_back(other_key, *other), key)) // another connection's by now
        other.reset();
    const bool active = is_active(conn, other);
    if (to_backend && active)
        active_.found(conn.backend);
    const unsigned other_flags = other ? other->flags : 0U;
    const std::uint32_t most =
        timeout_of(timeouts, key.proto, to_backend ? conn.flags : other_flags,
                   to_backend ? other_flags : conn.flags);
    if (silent(conn) <= most || (other && silent(*other) <= most))
        return;
    // What had a packet since it was read stays, as far as can be seen.
    if (const auto now = table_.get(key); !now || now->seen != conn.seen)
        return;
    const bool erased = table_.erase(key);
    const bool other_erased = other && table_.erase(other_key);
    if (active && (to_backend ? erased : other_erased))
        active_.ends(conn.backend);
}

namespace
{

Result<> migrate_first(int old_fd, int new_fd)
{
    auto old = bpf::Map<flow_key, FirstConn>::bind(old_fd);
    auto table = bpf::Map<flow_key, elb_conn>::bind(new_fd);
    if (!old || !table)
        return old ? table.error() : old.error();
    for (const auto &key : old->keys()) {
        const auto c = old->get(key);
        if (!c)
            continue;
        elb_conn conn{};
        conn.addr = c->addr;
        conn.port = c->port;
        conn.backend = c->backend;
        conn.rewrite = c->rewrite;
        conn.flags = c->closing ? ELB_SEEN_FIN : 0;
        if (auto r = table->put(key, conn, BPF_NOEXIST); !r && r.error().code != EEXIST)
            return r;
    }
    return Unit{};
}

// Calls `each` with the entries of a table, of which the new ones begin with `size` bytes.
template <class Value, std::size_t size, class F>
Result<> each_beginning(int fd, F &&each)
{
    auto old = bpf::Map<flow_key, std::array<std::byte, size>>::bind(fd);
    if (!old)
        return old.error();
    for (const auto &key : old->keys()) {
        const auto beginning = old->get(key);
        if (!beginning)
            continue;
        Value value{};
        std::memcpy(&value, beginning->data(), size);
        if (auto r = each(key, value); !r && r.error().code != EEXIST)
            return r;
    }
    return Unit{};
}

template <std::size_t size>
Result<> migrate_conns(int old_fd, int new_fd)
{
    auto table = bpf::Map<flow_key, elb_conn>::bind(new_fd);
    if (!table)
        return table.error();
    return each_beginning<elb_conn, size>(old_fd, [&](const auto &key, const auto &conn) {
        return table->put(key, conn, BPF_NOEXIST);
    });
}

template <std::size_t size>
Result<> migrate_openings(int old_fd, int new_fd)
{
    auto table = OpeningSets::bind(new_fd);
    if (!table)
        return table.error();
    return each_beginning<elb_opening, size>(old_fd, [&](const auto &key, const auto &opening) {
        return enter_opening(*table, key, opening);
    });
}

// The connections' times are by it.
Result<> migrate_clock(int old_fd, int new_fd)
{
    auto old = bpf::Map<__u32, __u32>::bind(old_fd);
    auto clock = bpf::Map<__u32, __u32>::bind(new_fd);
    if (!old || !clock)
        return old ? clock.error() : old.error();
    const auto then = old->get(0).value_or(0), now = clock->get(0).value_or(0);
    return then > now ? clock->put(0, then) : Result<>(Unit{});
}

} // namespace

Result<> migrate_connections(unsigned from, const std::string &map, int old_fd, int new_fd)
{
    if (from == 1 && map == "elb_conns")
        return migrate_first(old_fd, new_fd);
    if (map == "elb_conns")
        return from == 2 ? migrate_conns<second_conn>(old_fd, new_fd)
                         : migrate_conns<third_conn>(old_fd, new_fd);
    if (map == "elb_openings" && from > 1)
        return from == 2 ? migrate_openings<second_opening>(old_fd, new_fd)
                         : migrate_openings<third_opening>(old_fd, new_fd);
    if (map == "elb_clock")
        return migrate_clock(old_fd, new_fd);
    return Unit{}; // counters begin at zero
}

} // namespace evnf::elb
