// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/instance.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace evnf
{

LoadedInstance::LoadedInstance(const Instance &instance, const Pins &pins, bpf::MapSet maps)
    : instance_(instance),
      pins_(pins),
      maps_(std::move(maps))
{
}

LoadedInstance::~LoadedInstance()
{
    if (migrated_from_ && !committed_)
        pins_.remove_state(instance_.name, instance_.type->state_version);
}

Result<std::unique_ptr<LoadedInstance>> LoadedInstance::load(const Instance &instance,
                                                             const json &running, const Pins &pins,
                                                             bpf::MapSet &shared, bool resumes,
                                                             unsigned match_column)
{
    const auto versions = pins.state_versions(instance.name);
    auto folder = pins.instance_maps(instance.name, instance.type->state_version);
    if (!folder)
        return folder.error();
    std::unique_ptr<LoadedInstance> l(
        new LoadedInstance(instance, pins, bpf::MapSet(*folder, &shared)));
    l->maps_.set_constant("match_column", match_column);
    l->maps_.maps_only(); // each place gets a copy of the program, see load_place()
    auto fast_path = instance.type->load(l->maps_, instance.section, running);
    if (!fast_path)
        return fast_path.error();
    l->fast_path_ = *std::move(fast_path);
    if (auto r = l->read_objects(); !r)
        return r.error();
    if (resumes)
        if (auto r = l->load_tc(); !r)
            return r.error();
    if (auto r = l->maps_.carry(); !r)
        return r.error();
    if (auto r = l->migrate_state(versions); !r)
        return r.error();
    return l;
}

// Only root may say what runs in the kernel, whoever may steer it.
Result<> LoadedInstance::read_objects()
{
    if (instance_.objects.empty())
        return Unit{};
    for (const auto &[file, bytes] : {std::pair{instance_.type->name + ".bpf.o", &xdp_object_},
                                      std::pair{instance_.type->name + "_tc.bpf.o", &tc_object_}}) {
        const std::string path = instance_.objects + "/" + file;
        struct stat info {
        };
        std::ifstream in(path, std::ios::binary);
        if (!in || ::stat(path.c_str(), &info))
            return sys_error("read " + path);
        if (info.st_uid != 0 || (info.st_mode & (S_IWGRP | S_IWOTH)))
            return bad_input(path + " can be written by others than root: chown root, chmod go-w",
                             "/" + instance_.name + "/objects");
        const std::string text(std::istreambuf_iterator<char>(in), {});
        const auto whole = std::as_bytes(std::span(text));
        bytes->assign(whole.begin(), whole.end());
    }
    return Unit{};
}

Result<> LoadedInstance::load_tc()
{
    const std::string &vnf = instance_.type->name;
    bpf::MapSet maps("", &maps_);
    auto tc = bpf::Object::load(maps, vnf + "_tc",
                                tc_object_.empty() ? stage_objects(vnf).tc : tc_object_);
    if (!tc)
        return tc.error();
    tc_ = *std::move(tc);
    return Unit{};
}

// State of another version of the VNF becomes this one's, if it can say how.
Result<> LoadedInstance::migrate_state(const std::vector<unsigned> &versions)
{
    const VnfType &type = *instance_.type;
    if (versions.empty() || versions == std::vector{type.state_version})
        return Unit{};
    migrated_from_ = *std::find_if(versions.begin(), versions.end(),
                                   [&](unsigned v) { return v != type.state_version; });
    if (!type.migrate && pins_.replaces_foreign())
        return Unit{}; // commit() removes it
    if (!type.migrate)
        return bad_input("the running " + instance_.name + " keeps its state in layout " +
                         std::to_string(migrated_from_) + ", this evnfd in layout " +
                         std::to_string(type.state_version) +
                         " and cannot convert it: go on with the old evnfd, or start this one with "
                         "--anew (established connections and counters are then lost)");
    return convert();
}

Result<> LoadedInstance::convert()
{
    if (!migrated_from_ || !instance_.type->migrate)
        return Unit{};
    auto old = pins_.instance_maps(instance_.name, migrated_from_);
    if (!old)
        return old.error();
    for (const auto &entry : std::filesystem::directory_iterator(*old)) {
        const std::string name = entry.path().filename();
        const Fd from(bpf_obj_get(entry.path().c_str()));
        auto to = maps_.fd(name);
        if (!from || !to)
            continue; // the new version has no such map
        if (auto r = instance_.type->migrate(migrated_from_, name, from.get(), *to); !r)
            return std::move(r).context("convert " + name);
    }
    return Unit{};
}

Result<> LoadedInstance::commit()
{
    if (auto r = maps_.commit(); !r)
        return r;
    if (auto r = convert(); !r)
        return r;
    if (migrated_from_)
        pins_.remove_state(instance_.name, migrated_from_);
    committed_ = true;
    return Unit{};
}

Result<int> LoadedInstance::load_place(unsigned slot, unsigned next)
{
    const std::string &vnf = instance_.type->name;
    bpf::MapSet maps("", &maps_);
    maps.set_constant("place_slot", slot);
    maps.set_constant("place_next", next);
    auto object =
        bpf::Object::load(maps, vnf, xdp_object_.empty() ? stage_objects(vnf).xdp : xdp_object_);
    if (!object)
        return object.error();
    auto program = object->program(vnf);
    places_.emplace(slot, *std::move(object));
    return program;
}

Result<int> LoadedInstance::tc_program() const
{
    return tc_->program(instance_.type->name);
}

} // namespace evnf
