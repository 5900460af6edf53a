// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/clients.hpp"

namespace evnf::elb
{

Result<Clients> Clients::bind(const bpf::MapSet &maps)
{
    auto table = Table::bind(maps, "elb_clients");
    if (!table)
        return table.error();
    return Clients(*table);
}

void Clients::put(const std::vector<Service> &services)
{
    timeouts_.clear();
    for (const auto &s : services)
        if (s.choice.by_source)
            timeouts_[s.id()] = s.choice.timeout;
}

Result<> Clients::tick(std::uint32_t clock)
{
    constexpr std::uint32_t batch = 4096;
    std::vector<elb_client_key> keys(batch);
    std::vector<elb_client> clients(batch);
    __u32 n = batch, next = 0;
    const bool more = bpf_map_lookup_batch(table_.fd(), at_ ? &*at_ : nullptr, &next, keys.data(),
                                           clients.data(), &n, nullptr) == 0;
    if (!more && errno != ENOENT) // the end
        return sys_error("read where clients were");
    at_ = more ? std::optional(next) : std::nullopt;
    for (std::size_t i = 0; i < n; ++i) {
        const auto timeout = timeouts_.find(keys[i].service);
        if (timeout != timeouts_.end() && clock - clients[i].seen <= timeout->second)
            continue;
        // One that came again since it was read stays, as far as can be seen.
        if (const auto now = table_.get(keys[i]); now && now->seen == clients[i].seen)
            table_.erase(keys[i]);
    }
    return Unit{};
}

} // namespace evnf::elb
