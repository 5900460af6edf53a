// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bpf.hpp"

struct reenter_bpf;

namespace evnf
{

// Puts a packet that user space held back into its chain, after the slot that it left, as
// if it came in by its interface again. Of one generation; from any thread.
class Reenter
{
public:
    static Result<std::unique_ptr<Reenter>> load(bpf::MapSet &maps);
    ~Reenter();
    Reenter(const Reenter &) = delete;
    Reenter &operator=(const Reenter &) = delete;

    Result<> send(unsigned place, unsigned ifindex, std::span<const std::uint8_t> frame) const;

private:
    explicit Reenter(bpf::Skeleton<reenter_bpf> skel);
    std::unique_ptr<bpf::Skeleton<reenter_bpf>> skel_;
};

} // namespace evnf
