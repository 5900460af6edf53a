// SPDX-License-Identifier: GPL-2.0-or-later
// Small changes of the kept state, a line each in a file beside it: to keep one costs what it
// is, not what the state is.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

class Journal
{
public:
    explicit Journal(std::string path) : path_(std::move(path)) {}

    // What was added since the last clear(), the oldest first. Of a line that is not whole, for
    // which the daemon ended too early, nobody was told that it is kept.
    [[nodiscard]] Result<std::vector<json>> read() const;
    // Returns when it is on the disk.
    Result<> add(const json &entry);
    // The state has been kept as a whole.
    Result<> clear();
    [[nodiscard]] std::size_t size() const { return size_; } // in bytes

private:
    Result<> open();

    std::string path_;
    Fd file_;
    std::size_t size_ = 0;
};

} // namespace evnf
