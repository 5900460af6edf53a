// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/flows.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "vnfs/edpi/copied.hpp"
#include "vnfs/edpi/record.hpp"

namespace evnf::edpi
{

namespace
{

constexpr unsigned fin = 0x01, rst = 0x04;
// Ended together: each such batch waits once for the packets under way.
constexpr std::size_t batch = 4096;

bool is_closed(const edpi_flow &f)
{
    const unsigned here = f.seen >> EDPI_SEEN_FLAGS(0), there = f.seen >> EDPI_SEEN_FLAGS(1);
    return (here & there & fin) || ((here | there) & rst);
}

} // namespace

Flows::Flows(Table table, Inspectors inspectors, Sink sink)
    : table_(std::move(table)),
      shares_(inspectors.size()),
      sink_(std::move(sink)),
      details_(table_.size()),
      told_(table_.size()),
      weighed_(table_.size()),
      copied_(table_.size())
{
    for (std::size_t i = 0; i < shares_.size(); ++i)
        shares_[i].inspector = std::move(inspectors[i]);
    // One that had all its copies while nobody looked would never be known, nor given up.
    for (std::uint32_t slot = 0; slot < table_.size(); ++slot)
        table_.inspect_anew(slot);
}

void Flows::set(Timeouts timeouts)
{
    const std::lock_guard lock(mutex_);
    timeouts_ = timeouts;
}

void Flows::set(Inspectors inspectors)
{
    for (std::size_t i = 0; i < shares_.size(); ++i) {
        const std::lock_guard lock(shares_[i].mutex);
        decide(shares_[i], shares_[i].inspector->conclude_all());
        shares_[i].inspector = std::move(inspectors[i]);
    }
}

void Flows::set(std::shared_ptr<const Rules> rules)
{
    {
        const std::lock_guard lock(mutex_);
        rules_ = std::move(rules);
    }
    // Who decides about a flow meanwhile does so by the new ones: it has the lock of the share.
    for (std::uint32_t slot = 0; slot < table_.size(); ++slot) {
        if (!table_.is_flow(slot))
            continue;
        const edpi_key key = table_.key(slot);
        Share &share = share_of(key);
        const std::lock_guard lock(share.mutex);
        if (!std::memcmp(&table_.key(slot), &key, sizeof key)) // or another flow's by now
            judge(share, slot);
    }
}

std::shared_ptr<const Rules> Flows::rules() const
{
    const std::lock_guard lock(mutex_);
    return rules_;
}

// As copy_bucket() in bpf/lib/copy.h, so that each worker has inspectors of its own when there
// are as many as there are workers.
Flows::Share &Flows::share_of(const edpi_key &key)
{
    std::uint32_t h = key.port[0] ^ key.port[1] ^ key.proto;
    for (int i = 0; i < 4; ++i)
        h ^= key.addr[0].w[i] ^ key.addr[1].w[i];
    h ^= h >> 16;
    h ^= h >> 8;
    return shares_[(h & (COPY_BUCKETS - 1)) % shares_.size()];
}

void Flows::inspect(const SlowPacket &packet, std::uint64_t ms)
{
    const auto copy = copied(packet);
    if (!copy || copy->slot >= table_.size())
        return;
    const auto slot = copy->slot;
    Share &share = share_of(copy->key);
    const std::lock_guard lock(share.mutex);
    // Whoever ends a flow says so before it takes the lock.
    if (table_.state(slot) != EDPI_OPEN ||
        std::memcmp(&table_.key(slot), &copy->key, sizeof copy->key))
        return;
    decide(share, share.inspector->inspect(slot, copy->key.proto, copy->ip, ms));
}

bool Flows::pass(const SlowPacket &packet, std::uint64_t ms)
{
    const auto slot = static_cast<std::uint32_t>(packet.note & ((1U << EDPI_NOTE_SLOT_BITS) - 1));
    if (slot >= table_.size())
        return true;
    const edpi_key key = table_.key(slot);
    Share &share = share_of(key);
    const std::lock_guard lock(share.mutex);
    // The slot may be another flow's by now.
    if (!table_.is_flow(slot) || packet.note != EDPI_NOTE(slot, table_.flow(slot).first) ||
        std::memcmp(&table_.key(slot), &key, sizeof key))
        return true;
    const auto ip = ip_of(packet.frame, packet.l3_off, key.family);
    if (table_.state(slot) == EDPI_OPEN && key.kind <= EDPI_NO_PORTS && !ip.empty())
        decide(share, share.inspector->inspect(slot, key.proto, ip, ms));
    return !is_dropped(share, slot, packet.frame.size());
}

bool Flows::is_dropped(Share &share, std::uint32_t slot, std::size_t bytes)
{
    const auto by = rules();
    const auto number = table_.standing(slot).policy;
    if (!by || !number)
        return false;
    const Policy *policy = by->find(number);
    if (!policy) { // one of the list before: it is this one's turn
        judge(share, slot);
        policy = by->find(table_.standing(slot).policy);
    }
    if (!policy || policy->entry.action != EDPI_DROP)
        return false;
    by->table->count_held(table_.standing(slot).policy, bytes);
    return true;
}

Identity Flows::identity(const Share &share, std::uint32_t slot) const
{
    {
        const std::lock_guard lock(mutex_);
        if (const auto &d = details_[slot])
            return {(*d)["application"], (*d)["category"], d->value("host", "")};
    }
    const edpi_flow flow = table_.flow(slot);
    const Application a{flow.master, flow.app};
    return {share.inspector->name(a), share.inspector->category(a), ""};
}

void Flows::judge(Share &share, std::uint32_t slot)
{
    const auto by = rules();
    const edpi_flow flow = table_.flow(slot);
    const bool known = flow.state != EDPI_OPEN;
    if (!by || !table_.is_flow(slot) || (!known && !flow.master && !flow.app))
        return;
    const Identity who = identity(share, slot);
    table_.set_standing(slot, {by->number_for(who, table_.standing(slot).policy),
                               known && by->elephants.takes(who, flow.bytes[0] + flow.bytes[1])});
}

// Whether a flow is an elephant by what it has in a second.
void Flows::weigh(std::uint32_t slot, std::uint64_t passed_ns)
{
    const edpi_flow flow = table_.flow(slot);
    const std::uint64_t seen = flow.bytes[0] + flow.bytes[1];
    const auto bits = 8.0 * static_cast<double>(seen - std::exchange(weighed_[slot], seen));
    const auto by = rules();
    if (!by || !by->elephants.rate || !passed_ns || flow.state == EDPI_OPEN ||
        table_.standing(slot).kept)
        return;
    if (bits * 1e9 / static_cast<double>(passed_ns) < static_cast<double>(by->elephants.rate))
        return;
    Share &share = share_of(table_.key(slot));
    const std::lock_guard lock(share.mutex); // nobody else sets it meanwhile
    table_.set_standing(slot, {table_.standing(slot).policy, true});
}

// Whether a flow has had all its copies, and of these so many are lost that the library still
// waits for one.
bool Flows::waits_in_vain(std::uint32_t slot)
{
    const edpi_flow flow = table_.flow(slot);
    const bool no_more = flow.copied == std::exchange(copied_[slot], flow.copied) &&
                         flow.bytes[0] + flow.bytes[1] != weighed_[slot];
    return no_more && flow.state == EDPI_OPEN && (flow.seen & EDPI_SEEN_COPY_LOST);
}

void Flows::give_up(std::uint32_t slot)
{
    conclude(slot);
    Share &share = share_of(table_.key(slot));
    const std::lock_guard lock(share.mutex);
    table_.close_inspection(slot); // of which no copy at all has come
    judge(share, slot);
}

void Flows::decide(Share &share, std::vector<Inspector::Decided> decided)
{
    for (auto &d : decided) {
        {
            const std::lock_guard lock(mutex_);
            const auto [master, app] = d.facts.application;
            details_[d.id] = std::make_unique<json>(std::move(d.facts.details));
            table_.name(d.id, master, app);
        }
        if (d.final)
            table_.close_inspection(d.id);
        judge(share, d.id);
    }
}

void Flows::conclude(std::uint32_t slot)
{
    Share &share = share_of(table_.key(slot));
    const std::lock_guard lock(share.mutex);
    std::vector<Inspector::Decided> decided;
    if (auto facts = share.inspector->conclude(slot))
        decided.push_back({slot, *std::move(facts)});
    decide(share, std::move(decided));
}

// Why a flow's record is due; null if it is not.
const char *Flows::due(std::uint32_t slot, std::uint64_t now) const
{
    constexpr std::uint64_t second = 1'000'000'000;
    const edpi_flow f = table_.flow(slot);
    const std::uint64_t silent = now > f.last ? now - f.last : 0;
    if (is_closed(f) && silent > timeouts_.closed * second)
        return "closed";
    if (silent > timeouts_.idle * second)
        return "idle";
    const std::uint64_t since = std::max<std::uint64_t>(f.first, told_[slot]);
    return now > since && now - since > timeouts_.active * second ? "active" : nullptr;
}

// The sink would not take it, or an evnfd died over it: then it need not have been due.
const char *Flows::why_ending(std::uint32_t slot, std::uint64_t now) const
{
    const std::lock_guard lock(mutex_);
    const char *why = due(slot, now);
    return why && why != std::string_view("active") ? why : "restart";
}

void Flows::sweep(std::uint64_t now)
{
    std::vector<Ending> ending;
    const std::uint64_t passed = swept_ ? now - swept_ : 0;
    swept_ = now;
    for (std::uint32_t slot = 0; slot < table_.size(); ++slot) {
        switch (table_.state(slot)) {
        case EDPI_TOLD:
        case EDPI_DONE:
            table_.release(slot); // an evnfd died over it
            break;
        case EDPI_SPARE:
        case EDPI_ENDING:
            ending.push_back({slot, why_ending(slot, now)});
            break;
        case EDPI_OPEN:
        case EDPI_CLASSIFIED:
        case EDPI_GIVEN_UP: {
            if (waits_in_vain(slot))
                give_up(slot);
            weigh(slot, passed);
            const std::lock_guard lock(mutex_);
            if (const char *why = due(slot, now))
                ending.push_back({slot, why});
            break;
        }
        default:
            break;
        }
        if (ending.size() == batch)
            end(std::exchange(ending, {}));
    }
    end(std::move(ending));
    tell_unaccounted();
}

void Flows::end_all(const std::string &why)
{
    std::vector<Ending> ending;
    for (std::uint32_t slot = 0; slot < table_.size(); ++slot)
        if (table_.is_flow(slot))
            ending.push_back({slot, why});
    end(std::move(ending));
    tell_unaccounted();
}

void Flows::count_lost(std::uint64_t records)
{
    const std::lock_guard lock(mutex_);
    lost_ += records;
}

void Flows::end(std::vector<Ending> ending)
{
    const auto now = now_ns();
    for (const auto &e : ending)
        if (e.why == "active" && tell(e.slot, e.why))
            told_[e.slot] = now;
    std::erase_if(ending,
                  [&](const Ending &e) { return e.why == "active" || !table_.begin_end(e.slot); });
    if (ending.empty())
        return;
    bpf::wait_for_packets_in_flight();
    for (const auto &e : ending) {
        conclude(e.slot);
        if (!tell(e.slot, e.why))
            continue; // asked again at the next sweep
        // Nobody judges a slot that is no flow's, nor is one made empty meanwhile.
        const std::lock_guard share(share_of(table_.key(e.slot)).mutex);
        const std::lock_guard lock(mutex_);
        details_[e.slot].reset();
        told_[e.slot] = 0;
        weighed_[e.slot] = 0;
        copied_[e.slot] = 0;
        table_.release(e.slot);
    }
}

bool Flows::tell(std::uint32_t slot, const std::string &why)
{
    const Counts counts = table_.counts(slot);
    const edpi_flow flow = table_.flow(slot);
    const bool ends = why != "active" && (flow.packets[0] || flow.packets[1]);
    if (counts.any() || ends) {
        json record = describe(slot, counts);
        record["end"] = why;
        if (!sink_(record))
            return false;
        table_.account_for(slot, counts);
    }
    const std::lock_guard lock(mutex_);
    Sum &sum = sums_[{flow.master, flow.app}];
    sum.exported += counts;
    sum.flows += ends;
    records_ += counts.any() || ends;
    return true;
}

void Flows::tell_unaccounted()
{
    const counter c = table_.unaccounted();
    if (!c.packets || !sink_(unaccounted_json(c)))
        return;
    table_.account_for_unaccounted(c);
    const std::lock_guard lock(mutex_);
    unaccounted_.packets += c.packets;
    unaccounted_.bytes += c.bytes;
    ++records_;
}

json Flows::describe(std::uint32_t slot, const Counts &counts) const
{
    edpi_flow flow;
    json out;
    const auto by = rules();
    {
        const std::lock_guard lock(mutex_); // name and number are of one moment
        flow = table_.flow(slot);
        out = flow_json(slot, table_.key(slot), flow, counts);
        if (const Policy *policy = by ? by->find(table_.standing(slot).policy) : nullptr)
            out["policy"] = policy->name;
        if (details_[slot]) {
            out.update(*details_[slot]);
            return out;
        }
    }
    const Application application{flow.master, flow.app};
    out["application"] = name(application);
    out["category"] = category(application);
    return out;
}

std::optional<json> Flows::show(std::uint32_t slot) const
{
    if (slot >= table_.size() || !table_.is_flow(slot))
        return std::nullopt;
    return describe(slot, table_.counts(slot));
}

Flows::Sums Flows::sums() const
{
    Sums out;
    {
        const std::lock_guard lock(mutex_);
        out = sums_;
    }
    for (std::uint32_t slot = 0; slot < table_.size(); ++slot)
        if (table_.is_flow(slot)) {
            const edpi_flow f = table_.flow(slot);
            Sum &sum = out[{f.master, f.app}];
            ++sum.active;
            sum.open += table_.counts(slot);
        }
    return out;
}

counter Flows::exported_unaccounted() const
{
    const std::lock_guard lock(mutex_);
    return unaccounted_;
}

Flows::Load Flows::load() const
{
    Load out;
    for (std::uint32_t slot = 0; slot < table_.size(); ++slot)
        out.used += table_.is_flow(slot);
    for (const auto &share : shares_) {
        const std::lock_guard lock(share.mutex);
        out.inspected += share.inspector->flows();
    }
    const std::lock_guard lock(mutex_);
    out.records = records_;
    out.lost = lost_;
    return out;
}

// Any inspector's names are those of all.
std::string Flows::name(Application a) const
{
    const std::lock_guard lock(shares_.front().mutex);
    return shares_.front().inspector->name(a);
}

std::string Flows::category(Application a) const
{
    const std::lock_guard lock(shares_.front().mutex);
    return shares_.front().inspector->category(a);
}

} // namespace evnf::edpi
