// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/verbs.hpp"

#include <arpa/inet.h>

#include "base/text.hpp"
#include "vnfs/edpi/metrics.hpp"
#include "vnfs/edpi/naming.hpp"

namespace evnf::edpi
{

namespace
{

constexpr std::size_t page_rows = 1000;

// Which flows are meant; what is not given is any.
struct Filter {
    std::optional<Address> address;
    std::optional<std::uint16_t> port;
    std::optional<std::uint8_t> protocol;
    std::string application, host, state;

    static Result<Filter> from(const Request &request)
    {
        Filter f;
        for (const auto &[key, text] : request.query) {
            Result<> taken = Unit{};
            if (key == "address")
                taken = f.take(f.address, Address::parse(text));
            else if (key == "port")
                taken = f.take(f.port, parse_number(text, 0, 65535, "port"));
            else if (key == "protocol")
                taken = f.take(f.protocol, parse_protocol(text));
            else if (key == "application")
                f.application = lower(text);
            else if (key == "host")
                f.host = lower(text);
            else if (key == "state")
                f.state = text;
            if (!taken)
                return bad_input(taken.error().what, "/" + key, 0, text.size());
        }
        return f;
    }

    [[nodiscard]] bool takes(const edpi_key &k) const
    {
        const auto either = [](const auto &one, const auto &other, const auto &wanted) {
            return !wanted || one == *wanted || other == *wanted;
        };
        return either(Address(k.addr[0]), Address(k.addr[1]), address) &&
               either(ntohs(k.port[0]), ntohs(k.port[1]), port) &&
               (!protocol || k.proto == *protocol);
    }
    // A part of "TLS.Google" is meant by its name, of a host by any of its letters.
    [[nodiscard]] bool takes(const json &row) const
    {
        return (application.empty() || has_part(row["application"], application)) &&
               (host.empty() || lower(row.value("host", "")).find(host) != std::string::npos) &&
               (state.empty() || row["state"] == state);
    }

private:
    template <class T, class U>
    Result<> take(std::optional<T> &to, const Result<U> &from)
    {
        if (!from)
            return from.error();
        to = static_cast<T>(*from);
        return Unit{};
    }
};

Result<json> list(const Flows &flows, const Request &request)
{
    auto filter = Filter::from(request);
    if (!filter)
        return filter.error();
    std::uint64_t slot = 0;
    if (const auto from = request.query.find("from"); from != request.query.end()) {
        auto n = parse_number(from->second, 0, flows.table().size(), "from");
        if (!n)
            return n.error();
        slot = *n;
    }
    json out{{"flows", json::array()}};
    for (; slot < flows.table().size(); ++slot) {
        const auto at = static_cast<std::uint32_t>(slot);
        if (!flows.table().is_flow(at) || !filter->takes(flows.table().key(at)))
            continue;
        if (out["flows"].size() == page_rows) {
            out["next"] = slot;
            break;
        }
        if (auto row = flows.show(at); row && filter->takes(*row))
            out["flows"].push_back(*std::move(row));
    }
    return out;
}

Result<json> show(const Flows &flows, const Request &request)
{
    const std::string &id = request.words[0];
    auto slot = parse_number(id.substr(0, id.find('-')), 0, flows.table().size(), "flow");
    if (slot)
        if (auto row = flows.show(static_cast<std::uint32_t>(*slot)); row && (*row)["id"] == id)
            return *row;
    return Error{.code = ENOENT, .what = "no flow has the id " + in_quotes(id) + ": it has ended"};
}

} // namespace

std::vector<LiveRoute> live_routes(std::function<Flows &(FastPath &)> of)
{
    return {{"GET", "/flows",
             [of](FastPath &f, const Request &request) { return list(of(f), request); }},
            {"GET", "/flows/([0-9]+-[0-9]+)",
             [of](FastPath &f, const Request &request) { return show(of(f), request); }},
            {"GET", "/applications", [of](FastPath &f, const Request &) -> Result<json> {
                 return applications_json(of(f));
             }}};
}

} // namespace evnf::edpi
