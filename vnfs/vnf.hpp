// SPDX-License-Identifier: GPL-2.0-or-later
// What a VNF is to the daemon. A VNF is a folder in vnfs/: its fast path in BPF, and
// one VnfType, registered by a global Registration. Nothing else knows its name.
//
// Its configuration is one JSON object, its section. check() makes any input
// canonical, or refuses it with the place of the fault; after that a section is
// known to be good. A change, from a file or a verb, makes a new section, and the
// fast path goes from the old to the new as a whole or not at all.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "abi/copy.h"
#include "base/bpf.hpp"
#include "base/net.hpp"
#include "base/result.hpp"
#include "base/rtnl.hpp"
#include "match/match.hpp"
#include "vnfs/feed.hpp"

namespace evnf
{

using json = nlohmann::json;

// One reason for which packets leave a stage; from an X-macro list in an abi.h.
struct Reason {
    unsigned value;        // verdict and number, see abi/chain.h
    std::string_view name; // as counters and JSON say it
    std::string_view help;
};
#define EVNF_REASON_ROW(id, value, text, help) ::evnf::Reason{value, text, help},

// A sample for /metrics, in Prometheus' terms. `labels` are name, value pairs.
struct Metric {
    std::string name; // counters end in _total
    std::string help;
    std::vector<std::pair<std::string, std::string>> labels;
    double value;
};

// A packet that a stage has sent to user space: a copy while the packet itself goes on, or,
// by the exit "xsk", the packet, which waits for the worker's word.
struct SlowPacket {
    std::span<const std::uint8_t> frame; // from the Ethernet header on
    bool held;                           // the packet itself
    const copy_head *head;               // what is known of it; null by AF_XDP
    // Of the packet itself: what its stage has put into pkt.note, and where its IP header is.
    std::uint64_t note = 0;
    unsigned l3_off = 0;
};

// The slow path of a VNF in user space: one object for each worker thread, which sees
// every packet of the flows that are its share. When workers come or go, flows move.
class PacketWorker
{
public:
    virtual ~PacketWorker() = default;
    // For a held packet: whether it may go on with its chain.
    virtual bool handle(const SlowPacket &packet) = 0;
};

// A loaded fast path with its rules in place. Destroyed when its generation is.
class FastPath
{
public:
    virtual ~FastPath() = default;

    // The stage's program that knows no place, for tests of the stage alone.
    [[nodiscard]] virtual int program() const = 0;
    // Replaces the rules by those of a checked section, all or nothing.
    virtual Result<> apply(const json &section) = 0;
    // The same of the section in force with a Step's patch. Of types that have steps.
    virtual Result<> step(const json & /*patch*/) { return Unit{}; }
    // The section with live numbers, as the API shows it.
    [[nodiscard]] virtual json show(const json &section) const = 0;
    [[nodiscard]] virtual std::vector<Metric> metrics(const json &section) const = 0;
    // What it has besides its section, which LiveRoutes change, is kept in `folder`, the
    // instance's own: restore() is called before packets meet it, keep() about once a second
    // while it is in force, before it is replaced, and at the daemon's end.
    virtual Result<> restore(const std::string & /*folder*/) { return Unit{}; }
    virtual Result<> keep(const std::string & /*folder*/) { return Unit{}; }
    // Null: the VNF has no slow path in user space. Called on the worker's thread, where
    // the object stays; it must not outlive this.
    [[nodiscard]] virtual std::unique_ptr<PacketWorker> make_worker() { return nullptr; }
    // Called about twice a second, on the daemon's thread.
    virtual void tick() {}
    // What VnfType::stream shows. Null: nothing.
    [[nodiscard]] virtual std::shared_ptr<Feed> feed() { return nullptr; }
};

// A verb of the API, below /v1/<vnf>. It makes a new section of the one in force; the
// daemon checks, applies and keeps it, and answers with `reply`.
struct Request {
    std::vector<std::string> words; // what the pattern's groups matched
    json body;                      // null if there was none
    std::map<std::string, std::string> query = {};
};
struct Edit {
    json section;
    json reply;
};

// The same of a verb that changes little of a section that may be large: what it costs does
// not depend on the rest. It must leave open neither whether the section is idle nor whether
// it makes copies.
struct Step {
    json patch; // of the section (RFC 6902: "add" and "replace" at what is not there or is,
                // "remove")
    json reply;
    std::vector<std::string> lines; // as VnfType::diff gives them
    json part;                      // a section of what is new alone
};
// What is to be known of a section in force to find steps. It sees all changes of that: when
// there is another change than a step, another is made.
class Stepper
{
public:
    virtual ~Stepper() = default;
    // The step has been made; `section` is the one before.
    virtual void taken(const json &section, const json &patch) = 0;
};

struct Route {
    std::string method;  // "POST", "PUT" or "DELETE"
    std::string pattern; // a regular expression, such as "/rules/([0-9]+)"
    std::function<Result<Edit>(const json &section, const Request &request)> edit;
    // None: what is asked for is no step, or an error, which edit() says.
    std::function<std::optional<Step>(const Stepper &, const json &section, const Request &)> step =
        {};
};

// A verb on what a running fast path has besides its section, such as the elements of sets:
// too much for the desired state, or changing too often. It is in no history and comes back
// by no rollback. All or nothing is its own task. There must be a chain with the VNF.
struct LiveRoute {
    std::string method; // also "GET"
    std::string pattern;
    std::function<Result<json>(FastPath &fast_path, const Request &request)> call = {};
    // Instead of it, for what takes time: what this returns is called on another thread than
    // the daemon's, where the fast path may be gone.
    using Rest = std::function<Result<json>()>;
    std::function<Rest(FastPath &fast_path, const Request &request)> begin = {};
};

// How deep into a packet, from the outside in.
enum class Layer { link, network, transport, quoted };
enum class Access { none, read, write };

// What a stage is to the chain around it: what it needs, what it does to a packet.
struct Descriptor {
    Layer needs = Layer::transport;  // how deep the root must have parsed
    Layer leaves = Layer::quoted;    // how deep a later stage can still see
    Access link = Access::none;      // MAC addresses, VLAN tags
    Access network = Access::read;   // IP header
    Access transport = Access::read; // ports, flags
    Access payload = Access::none;
    bool stateful = false;   // keeps something of a flow from packet to packet
    bool drops = false;      // may end a packet's way
    bool fails_open = false; // when its slow path is away, packets go on, though it drops
    bool both_ways = false;  // the answers must come by it too
    bool has_rules = false;  // searches them by bpf/lib/match.h
    bool copies = false;     // sends copies of packets to its workers
    unsigned cost_ns = 0;    // of a hit, warm, by ./run bench; for estimates
    // Its map with lines of flows met of late (bpf/lib/lines.h), for the root to read ahead;
    // and whether each CPU has its own. Null: it has none.
    const char *lines = nullptr;
    bool lines_each_cpu = false;
};

// An output of its stage that something in a section sends packets to.
struct SentTo {
    unsigned output;
    std::string text;  // who does: "policy 'video'"
    std::string where; // in the section
};

// Packets to some destination: what rules of different VNFs are compared by.
struct Destination {
    std::optional<Prefix> address;        // none: any
    std::optional<std::uint8_t> protocol; // none: any
    std::uint16_t first_port = 0;
    std::uint16_t last_port = 65535;
    std::string text;  // for people: the rule, or the service
    std::string where; // in the section
};

// The stage's object files, which the build registers by itself. Of its program, which has
// the VNF's name, each place of a chain has a copy.
struct StageObjects {
    std::span<const std::byte> xdp, tc;
};
const StageObjects &stage_objects(std::string_view vnf);
struct ObjectsRegistration {
    ObjectsRegistration(std::string vnf, StageObjects objects);
};

// All that a match can mean lies in it, maybe with more between: addresses and ports are
// from the least to the greatest.
Destination destination_of(const match::Match &m, std::string text, std::string where);

// What there is around an instance on this host, as of now.
struct Surroundings {
    std::function<Result<RouteAnswer>(const Address &)> route_to;
    std::map<unsigned, std::string> links; // by ifindex
    // The names of those that chains have, from which alone "out" sends; none if no chain has
    // the instance.
    std::optional<std::set<std::string>> ports;
};

// What of a section cannot work in its surroundings. A change that brings one is refused; one
// that has come since, as routes do, is warned of.
struct Misfit {
    std::string text;      // for people: the thing, the cause and the mend
    std::string where;     // in the section
    bool may_pass = false; // it may be gone in a moment: never refused
};

struct VnfType {
    // Of its pinned maps: raise it when what they hold changes, and say how to convert.
    static constexpr unsigned first_state = 1;

    std::string name; // the stage's name in chains, and the section's in the configuration
    Descriptor descriptor;
    // Only the chain language makes instances of it: it has no section of its own.
    bool inner = false;
    // Its outputs are those of its reasons alone, without the plain "next".
    bool only_own_outputs = false;
    std::vector<Reason> reasons;
    std::vector<Route> routes;
    std::vector<LiveRoute> live = {};
    // Makes a section canonical. `running` is the section in force (or null): what is
    // the same keeps its id. Errors carry `where` relative to the section.
    std::function<Result<json>(const json &section, const json &running)> check;
    // What goes from one section to the other, a line each: "+ …", "- …", "~ …".
    std::function<std::vector<std::string>(const json &from, const json &to)> diff;
    // Loads the fast path with a checked section's rules. `running` is the section in
    // force until now (or null): its counters go on, those of what is new start at zero.
    std::function<Result<std::unique_ptr<FastPath>>(bpf::MapSet &maps, const json &section,
                                                    const json &running)>
        load;
    // Not every VNF has these.
    unsigned state_version = first_state;
    // Copies the entries of a pinned map of version `from` that the new one does not have
    // yet. Called twice: before packets meet the new one, and after.
    std::function<Result<>(unsigned from, const std::string &map, int old_fd, int new_fd)> migrate;
    // What packets can leave the stage for no more, because it has written another
    // destination into them; and what destinations the section's rules ask for.
    std::function<std::vector<Destination>(const json &section)> rewrites;
    std::function<std::vector<Destination>(const json &section)> matches;
    // The outputs that its section asks for by name: some chain's path must lead them somewhere.
    std::function<std::vector<SentTo>(const json &section)> sends;
    // With Descriptor.both_ways: whether answers pass the stage by with this section. None: never.
    std::function<bool(const json &section)> one_way;
    // What of the section makes the stage choose the neighbour that packets go to, for people;
    // empty: nothing.
    std::function<std::string(const json &section)> chooses_neighbour;
    // Of a checked section.
    std::function<std::vector<Misfit>(const json &section, const Surroundings &here)> misfits;
    // The section's key that says where slow packets go. Of another than the toolkit's own,
    // words that are no exits mean that there are no slow packets.
    std::string exit_key = "exit";
    // Whether the stage, with this section, lets every packet go on as it is: then it is
    // left out of the chain.
    std::function<bool(const json &section)> idle;
    // The section without what has had its time, `now` being seconds of the Unix epoch; none
    // if nothing has. Asked every half second.
    std::function<std::optional<json>(const json &section, std::uint64_t now)> expire;
    // With routes that have steps.
    std::function<std::unique_ptr<Stepper>(const json &section)> stepper;
    // With Descriptor.copies: whether this section makes the stage send any. None: always.
    std::function<bool(const json &section)> copies;
    // Where the API has what FastPath::feed() gives, such as "/log". Empty: nowhere.
    std::string stream;
    // Which rule or entry a stage's trace_detail() means, for people.
    std::function<std::string(const json &section, unsigned detail)> explain;
};

// All VNFs that are linked in, by name.
const std::vector<const VnfType *> &vnf_types();
const VnfType *find_vnf(std::string_view name);

struct Registration {
    explicit Registration(const VnfType &type);
};

} // namespace evnf
