// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/active.hpp"

#include <algorithm>

namespace evnf::elb
{

namespace
{

std::uint64_t difference(std::uint64_t more, std::uint64_t less)
{
    return more > less ? more - less : 0;
}

} // namespace

Result<Active> Active::bind(const bpf::MapSet &maps)
{
    auto fd = maps.fd("elb_active");
    if (!fd)
        return fd.error();
    auto mapping = bpf::Mapping::of_array(*fd, sizeof(elb_active));
    if (!mapping)
        return mapping.error();
    return Active(*std::move(mapping));
}

Active::Active(bpf::Mapping mapping)
    : mapping_(std::move(mapping)),
      before_(ELB_MAX_BACKENDS),
      found_(ELB_MAX_BACKENDS)
{
    begin();
}

elb_active Active::now(unsigned backend) const
{
    return {__atomic_load_n(&at(backend)->began, __ATOMIC_RELAXED),
            __atomic_load_n(&at(backend)->ended, __ATOMIC_RELAXED)};
}

std::uint64_t Active::count(unsigned backend) const
{
    const elb_active a = now(backend);
    return difference(a.began, a.ended);
}

void Active::ends(unsigned backend)
{
    __atomic_fetch_add(&at(backend)->ended, 1, __ATOMIC_RELAXED);
}

void Active::begin()
{
    for (unsigned b = 0; b < ELB_MAX_BACKENDS; ++b)
        before_[b] = now(b);
    std::fill(found_.begin(), found_.end(), 0);
}

void Active::all_found()
{
    for (unsigned b = 0; b < ELB_MAX_BACKENDS; ++b) {
        const elb_active a = now(b);
        const std::uint64_t least = difference(found_[b], a.ended - before_[b].ended);
        const std::uint64_t most = found_[b] + (a.began - before_[b].began);
        if (a.began < a.ended + least)
            __atomic_fetch_add(&at(b)->began, a.ended + least - a.began, __ATOMIC_RELAXED);
        else if (a.began > a.ended + most)
            __atomic_fetch_add(&at(b)->ended, a.began - a.ended - most, __ATOMIC_RELAXED);
    }
    begin();
}

} // namespace evnf::elb
