// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/pins.hpp"

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "abi/place.h"
#include "base/fd.hpp"

namespace evnf
{

namespace fs = std::filesystem;

namespace
{

const std::string owner_prefix = "owner-";
const std::string abi_dir = "abi" + std::to_string(EVNF_ABI);

// The BPF file system reserves dots in names; "eth0.100" is "eth0%100".
std::string pin_name(std::string interface)
{
    for (char &c : interface)
        if (c == '.')
            c = '%';
    return interface;
}

std::string interface_of(std::string pin)
{
    for (char &c : pin)
        if (c == '%')
            c = '.';
    return pin;
}

std::vector<std::string> names_in(const std::string &folder)
{
    std::vector<std::string> out;
    std::error_code ec;
    for (const auto &entry : fs::directory_iterator(folder, ec))
        out.push_back(entry.path().filename());
    return out;
}

std::vector<unsigned> generations_of(const std::string &base)
{
    std::vector<unsigned> out;
    for (const auto &name : names_in(base + "/gen")) {
        unsigned n = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), n).ec == std::errc{})
            out.push_back(n);
    }
    return out;
}

unsigned link_program(const std::string &path)
{
    const Fd link(bpf_obj_get(path.c_str()));
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (!link || bpf_obj_get_info_by_fd(link.get(), &info, &size))
        return 0;
    return info.prog_id;
}

} // namespace

Pins::Pins(std::string root, std::string name, Foreign foreign)
    : root_(root),
      home_(std::move(root) + "/" + std::move(name)),
      base_(home_ + "/" + abi_dir),
      foreign_(foreign)
{
}

Result<> Pins::create()
{
    for (const auto &other : names_in(home_)) {
        if (other == abi_dir)
            continue;
        if (!replaces_foreign())
            return bad_input(home_ + "/" + other +
                             " was left by an evnfd whose tables are laid out differently (" +
                             abi_dir +
                             " here), and goes on: start the old evnfd again, or this one with "
                             "--anew; established connections and counters are then lost");
        foreign_bases_.push_back(home_ + "/" + other);
    }
    std::error_code ec;
    for (const auto *folder : {"/maps", "/links", "/gen"}) {
        fs::create_directories(base_ + folder, ec);
        if (ec)
            return sys_error("make " + base_ + folder, ec.value());
    }
    struct statfs where {
    };
    if (::statfs(base_.c_str(), &where))
        return sys_error("look at " + base_);
    if (where.f_type != BPF_FS_MAGIC)
        return bad_input(base_ + " is not on a BPF file system, so the fast path could not "
                                 "outlive the daemon: mount -t bpf bpf /sys/fs/bpf");
    return Unit{};
}

Result<std::string> Pins::instance_maps(const std::string &instance, unsigned version) const
{
    std::string folder = maps() + "/" + instance + "/v" + std::to_string(version);
    std::error_code ec;
    fs::create_directories(folder, ec);
    if (ec)
        return sys_error("make " + folder, ec.value());
    return folder;
}

std::vector<unsigned> Pins::state_versions(const std::string &instance) const
{
    std::vector<unsigned> out;
    for (const auto &name : names_in(maps() + "/" + instance)) {
        unsigned n = 0;
        if (name.starts_with("v") &&
            std::from_chars(name.data() + 1, name.data() + name.size(), n).ec == std::errc{})
            out.push_back(n);
    }
    return out;
}

void Pins::remove_state(const std::string &instance, unsigned version) const
{
    std::error_code ec; // what cannot be removed is found again at the next start
    fs::remove_all(maps() + "/" + instance + "/v" + std::to_string(version), ec);
}

Result<> Pins::replace_foreign()
{
    for (const auto &other : foreign_bases_) {
        std::error_code ec;
        for (const auto &name : names_in(other + "/links")) {
            fs::rename(other + "/links/" + name, base_ + "/links/" + name, ec);
            if (ec)
                return sys_error("move " + other + "/links/" + name, ec.value());
        }
        fs::remove_all(other, ec);
        if (ec)
            return sys_error("remove " + other, ec.value());
    }
    foreign_bases_.clear();
    return Unit{};
}

void Pins::leave_foreign() const
{
    std::error_code ec; // what cannot be removed is found again at the next start
    if (has_foreign())
        fs::remove_all(base_, ec);
}

std::optional<unsigned> Pins::known_owner() const
{
    for (const auto &abi : names_in(home_))
        for (const auto &entry : names_in(home_ + "/" + abi))
            if (entry.starts_with(owner_prefix))
                return static_cast<unsigned>(std::stoul(entry.substr(owner_prefix.size())));
    return std::nullopt;
}

Result<unsigned> Pins::owner() const
{
    if (const auto known = known_owner()) {
        const std::string own = base_ + "/" + owner_prefix + std::to_string(*known);
        if (::mkdir(own.c_str(), 0700) && errno != EEXIST)
            return sys_error("make " + own);
        return *known;
    }
    std::set<std::string> taken;
    for (const auto &name : names_in(root_))
        for (const auto &abi : names_in(root_ + "/" + name))
            for (const auto &entry : names_in(root_ + "/" + name + "/" + abi))
                taken.insert(entry);
    for (unsigned n = 0; n < PLACE_OWNERS; ++n) {
        if (taken.contains(owner_prefix + std::to_string(n)))
            continue;
        const std::string own = base_ + "/" + owner_prefix + std::to_string(n);
        if (::mkdir(own.c_str(), 0700))
            return sys_error("make " + own);
        return n;
    }
    return bad_input("there are " + std::to_string(PLACE_OWNERS) + " evnfd already under " + root_ +
                     ": end one with evnfd --detach, or use "
                     "another --pin-dir in another network namespace");
}

std::string Pins::link(const std::string &interface) const
{
    std::error_code ec;
    for (const auto &other : foreign_bases_)
        if (auto path = other + "/links/" + pin_name(interface); fs::exists(path, ec))
            return path;
    return base_ + "/links/" + pin_name(interface);
}

std::string Pins::generation(unsigned n) const
{
    return base_ + "/gen/" + std::to_string(n);
}

std::vector<std::string> Pins::linked_interfaces() const
{
    std::vector<std::string> out;
    auto bases = foreign_bases_;
    bases.push_back(base_);
    for (const auto &base : bases)
        for (const auto &name : names_in(base + "/links"))
            out.push_back(interface_of(name));
    return out;
}

std::vector<unsigned> Pins::generations() const
{
    return generations_of(base_);
}

unsigned Pins::last_generation() const
{
    unsigned last = 0;
    for (const auto &abi : names_in(home_))
        for (const unsigned n : generations_of(home_ + "/" + abi))
            last = std::max(last, n);
    return last;
}

bool Pins::resumes(unsigned n) const
{
    std::error_code ec;
    return fs::exists(generation(n) + "/place_guards", ec);
}

void Pins::remove_generation(unsigned n) const
{
    std::error_code ec; // a pin that cannot be removed is found again at the next start
    fs::remove_all(generation(n), ec);
}

Result<std::vector<std::string>> Pins::remove_all() const
{
    std::vector<std::string> freed;
    std::error_code ec;
    for (const auto &abi : names_in(home_))
        for (const auto &name : names_in(home_ + "/" + abi + "/links")) {
            // Now: by its pin alone a link goes some time after that.
            if (const Fd link(bpf_obj_get((home_ + "/" + abi + "/links/" + name).c_str())); link)
                bpf_link_detach(link.get());
            freed.push_back(interface_of(name));
        }
    fs::remove_all(home_, ec);
    if (ec)
        return sys_error("remove " + home_, ec.value());
    return freed;
}

std::string Pins::owner_of(const std::string &root, unsigned program_id)
{
    for (const auto &name : names_in(root))
        for (const auto &abi : names_in(root + "/" + name))
            for (const auto &link : names_in(root + "/" + name + "/" + abi + "/links"))
                if (link_program(root + "/" + name + "/" + abi + "/links/" + link) == program_id)
                    return name;
    return "";
}

} // namespace evnf
