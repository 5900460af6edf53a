// SPDX-License-Identifier: GPL-2.0-or-later
// An input that is read as a file.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/fd.hpp"
#include "fuzz/target.hpp"

namespace evnf::fuzz
{

class File
{
public:
    File(const std::uint8_t *data, std::size_t size) : fd_(::memfd_create("fuzz", MFD_CLOEXEC))
    {
        REQUIRE(fd_ && ::write(fd_.get(), data, size) == static_cast<ssize_t>(size));
    }
    [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

private:
    Fd fd_;
};

} // namespace evnf::fuzz
