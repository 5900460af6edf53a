// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/feedback/snmp.hpp"

#include <algorithm>
#include <numeric>

#include "vnfs/elb/feedback/snmp_session.hpp"

namespace evnf::elb
{

namespace
{

constexpr int rows_at_once = 32;
constexpr std::size_t most_rows = 4096; // of a column: more is no table of processors

bool is_below(const SnmpSession::Oid &oid, const SnmpSession::Oid &above)
{
    return oid.size() > above.size() && std::equal(above.begin(), above.end(), oid.begin());
}

} // namespace

// With one agent: discover its name if that is not known, get the single values at once, then
// each column from its begin to its end.
struct SnmpProbes::Exchange {
    Address to;
    SnmpSettings settings;
    std::vector<Index> indices;
    double timeout;
    Done done;
    std::optional<SnmpSession> session;
    enum class Asked { nothing, name, singles, column };
    Asked asked = Asked::nothing;
    std::vector<double> values;
    std::size_t column = 0; // the index whose column is being read
    std::vector<double> rows;
    std::optional<Result<std::vector<double>>> outcome;

    [[nodiscard]] std::string agent() const
    {
        return to.text() + " " + std::to_string(settings.port);
    }

    void fail(const Error &e) { outcome = e; }
    void check(const Result<> &r)
    {
        if (!r)
            fail(r.error());
    }

    Result<> open(const std::string &engine)
    {
        auto s = SnmpSession::open(to, settings, engine, timeout);
        if (!s)
            return s.error();
        session.emplace(*std::move(s));
        return Unit{};
    }

    void begin(const std::string &engine)
    {
        values.resize(indices.size());
        if (auto r = open(engine); !r)
            return fail(r.error());
        if (settings.version != 3 || !engine.empty())
            return ask();
        asked = Asked::name;
        check(session->discover());
    }

    // The next question, or the outcome.
    void ask()
    {
        if (asked < Asked::singles) {
            asked = Asked::singles;
            std::vector<SnmpSession::Oid> oids;
            for (const auto &i : indices)
                if (i.source != Index::Source::snmp_mean)
                    for (const auto &o : i.oids)
                        oids.push_back(parse_oid(o));
            if (!oids.empty())
                return check(session->get(oids));
        }
        while (column < indices.size() && indices[column].source != Index::Source::snmp_mean)
            ++column;
        if (column == indices.size()) {
            outcome = values;
            return;
        }
        rows.clear();
        asked = Asked::column;
        check(session->get_next(parse_oid(indices[column].oids[0]), rows_at_once));
    }

    void take_singles(const SnmpSession::Rows &answer)
    {
        std::size_t at = 0;
        const auto next = [&](const Index &i) -> std::optional<double> {
            if (at < answer.size() && answer[at].second)
                return answer[at++].second;
            fail(bad_input("the agent has no number at " + i.oids[0] + " (" + i.name + ")"));
            return {};
        };
        for (std::size_t i = 0; i < indices.size() && !outcome; ++i) {
            if (indices[i].source == Index::Source::snmp_mean)
                continue;
            const auto first = next(indices[i]);
            if (!first)
                return;
            values[i] = *first;
            if (indices[i].source == Index::Source::snmp_taken) {
                const auto total = next(indices[i]);
                if (!total)
                    return;
                values[i] = *total > 0 ? 1 - *first / *total : 1;
            }
        }
        if (!outcome)
            ask();
    }

    void take_column(const SnmpSession::Rows &answer)
    {
        const auto above = parse_oid(indices[column].oids[0]);
        for (const auto &[oid, value] : answer) {
            if (is_below(oid, above) && value && rows.size() < most_rows) {
                rows.push_back(*value);
                continue;
            }
            return end_column();
        }
        check(session->get_next(answer.back().first, rows_at_once));
    }

    void end_column()
    {
        const Index &i = indices[column];
        if (rows.empty())
            return fail(
                bad_input("the agent has no numbers below " + i.oids[0] + " (" + i.name + ")"));
        values[column] =
            std::accumulate(rows.begin(), rows.end(), 0.0) / static_cast<double>(rows.size());
        ++column;
        ask();
    }

    // Carries on as far as there are answers.
    void run(Time now, std::map<std::string, std::string> &engines)
    {
        auto answer = session->read(now);
        if (!answer)
            return;
        if (!*answer) {
            engines.erase(agent()); // it may be another by now
            return fail(answer->error());
        }
        if (asked != Asked::name && (*answer)->empty()) {
            engines.erase(agent());
            return fail(bad_input("the agent has another name than before: asked again next time"));
        }
        if (asked == Asked::singles)
            return take_singles(**answer);
        if (asked == Asked::column)
            return take_column(**answer);
        const std::string engine = session->engine();
        if (engine.empty())
            return fail(bad_input("the agent does not say its engine ID: is it version 3?"));
        engines[agent()] = engine;
        if (auto r = open(engine); !r)
            return fail(r.error());
        ask();
    }
};

SnmpProbes::SnmpProbes() = default;
SnmpProbes::~SnmpProbes() = default;

void SnmpProbes::start(const Address &to, const SnmpSettings &settings, std::vector<Index> indices,
                       double timeout, Done done)
{
    auto e = std::make_unique<Exchange>();
    e->to = to;
    e->settings = settings;
    e->indices = std::move(indices);
    e->timeout = timeout;
    e->done = std::move(done);
    const auto known = engines_.find(e->agent());
    e->begin(known == engines_.end() ? "" : known->second);
    if (e->outcome)
        return e->done(*e->outcome);
    exchanges_.push_back(std::move(e));
}

void SnmpProbes::add_descriptors(std::vector<curl_waitfd> &all) const
{
    for (const auto &e : exchanges_)
        all.push_back({e->session->fd(), CURL_WAIT_POLLIN, 0});
}

std::optional<Time> SnmpProbes::deadline() const
{
    std::optional<Time> first;
    for (const auto &e : exchanges_)
        first = std::min(first.value_or(e->session->until()), e->session->until());
    return first;
}

void SnmpProbes::run(Time now)
{
    std::vector<std::unique_ptr<Exchange>> waiting, ended;
    for (auto &e : exchanges_) {
        e->run(now, engines_);
        (e->outcome ? ended : waiting).push_back(std::move(e));
    }
    exchanges_ = std::move(waiting);
    for (const auto &e : ended)
        e->done(*e->outcome);
}

} // namespace evnf::elb
