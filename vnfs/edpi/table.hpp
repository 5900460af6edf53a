// SPDX-License-Identifier: GPL-2.0-or-later
// The flow table as memory that the fast path adds to. Only this side ends flows:
//
//   begin_end()   no packet finds the slot any more
//   (wait until the packets are through that had found it)
//   account_for() what has been exported, also if this process dies the next moment
//   release()     the slot is free
//
// Only one thread ends flows; any may read.
#pragma once

#include <optional>

#include "base/bpf.hpp"
#include "vnfs/edpi/abi.h"

namespace evnf::edpi
{

// Packets and bytes from each end.
struct Counts {
    std::uint64_t packets[2] = {0, 0};
    std::uint64_t bytes[2] = {0, 0};

    [[nodiscard]] bool any() const { return packets[0] || packets[1]; }
    [[nodiscard]] Counts operator-(const Counts &o) const;
    Counts &operator+=(const Counts &o);
};

// What is done with a flow's packets.
struct Standing {
    std::uint32_t policy = 0; // its number, 0 for none
    bool kept = false;        // in the fast path, where others go a slow way

    friend bool operator==(const Standing &, const Standing &) = default;
};

class Table
{
public:
    // Before the programs are loaded: room for so many flows.
    static void set_size(bpf::MapSet &maps, std::uint32_t flows);
    // The slots that have never been free are made so.
    static Result<Table> bind(const bpf::MapSet &maps);

    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] std::uint32_t state(std::uint32_t slot) const;
    [[nodiscard]] bool is_flow(std::uint32_t slot) const; // there are packets to account for
    [[nodiscard]] const edpi_key &key(std::uint32_t slot) const { return slots_[slot].key; }
    [[nodiscard]] edpi_flow flow(std::uint32_t slot) const; // as it is now
    [[nodiscard]] Counts counts(std::uint32_t slot) const;  // of which these are not exported
    // Packets whose flow had no slot, not exported yet.
    [[nodiscard]] counter unaccounted() const;

    [[nodiscard]] Standing standing(std::uint32_t slot) const;
    void set_standing(std::uint32_t slot, Standing to);
    void name(std::uint32_t slot, std::uint16_t master, std::uint16_t app);
    // Copies from now on as of a new flow: who had those before is gone.
    void inspect_anew(std::uint32_t slot);
    // No more copies: what it is has been said.
    void close_inspection(std::uint32_t slot);

    bool begin_end(std::uint32_t slot);
    void account_for(std::uint32_t slot, const Counts &told);
    void account_for_unaccounted(const counter &told);
    void release(std::uint32_t slot);

private:
    Table() = default;
    Result<> offer_all();
    bool change(std::uint32_t slot, std::uint32_t from, std::uint32_t to);

    std::uint32_t size_ = 0;
    Fd index_, free_, unaccounted_; // of our own: programs come and go
    std::optional<bpf::Mapping> slot_memory_, others_memory_, export_memory_, book_memory_;
    edpi_slot *slots_ = nullptr;
    edpi_counts *others_ = nullptr, *exports_ = nullptr;
    edpi_book *book_ = nullptr;
};

} // namespace evnf::edpi
