// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/peer.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <charconv>
#include <map>

#include "base/bpf.hpp"

namespace evnf::bench
{

namespace
{

using Octets = std::vector<unsigned char>;

Result<Octets> octets_of(std::string_view hex)
{
    Octets out;
    for (; hex.size() >= 2; hex.remove_prefix(2)) {
        unsigned char octet = 0;
        const auto [end, failed] = std::from_chars(hex.data(), hex.data() + 2, octet, 16);
        if (failed != std::errc() || end != hex.data() + 2)
            break;
        out.push_back(octet);
    }
    if (!hex.empty())
        return Error{.what =
                         "\"" + std::string(hex) + "\" is not hexadecimal, two digits an octet"};
    return out;
}

class Peer : public Program
{
public:
    explicit Peer(unsigned verdict) : verdict_(verdict) {}
    ~Peer() override { bpf_object__close(object_); }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    Result<> load(const PeerOptions &options)
    {
        object_ = bpf_object__open_file(options.object.c_str(), nullptr);
        if (!object_)
            return sys_error("open " + options.object);
        program_ = bpf_object__find_program_by_name(object_, options.program.c_str());
        if (!program_)
            return Error{.what = options.object + " has no program " + options.program};
        bpf_map *map = nullptr;
        bpf_object__for_each_map(map, object_)
        {
            bpf_map__set_pin_path(map, nullptr);
            if (const bpf_map *inner = bpf_map__inner_map(map)) // libbpf forgets it
                inner_[map] = {bpf_map__type(inner), bpf_map__key_size(inner),
                               bpf_map__value_size(inner), bpf_map__max_entries(inner),
                               bpf_map__map_flags(inner)};
        }
        if (bpf_object__load(object_))
            return sys_error("load " + options.object);
        for (const auto &entry : options.entries)
            if (auto r = put(entry); !r)
                return std::move(r).context(entry);
        return Unit{};
    }

    [[nodiscard]] int entry() const override { return bpf_program__fd(program_); }
    [[nodiscard]] unsigned verdict() const override { return verdict_; }
    // It counts nothing that we know of: the verdicts are all there is.
    [[nodiscard]] Result<> check_all_went(std::uint64_t /*packets*/) const override
    {
        return Unit{};
    }

private:
    Result<> put(const std::string &entry)
    {
        const auto colon = entry.find(':'), equals = entry.find('=');
        if (colon == std::string::npos || equals == std::string::npos || equals < colon)
            return Error{.what = "an entry is NAME:KEY=VALUE"};
        const std::string name = entry.substr(0, colon), value = entry.substr(equals + 1);
        const bpf_map *map = bpf_object__find_map_by_name(object_, name.c_str());
        if (!map)
            return Error{.what = "there is no map " + name};
        const std::string keys = entry.substr(colon + 1, equals - colon - 1);
        const auto plus = keys.find('+');
        auto key = octets_of(keys.substr(0, plus));
        if (!key)
            return key.error();
        if (key->size() != bpf_map__key_size(map))
            return Error{.what =
                             "its keys have " + std::to_string(bpf_map__key_size(map)) + " octets"};
        unsigned count = 1;
        if (plus != std::string::npos &&
            std::from_chars(keys.data() + plus + 1, keys.data() + keys.size(), count).ec !=
                std::errc())
            return Error{.what = "after + comes a number"};
        for (; count; --count) {
            if (auto r = value == "new" ? put_new(map, *key) : put(map, *key, value); !r)
                return r;
            for (auto &octet : *key)
                if (++octet)
                    break;
        }
        return Unit{};
    }

    static Result<> put(const bpf_map *map, const Octets &key, const std::string &value)
    {
        auto octets = octets_of(value);
        if (!octets)
            return octets.error();
        if (octets->size() != bpf_map__value_size(map))
            return Error{.what = "its values have " + std::to_string(bpf_map__value_size(map)) +
                                 " octets"};
        if (bpf_map_update_elem(bpf_map__fd(map), key.data(), octets->data(), BPF_ANY))
            return sys_error("write it");
        return Unit{};
    }

    Result<> put_new(const bpf_map *map, const Octets &key) const
    {
        const auto found = inner_.find(map);
        if (found == inner_.end())
            return Error{.what = "it does not hold maps"};
        const Inner &inner = found->second;
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = inner.flags);
        const Fd fd(bpf_map_create(inner.type, "inner", inner.key_size, inner.value_size,
                                   inner.max_entries, &opts));
        if (!fd)
            return sys_error("make a map");
        const int number = fd.get();
        if (bpf_map_update_elem(bpf_map__fd(map), key.data(), &number, BPF_ANY))
            return sys_error("write it");
        return Unit{};
    }

    struct Inner {
        bpf_map_type type;
        __u32 key_size, value_size, max_entries, flags;
    };
    bpf_object *object_ = nullptr;
    std::map<const bpf_map *, Inner> inner_;
    const bpf_program *program_ = nullptr;
    unsigned verdict_;
};

} // namespace

void add_peer_options(CLI::App &app, PeerOptions &options)
{
    auto *object = app.add_option("--object", options.object,
                                  "Another program's object file, to be measured beside ours")
                       ->check(CLI::ExistingFile);
    auto *program =
        app.add_option("--prog", options.program, "The program of that file")->needs(object);
    object->needs(program);
    app.add_option("--verdict", options.verdict, "What it gives such a packet: 3 is XDP_TX")
        ->needs(object)
        ->capture_default_str();
    app.add_option("--map", options.entries,
                   "What a map of it must hold: NAME:KEY=VALUE in hexadecimal, or NAME:KEY=new")
        ->needs(object);
}

Result<std::unique_ptr<Program>> load_peer(const PeerOptions &options)
{
    auto peer = std::make_unique<Peer>(options.verdict);
    if (auto r = peer->load(options); !r)
        return r.error();
    return std::unique_ptr<Program>(std::move(peer));
}

} // namespace evnf::bench
