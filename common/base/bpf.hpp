// SPDX-License-Identifier: GPL-2.0-or-later
// Typed, owning views of BPF objects and maps, on libbpf.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace evnf::bpf
{

// The maps that the BPF objects of one generation of the chains share, by name. The
// first object that declares a map creates it; later ones reuse it. Maps declared
// with LIBBPF_PIN_BY_NAME hold state: they are pinned in `pin_dir`, and found there
// again by the next generation and the next daemon.
class MapSet
{
public:
    // With an empty `pin_dir` nothing is pinned (tests). Maps that `shared` has are taken
    // from there, and those whose name begins with "chain_" are given to it, whoever brings
    // them; it must outlive this set.
    explicit MapSet(std::string pin_dir, MapSet *shared = nullptr)
        : pin_dir_(std::move(pin_dir)),
          shared_(shared)
    {
    }

    // Before load: gives the object's maps those that exist already.
    Result<> lend_to(bpf_object *object);
    // After load: keeps the maps that the object created.
    Result<> take_from(bpf_object *object);

    // Gives the objects a map of others, as one that this set has.
    Result<> lend(const std::string &name, int fd);

    // Constants of the objects that are loaded with this set and the sets that share it:
    // a `const volatile __u32` of that name gets the value.
    void set_constant(const std::string &name, __u32 value) { constants_[name] = value; }
    void set_constants(bpf_object *object) const;
    // The same for the size of a map.
    void set_size(const std::string &name, __u32 entries) { sizes_[name] = entries; }
    // Objects loaded with this very set bring only their maps: nobody runs their programs.
    void maps_only() { maps_only_ = true; }
    [[nodiscard]] bool is_maps_only() const { return maps_only_; }

    // State maps whose size has changed are made anew beside the pinned ones. carry() copies
    // what those hold, by copy_entries() or as is said here, commit() does so again for what has
    // come since and pins the new ones in their place. Until then nothing outside this set has
    // changed.
    using Carry = std::function<Result<>(int from, int to)>;
    void set_carry(const std::string &name, Carry carry) { carries_[name] = std::move(carry); }
    Result<> carry() const;
    Result<> commit();

    // The descriptor of a map that some object has brought.
    [[nodiscard]] Result<int> fd(const std::string &name) const;

private:
    [[nodiscard]] const Fd *find(const std::string &name) const;
    [[nodiscard]] std::optional<__u32> size_of(const std::string &name) const;

    std::string pin_dir_;
    MapSet *shared_;
    std::map<std::string, Fd> maps_;
    std::map<std::string, __u32> constants_;
    std::map<std::string, __u32> sizes_;
    std::map<std::string, Carry> carries_;
    bool maps_only_ = false;
    std::map<std::string, Fd> outgrown_; // pinned maps that this set has of another size
};

// Loads an opened object with the shared maps; the verifier's log is in the error.
Result<> load_object(bpf_object *object, MapSet &maps);

// A bpftool skeleton that closes itself. Programs and maps reached through it are
// borrowed: they live as long as the Skeleton, unless a kernel object holds them.
template <class Skel>
class Skeleton
{
public:
    // Opens, lets `prepare` set constants and sizes, loads.
    static Result<Skeleton> load(MapSet &maps, const std::function<void(Skel &)> &prepare = {})
    {
        Skel *s = Skel::open();
        if (!s)
            return sys_error("open BPF object");
        Skeleton skeleton(s);
        if (prepare)
            prepare(*s);
        if (auto r = load_object(s->obj, maps); !r)
            return r.error();
        return skeleton;
    }

    Skel *operator->() const { return skel_.get(); }

private:
    explicit Skeleton(Skel *s) : skel_(s) {}
    struct Destroy {
        void operator()(Skel *s) const { Skel::destroy(s); }
    };
    std::unique_ptr<Skel, Destroy> skel_;
};

// A BPF object without a skeleton, from the bytes of its ELF file.
class Object
{
public:
    static Result<Object> load(MapSet &maps, const std::string &name,
                               std::span<const std::byte> elf);
    // The descriptor of a program.
    [[nodiscard]] Result<int> program(const std::string &name) const;

private:
    explicit Object(bpf_object *object) : object_(object) {}
    struct Close {
        void operator()(bpf_object *o) const { bpf_object__close(o); }
    };
    std::unique_ptr<bpf_object, Close> object_;
};

// The values of a map that is a BPF_F_MMAPABLE array, as memory of ours too.
class Mapping
{
public:
    static Result<Mapping> of_array(int fd, std::size_t value_size);
    Mapping(Mapping &&other) noexcept : data_(std::exchange(other.data_, {})) {}
    Mapping &operator=(Mapping &&other) noexcept
    {
        std::swap(data_, other.data_);
        return *this;
    }
    ~Mapping();

    [[nodiscard]] std::byte *data() const { return data_.data(); }
    [[nodiscard]] std::size_t size() const { return data_.size(); } // in bytes

private:
    explicit Mapping(std::span<std::byte> data) : data_(data) {}
    std::span<std::byte> data_;
};

// Waits until no CPU is inside a program that started before now.
void wait_for_packets_in_flight();

// Copies every entry that `to` does not have. Hashes of one layout.
Result<> copy_entries(int from, int to);

// How many entries a map holds at most.
Result<__u32> entries_of(int fd);
// Checks a map's key and value sizes against what the program is about to use.
Result<> check_sizes(int fd, std::size_t key, std::size_t value);
// Number of possible CPUs: the copies of a per-CPU value.
Result<std::size_t> possible_cpus();

// A typed view of a map that somebody else owns.
template <class K, class V>
class Map
{
    static_assert(std::has_unique_object_representations_v<K>);
    static_assert(std::is_trivially_copyable_v<V>);

public:
    static Result<Map> bind(int fd)
    {
        if (auto r = check_sizes(fd, sizeof(K), sizeof(V)); !r)
            return r.error();
        return Map(fd);
    }
    static Result<Map> bind(const MapSet &maps, const std::string &name)
    {
        auto fd = maps.fd(name);
        if (!fd)
            return fd.error();
        return bind(*fd).context("map " + name);
    }

    Result<> put(const K &key, const V &value, std::uint64_t flags = BPF_ANY)
    {
        if (bpf_map_update_elem(fd_, &key, &value, flags))
            return sys_error("update map");
        return Unit{};
    }
    [[nodiscard]] std::optional<V> get(const K &key) const
    {
        V value{};
        if (bpf_map_lookup_elem(fd_, &key, &value))
            return std::nullopt;
        return value;
    }
    // False if there was no such key.
    bool erase(const K &key) { return bpf_map_delete_elem(fd_, &key) == 0; }

    // Every key at the time it is passed; keys that come and go meanwhile may be
    // missed or seen twice.
    [[nodiscard]] std::vector<K> keys() const
    {
        std::vector<K> out;
        K key{};
        for (bool more = bpf_map_get_next_key(fd_, nullptr, &key) == 0; more;
             more = bpf_map_get_next_key(fd_, &key, &key) == 0)
            out.push_back(key);
        return out;
    }

    [[nodiscard]] int fd() const { return fd_; }

private:
    explicit Map(int fd) : fd_(fd) {}
    int fd_;
};

// A typed view of a per-CPU array whose value is a struct of __u64 counts.
template <class V>
class PerCpuCounters
{
    static_assert(sizeof(V) % sizeof(__u64) == 0);

public:
    static Result<PerCpuCounters> bind(int fd)
    {
        if (auto r = check_sizes(fd, sizeof(__u32), sizeof(V)); !r)
            return r.error();
        auto cpus = possible_cpus();
        if (!cpus)
            return cpus.error();
        return PerCpuCounters(fd, *cpus);
    }
    static Result<PerCpuCounters> bind(const MapSet &maps, const std::string &name)
    {
        auto fd = maps.fd(name);
        if (!fd)
            return fd.error();
        return bind(*fd).context("map " + name);
    }

    // The sum over all CPUs; zeroes for an index that does not exist.
    [[nodiscard]] V sum(__u32 index) const
    {
        std::vector<V> each(cpus_);
        V total{};
        if (bpf_map_lookup_elem(fd_, &index, each.data()))
            return total;
        auto *to = reinterpret_cast<__u64 *>(&total);
        for (const V &one : each)
            for (std::size_t i = 0; i < sizeof(V) / sizeof(__u64); ++i)
                to[i] += reinterpret_cast<const __u64 *>(&one)[i];
        return total;
    }
    Result<> clear(__u32 index)
    {
        std::vector<V> zeroes(cpus_);
        if (bpf_map_update_elem(fd_, &index, zeroes.data(), BPF_ANY))
            return sys_error("clear counter");
        return Unit{};
    }

private:
    PerCpuCounters(int fd, std::size_t cpus) : fd_(fd), cpus_(cpus) {}
    int fd_;
    std::size_t cpus_;
};

// Replaces inner map `index` of an array of maps: readers see the old one or the new.
// The kernel waits until no program uses the old one any more.
inline Result<> put_inner(int outer, __u32 index, int inner)
{
    if (bpf_map_update_elem(outer, &index, &inner, BPF_ANY))
        return sys_error("replace inner map");
    return Unit{};
}

} // namespace evnf::bpf
