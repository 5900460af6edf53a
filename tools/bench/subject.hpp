// SPDX-License-Identifier: GPL-2.0-or-later
// What is measured: the real programs with their rules in place, as the daemon builds them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/chain.h"
#include "base/bpf.hpp"
#include "bench/program.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::bench
{

// A stage of a chain, and the reason for which every measured packet must leave it.
struct Stage {
    std::string vnf;
    json section; // as a person writes it
    std::uint32_t reason;
};

enum class End {
    forward,
    drop,    // the stage after the last drops it
    decided, // the last stage does
};

// A chain root -> stages -> end, in slots 1, 2, … of maps of its own.
class Subject : public Program
{
public:
    // Stages joined by tail calls, as they are in production.
    static Result<std::unique_ptr<Subject>> chain(const std::vector<Stage> &stages, End end);
    // root -> efw -> elb -> forward in one program, see linked.bpf.c.
    static Result<std::unique_ptr<Subject>> linked(const Stage &efw, const Stage &elb);

    [[nodiscard]] int entry() const override { return entry_; }
    [[nodiscard]] unsigned verdict() const override { return verdict_; }
    [[nodiscard]] Result<> check_all_went(std::uint64_t packets) const override;
    [[nodiscard]] Result<> answer_all() override;
    [[nodiscard]] std::optional<std::uint64_t> connections() const override;
    // A map of one of its stages.
    [[nodiscard]] Result<int> map(const std::string &name) const;
    // Every packet counter of every slot.
    [[nodiscard]] std::vector<counter> counters() const;

private:
    struct Loaded {
        Stage stage;
        json section; // checked
        std::unique_ptr<bpf::MapSet> maps;
        std::unique_ptr<FastPath> fast_path;
    };

    explicit Subject(End end);
    Result<> load_stage(const Stage &stage, bpf::MapSet *maps);
    Result<int> place_program(std::uint32_t slot);
    Result<> join(const std::vector<int> &programs);
    Result<> know_next_hops();

    bpf::MapSet maps_{""};
    std::vector<Loaded> stages_;
    std::vector<std::shared_ptr<void>> objects_; // the skeletons
    int entry_ = -1;
    unsigned verdict_;
    std::optional<std::uint32_t> end_reason_; // none: no packet gets there
};

} // namespace evnf::bench
