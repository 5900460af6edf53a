// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/bpf.hpp"

#include <bpf/btf.h>
#include <fcntl.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace evnf::bpf
{

namespace
{

// What libbpf says while an object loads: the verifier's reasons, wanted only when
// the load fails.
std::string *libbpf_log = nullptr;

int collect_log(libbpf_print_level level, const char *format, va_list args)
{
    if (!libbpf_log || level == LIBBPF_DEBUG)
        return 0;
    char line[4096];
    std::vsnprintf(line, sizeof line, format, args);
    libbpf_log->append(line);
    constexpr std::size_t keep = 8192; // the end says why
    if (libbpf_log->size() > 2 * keep)
        libbpf_log->erase(0, libbpf_log->size() - keep);
    return 0;
}

class LogScope
{
public:
    LogScope()
    {
        libbpf_log = &text_;
        libbpf_set_print(collect_log);
    }
    ~LogScope() { libbpf_log = nullptr; }
    LogScope(const LogScope &) = delete;
    LogScope &operator=(const LogScope &) = delete;

    [[nodiscard]] const std::string &text() const { return text_; }

private:
    std::string text_;
};

Fd duplicate(int fd)
{
    return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

// A pinned map of another shape cannot be adopted: say so before libbpf says EINVAL.
Result<> check_adoptable(const bpf_map *map, int fd)
{
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &size))
        return sys_error("read map info");
    auto same = [&](const char *what, __u32 has, __u32 wants) -> Result<> {
        if (has == wants)
            return Unit{};
        return bad_input(std::string("the running fast path's map ") + bpf_map__name(map) +
                         " has " + what + " " + std::to_string(has) + ", wanted is " +
                         std::to_string(wants) +
                         ": keep the old value, or detach first (established connections and "
                         "counters are then lost)");
    };
    if (auto r = same("type", info.type, bpf_map__type(map)); !r)
        return r;
    if (auto r = same("key size", info.key_size, bpf_map__key_size(map)); !r)
        return r;
    if (auto r = same("value size", info.value_size, bpf_map__value_size(map)); !r)
        return r;
    return same("size", info.max_entries, bpf_map__max_entries(map));
}

} // namespace

const Fd *MapSet::find(const std::string &name) const
{
    if (shared_)
        if (const Fd *fd = shared_->find(name))
            return fd;
    const auto it = maps_.find(name);
    return it == maps_.end() ? nullptr : &it->second;
}

Result<> MapSet::lend_to(bpf_object *object)
{
    bpf_map *map = nullptr;
    bpf_object__for_each_map(map, object)
    {
        const std::string name = bpf_map__name(map);
        if (bpf_map__is_internal(map))
            continue; // .rodata and the like are each object's own
        const bool is_state = bpf_map__pin_path(map) != nullptr;
        const std::string path = pin_dir_ + "/" + name;
        const Fd *known = find(name);
        const bool pin = is_state && !pin_dir_.empty() && !known;
        if (bpf_map__set_pin_path(map, pin ? path.c_str() : nullptr))
            return sys_error("set pin path of " + name);
        if (known && bpf_map__reuse_fd(map, known->get()))
            return sys_error("reuse map " + name);
        if (!pin)
            continue;
        Fd pinned(bpf_obj_get(path.c_str()));
        if (!pinned)
            continue; // libbpf creates it and pins it
        if (auto r = check_adoptable(map, pinned.get()); !r)
            return r;
    }
    return Unit{};
}

Result<> MapSet::take_from(bpf_object *object)
{
    bpf_map *map = nullptr;
    bpf_object__for_each_map(map, object)
    {
        const std::string name = bpf_map__name(map);
        if (bpf_map__is_internal(map) || find(name))
            continue;
        Fd own = duplicate(bpf_map__fd(map));
        if (!own)
            return sys_error("keep map " + name);
        maps_.emplace(name, std::move(own));
    }
    return Unit{};
}

void MapSet::set_constants(bpf_object *object) const
{
    if (shared_)
        shared_->set_constants(object);
    const btf *types = bpf_object__btf(object);
    bpf_map *map = nullptr;
    bpf_object__for_each_map(map, object)
    {
        // libbpf calls it "<object>.rodata"; its layout is the BTF section ".rodata".
        const std::string name = bpf_map__name(map);
        if (!bpf_map__is_internal(map) || !name.ends_with(".rodata"))
            continue;
        std::size_t size = 0;
        auto *bytes = static_cast<char *>(const_cast<void *>(bpf_map__initial_value(map, &size)));
        const int id = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
        if (id < 0 || !bytes)
            continue;
        const btf_type *section = btf__type_by_id(types, static_cast<__u32>(id));
        const btf_var_secinfo *var = btf_var_secinfos(section);
        for (int i = 0; i < btf_vlen(section); ++i, ++var) {
            const btf_type *type = btf__type_by_id(types, var->type);
            const auto it = constants_.find(btf__name_by_offset(types, type->name_off));
            if (it != constants_.end() && var->size == sizeof(__u32) &&
                var->offset + var->size <= size)
                std::memcpy(bytes + var->offset, &it->second, sizeof(__u32));
        }
    }
}

Result<int> MapSet::fd(const std::string &name) const
{
    const Fd *fd = find(name);
    if (!fd)
        return sys_error("no BPF map named " + name, ENOENT);
    return fd->get();
}

Result<> load_object(bpf_object *object, MapSet &maps)
{
    const std::string name = bpf_object__name(object);
    LogScope log;
    if (auto r = maps.lend_to(object); !r)
        return std::move(r).context("load " + name);
    maps.set_constants(object);
    bpf_program *program = nullptr;
    if (maps.is_maps_only())
        bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, false);
    if (int err = bpf_object__load(object); err) {
        const std::string why = log.text().empty() ? "" : "\n" + log.text();
        return sys_error("load " + name + ": the kernel refused it" + why, err);
    }
    return maps.take_from(object);
}

Result<Object> Object::load(MapSet &maps, const std::string &name, std::span<const std::byte> elf)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name.c_str());
    Object o(bpf_object__open_mem(elf.data(), elf.size(), &opts));
    if (!o.object_)
        return sys_error("open BPF object " + name);
    if (auto r = load_object(o.object_.get(), maps); !r)
        return r.error();
    return o;
}

Result<int> Object::program(const std::string &name) const
{
    const bpf_program *p = bpf_object__find_program_by_name(object_.get(), name.c_str());
    if (!p)
        return sys_error("no BPF program named " + name, ENOENT);
    return bpf_program__fd(p);
}

Result<> check_sizes(int fd, std::size_t key, std::size_t value)
{
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &size))
        return sys_error("read map info");
    if (info.key_size != key || info.value_size != value)
        return sys_error("keys or values are not of the size this daemon was built with", EPROTO);
    return Unit{};
}

Result<std::size_t> possible_cpus()
{
    static const int cpus = libbpf_num_possible_cpus();
    if (cpus < 0)
        return sys_error("count CPUs", cpus);
    return static_cast<std::size_t>(cpus);
}

} // namespace evnf::bpf
