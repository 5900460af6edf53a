// SPDX-License-Identifier: GPL-2.0-or-later
// nDPI behind an adapter: what a flow is, by its first packets. One detection module, used by
// one thread at a time. What it keeps of a flow is gone as soon as that is decided.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"

struct ndpi_detection_module_struct;
struct ndpi_flow_struct;
struct ndpi_proto;

namespace evnf::edpi
{

// What is known of a flow's application. Zero is "unknown".
struct Application {
    std::uint16_t master = 0, app = 0; // nDPI's numbers

    friend auto operator<=>(const Application &, const Application &) = default;
};

struct Facts {
    Application application;
    nlohmann::json details = nlohmann::json::object(); // for records, in their words
};

// Packets of a flow after which nDPI gives up, as ndpiReader has it.
struct PacketLimits {
    unsigned tcp = 80, udp = 24;
};

class Inspector
{
public:
    // With an empty path there are no protocols besides nDPI's own.
    static Result<std::unique_ptr<Inspector>> make(const std::string &protocols_file,
                                                   PacketLimits limits, std::size_t most_flows);
    ~Inspector();
    Inspector(const Inspector &) = delete;
    Inspector &operator=(const Inspector &) = delete;

    struct Decided {
        std::uint32_t id;
        Facts facts;
        bool final = true; // else its application or host is known, and more may be found
    };
    // A packet of flow `id`, from its IP header on; what is decided by it.
    // Usually none; more than one if another flow had to make room.
    std::vector<Decided> inspect(std::uint32_t id, std::uint8_t protocol,
                                 std::span<const std::uint8_t> ip, std::uint64_t ms);
    // The flow has no more packets: what it may be. None if it was decided, or never seen.
    std::optional<Facts> conclude(std::uint32_t id);
    std::vector<Decided> conclude_all();
    [[nodiscard]] std::size_t flows() const { return flows_.size(); }

    // The same for all modules with the same protocols.
    [[nodiscard]] std::string name(Application a) const;
    [[nodiscard]] std::string category(Application a) const;
    struct Protocol {
        std::uint16_t id;
        std::string name, category, breed;
    };
    [[nodiscard]] std::vector<Protocol> protocols() const;

private:
    struct Free {
        void operator()(ndpi_detection_module_struct *m) const;
        void operator()(ndpi_flow_struct *f) const;
    };
    struct Flow {
        std::unique_ptr<ndpi_flow_struct, Free> state;
        unsigned packets = 0;
        Application application = {}; // as far as it is known
        std::string host = {};
        std::optional<std::uint8_t> protocol = {}; // that the library has read of the first packet
        std::list<std::uint32_t>::iterator age;
    };
    using Flows = std::unordered_map<std::uint32_t, Flow>;
    static bool fits(Flow &flow, std::span<const std::uint8_t> ip);

    Inspector(ndpi_detection_module_struct *module, PacketLimits limits, std::size_t most_flows)
        : module_(module),
          limits_(limits),
          most_flows_(most_flows)
    {
    }
    Flow *find_or_make(std::uint32_t id);
    Facts give_up(Flows::iterator flow);
    Facts take(Flows::iterator flow, const ndpi_proto &found);
    [[nodiscard]] Facts facts(Flow &flow, const ndpi_proto &found) const;

    std::unique_ptr<ndpi_detection_module_struct, Free> module_;
    PacketLimits limits_;
    std::size_t most_flows_;
    std::uint64_t last_ms_ = 0; // time never goes back for nDPI
    Flows flows_;
    std::list<std::uint32_t> ages_; // the oldest first
};

} // namespace evnf::edpi
