// SPDX-License-Identifier: GPL-2.0-or-later
// Maps of the fast path, for what outlives the programs that brought them.
#pragma once

#include <fcntl.h>

#include <optional>
#include <string>

#include "base/bpf.hpp"

namespace evnf::edpi
{

// The values of an array as memory.
template <class T>
Result<> map_array(const bpf::MapSet &maps, const std::string &name,
                   std::optional<bpf::Mapping> &memory, T *&values)
{
    auto fd = maps.fd(name);
    if (!fd)
        return fd.error();
    auto mapped = bpf::Mapping::of_array(*fd, sizeof(T));
    if (!mapped)
        return std::move(mapped).context("map " + name).error();
    values = reinterpret_cast<T *>(mapped->data());
    memory.emplace(*std::move(mapped));
    return Unit{};
}

// A descriptor of our own.
inline Result<> keep_map(const bpf::MapSet &maps, const std::string &name, Fd &own)
{
    auto fd = maps.fd(name);
    if (!fd)
        return fd.error();
    own = Fd(::fcntl(*fd, F_DUPFD_CLOEXEC, 0));
    if (!own)
        return sys_error("keep map " + name);
    return Unit{};
}

} // namespace evnf::edpi
