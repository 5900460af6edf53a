// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/feedback/secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.hpp"

namespace evnf::elb
{

Result<std::string> read_secret(const std::string &path)
{
    constexpr std::size_t longest = 256;
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd)
        return sys_error("read " + path);
    struct stat info {
    };
    if (::fstat(fd.get(), &info))
        return sys_error("read " + path);
    if (!S_ISREG(info.st_mode))
        return bad_input(path + " is not a file");
    if ((info.st_uid != 0 && info.st_uid != ::geteuid()) || (info.st_mode & 077))
        return bad_input(path + " can be read by others than root: chown root, chmod 600");
    char buffer[longest + 2];
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0)
        return sys_error("read " + path);
    std::string text(buffer, static_cast<std::size_t>(n));
    if (text.ends_with("\n"))
        text.pop_back();
    if (text.empty() || text.size() > longest || text.find('\n') != text.npos)
        return bad_input(path + " is to have one line, of up to " + std::to_string(longest) +
                         " characters");
    return text;
}

} // namespace evnf::elb
