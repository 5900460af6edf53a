// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

namespace evnf
{

Result<> write_all(const Fd &fd, std::string_view text)
{
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
        if (n < 0 && errno != EINTR)
            return sys_error("write");
        done += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    return Unit{};
}

Result<> replace_file(const std::string &path, std::string_view text)
{
    const std::string fresh = path + ".new";
    const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd)
        return sys_error("write " + fresh);
    if (auto r = write_all(fd, text); !r)
        return std::move(r).context(fresh);
    if (::fsync(fd.get()))
        return sys_error("write " + fresh);
    if (std::rename(fresh.c_str(), path.c_str()))
        return sys_error("replace " + path);
    // The name too must be on the disk before the change counts as made.
    const std::string folder = std::filesystem::path(path).parent_path();
    const Fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir || ::fsync(dir.get()))
        return sys_error("write " + folder);
    return Unit{};
}

} // namespace evnf
