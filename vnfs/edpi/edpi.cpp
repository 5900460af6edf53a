// SPDX-License-Identifier: GPL-2.0-or-later
// edpi for the daemon: loads the fast path, and gives copies to where flows are known.
#include "base/text.hpp"
#include "edpi.skel.h"
#include "vnfs/edpi/keeper.hpp"
#include "vnfs/edpi/metrics.hpp"
#include "vnfs/edpi/record.hpp"
#include "vnfs/edpi/section.hpp"
#include "vnfs/edpi/verbs.hpp"

namespace evnf::edpi
{

namespace
{

using Skeleton = bpf::Skeleton<edpi_bpf>;
using Settings = bpf::Map<__u32, edpi_settings>;

class EdpiWorker : public PacketWorker
{
public:
    explicit EdpiWorker(std::shared_ptr<Keeper> keeper) : keeper_(std::move(keeper)) {}

    bool handle(const SlowPacket &packet) override
    {
        if (packet.held)
            return keeper_->flows().pass(packet, now_ns() / 1'000'000);
        keeper_->flows().inspect(packet, packet.head->ns / 1'000'000);
        return true;
    }

private:
    std::shared_ptr<Keeper> keeper_;
};

class EdpiFastPath : public FastPath
{
public:
    EdpiFastPath(Skeleton skel, Settings settings, std::shared_ptr<Keeper> keeper)
        : skel_(std::move(skel)),
          settings_(settings),
          keeper_(std::move(keeper))
    {
    }

    [[nodiscard]] int program() const override { return bpf_program__fd(skel_->progs.edpi); }

    Result<> apply(const json &section) override
    {
        auto prepared = keeper_->prepare(section);
        if (!prepared)
            return prepared.error();
        if (auto r = settings_.put(0, settings_of(section)); !r)
            return r;
        prepared_ = *std::move(prepared);
        if (in_force_)
            tick();
        return Unit{};
    }

    // The first time that this is in force: until then the chains may stay as they are.
    void tick() override
    {
        in_force_ = true;
        if (prepared_)
            keeper_->put_in_force(*std::exchange(prepared_, std::nullopt));
    }

    [[nodiscard]] json show(const json &section) const override
    {
        json out = section;
        out["load"] = load_json(keeper_->flows());
        out["policy"] = policies_json(section, keeper_->policies());
        return out;
    }
    [[nodiscard]] std::vector<Metric> metrics(const json &section) const override
    {
        auto out = edpi::metrics(keeper_->flows());
        for (auto &m : policy_metrics(section, keeper_->policies()))
            out.push_back(std::move(m));
        return out;
    }
    [[nodiscard]] std::unique_ptr<PacketWorker> make_worker() override
    {
        return std::make_unique<EdpiWorker>(keeper_);
    }
    [[nodiscard]] std::shared_ptr<Feed> feed() override { return keeper_->feed(); }

    Flows &flows() { return keeper_->flows(); }

private:
    Skeleton skel_;
    Settings settings_;
    std::shared_ptr<Keeper> keeper_;
    std::optional<Keeper::Prepared> prepared_;
    bool in_force_ = false;
};

Result<std::unique_ptr<FastPath>> load(bpf::MapSet &maps, const json &section,
                                       const json & /*running*/)
{
    Table::set_size(maps, section["flows"].get<std::uint32_t>());
    auto skel = Skeleton::load(maps);
    if (!skel)
        return skel.error();
    auto settings = Settings::bind(maps, "edpi_setting");
    if (!settings)
        return settings.error();
    auto keeper = Keeper::of(maps, section);
    if (!keeper)
        return keeper.error();
    auto fast_path = std::make_unique<EdpiFastPath>(*std::move(skel), *settings, *keeper);
    if (auto r = fast_path->apply(section); !r)
        return r.error();
    return std::unique_ptr<FastPath>(std::move(fast_path));
}

std::string explain(const json &section, unsigned detail)
{
    for (const auto &item : section["policy"])
        if (static_cast<__u32>(policy_of(item).entry.mark) == detail)
            return "policy " + item["name"].get<std::string>();
    return "";
}

std::vector<SentTo> sends(const json &section)
{
    std::vector<SentTo> out;
    for (std::size_t i = 0; i < section["policy"].size(); ++i) {
        const json &item = section["policy"][i];
        const edpi_policy entry = policy_of(item).entry;
        if (entry.action == EDPI_SEND)
            out.push_back({(EDPI_NEXT_WAY1 + entry.value) & (CHAIN_OUTPUTS - 1),
                           "policy " + in_quotes(item["name"].get<std::string>()),
                           "/policy/" + std::to_string(i) + "/to"});
    }
    return out;
}

const VnfType type{.name = "edpi",
                   .descriptor = {.network = Access::write,
                                  .payload = Access::read,
                                  .stateful = true,
                                  .drops = true,
                                  .fails_open = true,
                                  .copies = true,
                                  .cost_ns = 12,
                                  .lines = "edpi_lines"},
                   .reasons = {EDPI_REASONS(EVNF_REASON_ROW)},
                   .routes = policy_routes(),
                   .live = live_routes([](FastPath &f) -> Flows & {
                       return static_cast<EdpiFastPath &>(f).flows();
                   }),
                   .check = check_section,
                   .diff = diff_sections,
                   .load = load,
                   .state_version = 2,
                   .sends = sends,
                   .exit_key = "mode",
                   .stream = "/records",
                   .explain = explain};
const Registration registration(type);

} // namespace

} // namespace evnf::edpi
