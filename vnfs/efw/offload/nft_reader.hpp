// SPDX-License-Identifier: GPL-2.0-or-later
// Reads one rule of nft's JSON. Matches that are no plain fields are in nft_matches.cpp.
#pragma once

#include "vnfs/efw/offload/nft_rule.hpp"

namespace evnf::efw::offload
{

// An expression as reasons name it.
std::string short_text(const json &j);

class NftReader
{
public:
    NftReader(const NftSets &sets, Family family) : sets_(sets), family_(family) {}

    NftRule read(const json &expressions)
    {
        if (!expressions.is_array())
            return {{Effect{"a rule that cannot be read"}}, {0}};
        NftRule out;
        for (std::size_t i = 0; i < expressions.size(); ++i) {
            if (auto m = implied(expressions[i]))
                steps_.emplace_back(IsOneOf{{std::move(*m)}});
            out.from.resize(steps_.size(), i);
        }
        for (std::size_t i = 0; i < expressions.size(); ++i) {
            expression(expressions[i]);
            out.from.resize(steps_.size(), i);
        }
        out.steps = std::move(steps_);
        return out;
    }

private:
    void unknown(const json &what, bool lasting)
    {
        steps_.emplace_back(Unknown{short_text(what), lasting});
    }
    static std::optional<match::Match> implied(const json &e);
    [[nodiscard]] match::Interfaces leaving(const json &m) const;
    void unknown_match(const json &m);
    void expression(const json &e);
    bool match(const json &m); // false: not understood
    bool ct(const std::string &key, const std::string &op, const json &right);
    bool tcp_flags(const json &left, const std::string &op, const json &right);
    bool transport_ports(const std::string &field, const std::string &op, const json &right);
    bool meta(const std::string &key, const std::string &op, const json &right);
    std::optional<std::vector<json>> values(const json &right, const char *list) const;
    std::optional<std::vector<match::Match>>
    matches(const json &key, const std::vector<json> &values, bool negated) const;
    static std::optional<Decide> verdict(const json &v);
    bool map(const json &m);

    const NftSets &sets_;
    Family family_;
    std::vector<Step> steps_;
    std::optional<match::Field<std::uint8_t>> protocol_; // that the rule has asked for
};

} // namespace evnf::efw::offload
