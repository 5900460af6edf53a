// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the keys of one table of a section, each with its place for errors.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/net.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

// Each reader of a key gives `otherwise` if the key is not there.
class TableReader
{
public:
    // Both must outlive it.
    TableReader(const json &table, std::string where) : table_(table), where_(std::move(where)) {}

    [[nodiscard]] const std::string &where() const { return where_; }
    [[nodiscard]] std::string at(const std::string &key) const { return where_ + "/" + key; }
    [[nodiscard]] bool has(const std::string &key) const { return table_.contains(key); }
    const json &operator[](const std::string &key) const { return table_[key]; }

    Result<> only(const std::set<std::string> &keys, const std::string &what) const;
    Result<unsigned> number(const std::string &key, unsigned low, unsigned high,
                            std::optional<unsigned> otherwise = {}) const;
    // `unit` is for the error: "seconds".
    Result<double> real(const std::string &key, double low, double high, const std::string &unit,
                        double otherwise) const;
    Result<std::string> text(const std::string &key,
                             std::optional<std::string> otherwise = {}) const;
    Result<bool> flag(const std::string &key, bool otherwise) const;
    Result<std::vector<std::string>> texts(const std::string &key,
                                           std::vector<std::string> otherwise) const;
    // One of `words`: the error names them all.
    Result<std::string> word(const std::string &key, const std::vector<std::string> &words,
                             const std::string &otherwise) const;
    Result<std::optional<std::uint16_t>> port() const;
    Result<Address> address() const;
    // Of "address" and "port"; the port may be left out.
    Result<Endpoint> endpoint(std::uint16_t otherwise) const;

private:
    const json &table_;
    std::string where_;
};

// Takes what a reader gives into `to`; the error goes to the caller.
template <class T>
Result<> take(T &to, Result<T> from)
{
    if (!from)
        return from.error();
    to = *std::move(from);
    return Unit{};
}

} // namespace evnf
