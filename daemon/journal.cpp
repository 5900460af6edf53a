// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "base/file.hpp"

namespace evnf
{

Result<std::vector<json>> Journal::read() const
{
    std::ifstream in(path_);
    std::vector<json> out;
    if (!in && errno == ENOENT)
        return out;
    if (!in)
        return sys_error("read " + path_);
    for (std::string line; std::getline(in, line) && !in.eof();) {
        out.push_back(json::parse(line, nullptr, false));
        if (out.back().is_discarded())
            return bad_input(path_ + " is damaged in line " + std::to_string(out.size()) +
                             ": remove it to start without the changes that are in it");
    }
    return out;
}

// Anew: what is in a file from before has been read, and is kept by now.
Result<> Journal::open()
{
    if (auto r = replace_file(path_, ""); !r)
        return r;
    file_ = Fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    size_ = 0;
    return file_ ? Result<>(Unit{}) : sys_error("write " + path_);
}

Result<> Journal::add(const json &entry)
{
    if (!file_)
        if (auto r = open(); !r)
            return r;
    const std::string line = entry.dump() + "\n";
    auto written = write_all(file_, line);
    if (written && ::fdatasync(file_.get()))
        written = sys_error("write");
    if (written) {
        size_ += line.size();
        return Unit{};
    }
    // A part of it may be there, behind which nothing must come.
    if (::ftruncate(file_.get(), static_cast<off_t>(size_)))
        file_ = Fd();
    return std::move(written).context(path_);
}

Result<> Journal::clear()
{
    if (file_ && size_ == 0)
        return Unit{};
    return open();
}

} // namespace evnf
