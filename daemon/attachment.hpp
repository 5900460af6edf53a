// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace evnf
{

// An XDP program on an interface, held by a pinned link: it stays when this object,
// or the daemon, is gone.
class Attachment
{
public:
    // Takes over the link pinned at `path`, if it is there and still on `ifindex`; a
    // link whose interface is gone is removed. What comes back empty: attach anew.
    static Result<Attachment> adopt(const std::string &path, unsigned ifindex);
    // Attaches `program` and pins the link. `pin_root` is where to look for the daemon
    // that has the interface already.
    static Result<Attachment> attach(const std::string &path, const std::string &interface,
                                     unsigned ifindex, int program, bool generic,
                                     const std::string &pin_root);

    explicit operator bool() const { return static_cast<bool>(link_); }

    // Puts another program in the place of the one attached; each packet meets one of
    // the two. Gives the id of the program in force.
    Result<> replace(int program);
    [[nodiscard]] Result<unsigned> program_id() const;
    // Detaches: removes the pin, and with it the last reference.
    Result<> detach() &&;

private:
    Attachment(Fd link, std::string path) : link_(std::move(link)), path_(std::move(path)) {}
    Fd link_;
    std::string path_;
};

// As its author called it, for people: the kernel keeps 15 letters. "?" if it cannot be read.
std::string program_name(unsigned id);

// What is attached to an interface now, for people: "native" or "generic", or empty.
std::string attached_mode(unsigned ifindex);

} // namespace evnf
