// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/table_reader.hpp"

#include <algorithm>
#include <cstdio>

#include "base/text.hpp"

namespace evnf
{

namespace
{

std::string plain(double value)
{
    char out[32];
    std::snprintf(out, sizeof out, "%g", value);
    return out;
}

} // namespace

Result<> TableReader::only(const std::set<std::string> &keys, const std::string &what) const
{
    if (!table_.is_object())
        return bad_input(what + " is a table", where_);
    for (const auto &[key, value] : table_.items())
        if (!keys.contains(key))
            return bad_input(in_quotes(key) + " is not a key of " + what, at(key));
    return Unit{};
}

Result<unsigned> TableReader::number(const std::string &key, unsigned low, unsigned high,
                                     std::optional<unsigned> otherwise) const
{
    const auto it = table_.find(key);
    if (it == table_.end() && otherwise)
        return *otherwise;
    if (it == table_.end())
        return bad_input("a " + key + " is missing", where_);
    const bool good = it->is_number_integer() && *it >= low && *it <= high;
    if (!good)
        return bad_input(key + " is a number from " + std::to_string(low) + " to " +
                             std::to_string(high),
                         at(key));
    return it->get<unsigned>();
}

Result<double> TableReader::real(const std::string &key, double low, double high,
                                 const std::string &unit, double otherwise) const
{
    const auto it = table_.find(key);
    if (it == table_.end())
        return otherwise;
    const bool good = it->is_number() && *it >= low && *it <= high;
    if (!good)
        return bad_input(key + " is a number from " + plain(low) + " to " + plain(high) +
                             (unit.empty() ? "" : ", in " + unit),
                         at(key));
    return it->get<double>();
}

Result<std::string> TableReader::text(const std::string &key,
                                      std::optional<std::string> otherwise) const
{
    const auto it = table_.find(key);
    if (it == table_.end() && otherwise)
        return *otherwise;
    if (it == table_.end())
        return bad_input("a " + key + " is missing", where_);
    if (!it->is_string())
        return bad_input(key + " is a string", at(key));
    return it->get<std::string>();
}

Result<bool> TableReader::flag(const std::string &key, bool otherwise) const
{
    const auto it = table_.find(key);
    if (it == table_.end())
        return otherwise;
    if (!it->is_boolean())
        return bad_input(key + " is true or false", at(key));
    return it->get<bool>();
}

Result<std::vector<std::string>> TableReader::texts(const std::string &key,
                                                    std::vector<std::string> otherwise) const
{
    const auto it = table_.find(key);
    if (it == table_.end())
        return otherwise;
    const bool good = it->is_array() && std::all_of(it->begin(), it->end(),
                                                    [](const json &e) { return e.is_string(); });
    if (!good)
        return bad_input(key + " is an array of strings", at(key));
    return it->get<std::vector<std::string>>();
}

Result<std::string> TableReader::word(const std::string &key, const std::vector<std::string> &words,
                                      const std::string &otherwise) const
{
    auto given = text(key, otherwise);
    if (!given || std::find(words.begin(), words.end(), *given) != words.end())
        return given;
    const bool vowel = std::string_view("aeiou").find(key[0]) != std::string_view::npos;
    std::string all;
    for (const auto &w : words)
        all += (all.empty() ? "" : w == words.back() ? " or " : ", ") + w;
    return bad_input(in_quotes(*given) + (vowel ? " is not an " : " is not a ") + key + ": " + all,
                     at(key), 0, given->size());
}

Result<std::optional<std::uint16_t>> TableReader::port() const
{
    if (!has("port"))
        return std::optional<std::uint16_t>();
    auto n = number("port", 1, 65535);
    if (!n)
        return n.error();
    return std::optional(static_cast<std::uint16_t>(*n));
}

Result<Address> TableReader::address() const
{
    auto host = text("address");
    if (!host)
        return host.error();
    auto address = Address::parse(*host);
    if (!address)
        return bad_input(address.error().what, at("address"), 0, host->size());
    return *address;
}

Result<Endpoint> TableReader::endpoint(std::uint16_t otherwise) const
{
    auto host = address();
    if (!host)
        return host.error();
    auto own = port();
    if (!own)
        return own.error();
    return Endpoint{*host, own->value_or(otherwise)};
}

} // namespace evnf
