// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/state.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/fd.hpp"

namespace evnf
{

namespace
{

constexpr int version = 1;

Result<> write_all(const Fd &fd, const std::string &text)
{
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
        if (n < 0 && errno != EINTR)
            return sys_error("write");
        done += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    return Unit{};
}

} // namespace

bool State::has_incorporated(const json &file) const
{
    return std::find(incorporated.begin(), incorporated.end(), file) != incorporated.end();
}

Result<std::optional<State>> read_state(const std::string &path)
{
    std::ifstream in(path);
    if (!in && errno == ENOENT)
        return std::optional<State>();
    if (!in)
        return sys_error("read " + path);
    const json j = json::parse(in, nullptr, false);
    const std::string mend = ": it is not what evnfd writes; remove it to start from the "
                             "configuration file alone";
    if (!j.is_object() || j.value("version", 0) != version)
        return bad_input(path + mend);
    try {
        State s;
        s.document = j.at("document");
        s.slots = j.at("slots").get<Slots>();
        s.incorporated = j.at("incorporated").get<std::vector<json>>();
        return std::optional<State>(std::move(s));
    } catch (const json::exception &) {
        return bad_input(path + mend);
    }
}

Result<> write_state(const std::string &path, const State &state)
{
    const json j{{"version", version},
                 {"document", state.document},
                 {"slots", state.slots},
                 {"incorporated", state.incorporated}};
    const std::string fresh = path + ".new";
    const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd)
        return sys_error("write " + fresh);
    if (auto r = write_all(fd, j.dump(1) + "\n"); !r)
        return std::move(r).context(fresh);
    if (::fsync(fd.get()))
        return sys_error("write " + fresh);
    if (::rename(fresh.c_str(), path.c_str()))
        return sys_error("replace " + path);
    // The name too must be on the disk before the change counts as made.
    const std::string folder = std::filesystem::path(path).parent_path();
    const Fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir || ::fsync(dir.get()))
        return sys_error("write " + folder);
    return Unit{};
}

} // namespace evnf
