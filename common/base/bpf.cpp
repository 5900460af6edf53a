// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/bpf.hpp"

#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
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
    // The verifier's log is one message, of any length.
    va_list again;
    va_copy(again, args);
    const int size = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    std::vector<char> line(static_cast<std::size_t>(std::max(size, 0)) + 1);
    std::vsnprintf(line.data(), line.size(), format, args);
    libbpf_log->append(line.data());
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

bool is_hash(__u32 type)
{
    return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH;
}

// Whether a program may use a map that is there as its own: libbpf says no more than
// EINVAL, or nothing.
Result<> check_layout(const bpf_map *map, int fd, bool any_size, const std::string &mend)
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
                         std::to_string(wants) + mend);
    };
    if (auto r = same("type", info.type, bpf_map__type(map)); !r)
        return r;
    if (auto r = same("key size", info.key_size, bpf_map__key_size(map)); !r)
        return r;
    if (auto r = same("value size", info.value_size, bpf_map__value_size(map)); !r)
        return r;
    if (any_size || is_hash(info.type))
        return Unit{}; // its entries can be carried over to one of another size
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

std::optional<__u32> MapSet::size_of(const std::string &name) const
{
    const auto it = sizes_.find(name);
    if (it != sizes_.end())
        return it->second;
    return shared_ ? shared_->size_of(name) : std::nullopt;
}

Result<> MapSet::lend_to(bpf_object *object)
{
    bpf_map *map = nullptr;
    bpf_object__for_each_map(map, object)
    {
        const std::string name = bpf_map__name(map);
        if (bpf_map__is_internal(map))
            continue; // .rodata and the like are each object's own
        if (const auto size = size_of(name); size && bpf_map__set_max_entries(map, *size))
            return sys_error("set the size of " + name);
        const bool is_state = bpf_map__pin_path(map) != nullptr;
        const std::string path = pin_dir_ + "/" + name;
        const Fd *known = find(name);
        const bool pin = is_state && !pin_dir_.empty() && !known;
        if (bpf_map__set_pin_path(map, pin ? path.c_str() : nullptr))
            return sys_error("set pin path of " + name);
        if (known)
            if (auto r = check_layout(map, known->get(), false,
                                      ": the object was built for another version");
                !r)
                return r;
        if (known && bpf_map__reuse_fd(map, known->get()))
            return sys_error("reuse map " + name);
        if (!pin)
            continue;
        Fd pinned(bpf_obj_get(path.c_str()));
        if (!pinned)
            continue; // libbpf creates it and pins it
        if (auto r = check_layout(map, pinned.get(), carries_.contains(name),
                                  ": keep the old value, or detach first (established "
                                  "connections and counters are then lost)");
            !r)
            return r;
        auto entries = entries_of(pinned.get());
        if (!entries)
            return entries.error();
        if (*entries == bpf_map__max_entries(map))
            continue;
        if (bpf_map__set_pin_path(map, nullptr))
            return sys_error("set pin path of " + name);
        outgrown_.insert_or_assign(name, std::move(pinned));
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
        MapSet *keeper = this;
        while (keeper->shared_ && name.starts_with("chain_"))
            keeper = keeper->shared_;
        keeper->maps_.emplace(name, std::move(own));
    }
    return Unit{};
}

Result<> MapSet::lend(const std::string &name, int fd)
{
    Fd own = duplicate(fd);
    if (!own)
        return sys_error("keep map " + name);
    maps_.insert_or_assign(name, std::move(own));
    return Unit{};
}

Result<> MapSet::carry() const
{
    for (const auto &[name, old] : outgrown_) {
        auto own = fd(name);
        if (!own)
            return own.error();
        const auto carry = carries_.find(name);
        if (auto r = carry == carries_.end() ? copy_entries(old.get(), *own)
                                             : carry->second(old.get(), *own);
            !r)
            return std::move(r).context("carry over " + name);
    }
    return Unit{};
}

Result<> MapSet::commit()
{
    if (auto r = carry(); !r)
        return r;
    for (const auto &[name, old] : outgrown_) {
        const std::string path = pin_dir_ + "/" + name;
        if (::unlink(path.c_str()) || bpf_obj_pin(maps_.at(name).get(), path.c_str()))
            return sys_error("pin " + path);
    }
    outgrown_.clear();
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

Result<Mapping> Mapping::of_array(int fd, std::size_t value_size)
{
    bpf_map_info info{};
    __u32 info_size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &info_size))
        return sys_error("read map info");
    if (info.value_size != value_size)
        return sys_error("values are not of the size this daemon was built with", EPROTO);
    const std::size_t size = std::size_t{info.max_entries} * value_size;
    void *data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return sys_error("map the array " + std::string(info.name) + " to memory");
    return Mapping({static_cast<std::byte *>(data), size});
}

Mapping::~Mapping()
{
    if (!data_.empty())
        ::munmap(data_.data(), data_.size());
}

// The kernel does it with synchronize_rcu() (membarrier(2), MEMBARRIER_CMD_GLOBAL).
void wait_for_packets_in_flight()
{
    if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
        ::usleep(10'000); // no membarrier in this kernel: far longer than a packet takes
}

Result<__u32> entries_of(int fd)
{
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &size))
        return sys_error("read map info");
    return info.max_entries;
}

Result<> copy_entries(int from, int to)
{
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(from, &info, &size))
        return sys_error("read map info");
    std::vector<char> key(info.key_size), next(info.key_size), value(info.value_size);
    for (bool more = bpf_map_get_next_key(from, nullptr, next.data()) == 0; more;
         more = bpf_map_get_next_key(from, key.data(), next.data()) == 0) {
        key = next;
        if (bpf_map_lookup_elem(from, key.data(), value.data()))
            continue; // it has gone meanwhile
        if (bpf_map_update_elem(to, key.data(), value.data(), BPF_NOEXIST) && errno != EEXIST)
            return sys_error("copy an entry");
    }
    return Unit{};
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
