// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace evnf
{

// What went wrong, in a sentence for a person. Built at the failing call, given a
// clause of context on the way up, printed once at the top.
struct Error {
    int code = 0;     // errno, or 0 where no system call failed
    std::string what; // names the thing and the cause, and the mend where there is one

    // Where in a configuration the fault lies, if it lies there: a JSON pointer
    // ("/efw/rules/3"), and the word within that text, for a caret.
    std::string where = {};
    std::size_t offset = 0;
    std::size_t length = 0;

    [[nodiscard]] std::string message() const
    {
        return code ? what + ": " + std::generic_category().message(code) : what;
    }
};

// For a failed call that set errno or returned a negative one.
inline Error sys_error(std::string what, int code = errno)
{
    return {.code = code < 0 ? -code : code, .what = std::move(what)};
}

// For input that is wrong: `where` as in Error.
inline Error bad_input(std::string what, std::string where = {}, std::size_t offset = 0,
                       std::size_t length = 0)
{
    return {.code = 0,
            .what = std::move(what),
            .where = std::move(where),
            .offset = offset,
            .length = length};
}

struct Unit {
};

template <class T = Unit>
class [[nodiscard]] Result
{
public:
    Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}

    [[nodiscard]] bool has_value() const noexcept { return v_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    T &operator*() & { return *std::get_if<0>(&v_); }
    const T &operator*() const & { return *std::get_if<0>(&v_); }
    T &&operator*() && { return std::move(*std::get_if<0>(&v_)); }
    T *operator->() { return std::get_if<0>(&v_); }
    const T *operator->() const { return std::get_if<0>(&v_); }
    const Error &error() const { return *std::get_if<1>(&v_); }

    // Adds one clause of context: "attach to eth0: <what>: <errno>".
    Result context(const std::string &clause) &&
    {
        if (auto *e = std::get_if<1>(&v_))
            e->what = clause + ": " + e->what;
        return std::move(*this);
    }

private:
    std::variant<T, Error> v_;
};

} // namespace evnf
