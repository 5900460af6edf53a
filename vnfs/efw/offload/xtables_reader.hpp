// SPDX-License-Identifier: GPL-2.0-or-later
// Reads one rule of iptables, word by word. Its values are read in xtables_values.cpp.
#pragma once

#include <optional>

#include "vnfs/efw/offload/xtables.hpp"

namespace evnf::efw::offload
{

// A protocol by the names that iptables uses, or its number.
std::optional<std::uint8_t> xtables_protocol(std::string_view word);

class XtablesReader
{
public:
    XtablesReader(const std::vector<std::string> &words, int family,
                  const std::set<std::string> &chains)
        : words_(words),
          family_(family),
          chains_(chains)
    {
    }

    XtablesRule read();

private:
    [[nodiscard]] bool done() const { return at_ >= words_.size(); }
    std::string take() { return done() ? std::string() : words_[at_++]; }
    match::Match match() const { return {.family = family_}; }
    void is(match::Match m) { steps_.emplace_back(IsOneOf{{std::move(m)}}); }
    void unknown(std::string what, bool lasting, std::optional<Limit> limit = {})
    {
        steps_.emplace_back(Unknown{std::move(what), lasting, limit});
    }
    void unknown_option(const std::string &option);
    void option(const std::string &option);
    bool known(const std::string &option); // false: its value is not understood
    bool known_by_module(const std::string &option);
    bool address(bool source);
    bool ports(bool source, bool destination, bool list, std::optional<std::uint8_t> protocol);
    bool address_range(bool source);
    bool flags();
    bool icmp();
    bool tos();
    bool ct_states();
    bool mark();
    bool address_types(bool source);
    bool packet_type();
    void interface(bool in);
    void extension(const std::string &name, const std::string &options);
    void target(bool go_to);

    const std::vector<std::string> &words_;
    int family_;
    const std::set<std::string> &chains_;
    std::size_t at_ = 0;
    bool negated_ = false;
    std::string module_;
    std::optional<std::uint8_t> protocol_; // of -p, not negated
    std::vector<Step> steps_;
    std::vector<std::size_t> from_;
    std::string comment_;
};

} // namespace evnf::efw::offload
