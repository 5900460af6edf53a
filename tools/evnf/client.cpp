// SPDX-License-Identifier: GPL-2.0-or-later
#include "client.hpp"

#include <httplib.h>
#include <sys/un.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <vector>

namespace evnf::cli
{

namespace
{

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char *start_hint = ": start one with evnfd --config FILE";

// Not the user's words: there is nobody to hear them.
Error unreachable(std::string what)
{
    return {.code = ENOTCONN, .what = std::move(what)};
}

// Why nobody answers on a socket.
Error no_answer(const std::string &socket)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int failed =
        fd < 0 ? -1 : ::connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof address);
    const int code = errno;
    if (fd >= 0)
        ::close(fd);
    if (failed == 0)
        return unreachable("evnfd took the call on " + socket + " but gave no answer");
    if (code == ENOENT)
        return unreachable("no evnfd listens on " + socket + start_hint);
    if (code == EACCES)
        return unreachable("you may not use " + socket +
                           ": run as root or as a member of the group evnf");
    if (code == ECONNREFUSED)
        return unreachable("the evnfd of " + socket +
                           " is gone (its fast path, if attached, still runs): start it again");
    return sys_error("connect to " + socket, code);
}

Error error_of(int status, const std::string &text)
{
    const json body = json::parse(text, nullptr, false);
    Error e;
    e.code = status == 400 ? 0 : status == 404 ? ENOENT : EIO;
    if (body.is_object() && body.contains("error") && body["error"].is_string()) {
        e.what = body["error"];
        e.where = body.value("where", "");
        e.offset = body.value("offset", std::size_t{0});
        e.length = body.value("length", std::size_t{0});
    } else {
        e.what = "evnfd answered with HTTP status " + std::to_string(status);
    }
    return e;
}

} // namespace

Result<std::string> find_socket(const std::string &run_dir, const std::string &name)
{
    if (!name.empty())
        return run_dir + "/" + name + ".sock";
    std::vector<std::string> found;
    std::error_code ec;
    for (const auto &entry : fs::directory_iterator(run_dir, ec))
        if (entry.path().extension() == ".sock")
            found.push_back(entry.path().stem());
    if (found.size() == 1)
        return run_dir + "/" + found[0] + ".sock";
    if (found.empty())
        return unreachable("no evnfd runs here" + std::string(start_hint));
    std::sort(found.begin(), found.end());
    std::string names;
    for (const auto &one : found)
        names += (names.empty() ? "" : ", ") + one;
    return unreachable("several evnfd run here: say which with --name (" + names + ")");
}

std::string encoded(const std::string &word)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const char c : word) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || c == '-' || c == '_')
            out += c;
        else
            out += {'%', digits[byte >> 4], digits[byte & 0xf]};
    }
    return out;
}

Result<json> call_api(const std::string &socket, const std::string &method, const std::string &path,
                      const json &body, std::chrono::seconds patience)
{
    if (socket.size() >= sizeof(sockaddr_un::sun_path))
        return bad_input(socket + " is too long for a Unix socket");
    httplib::Client client(socket);
    client.set_address_family(AF_UNIX);
    client.set_read_timeout(patience);
    httplib::Request request;
    request.method = method;
    request.path = path;
    request.set_header("Host", "localhost");
    if (!body.is_null()) {
        request.body = body.dump();
        request.set_header("Content-Type", "application/json");
    }
    const auto result = client.send(request);
    if (!result)
        return no_answer(socket);
    if (result->status >= 300)
        return error_of(result->status, result->body);
    json answer = json::parse(result->body, nullptr, false);
    if (answer.is_discarded())
        return unreachable("evnfd's answer is not JSON");
    return answer;
}

Result<> stream_api(const std::string &socket, const std::string &path,
                    const std::function<bool(const json &)> &take,
                    const std::function<bool()> &begun)
{
    if (socket.size() >= sizeof(sockaddr_un::sun_path))
        return bad_input(socket + " is too long for a Unix socket");
    httplib::Client client(socket);
    client.set_address_family(AF_UNIX);
    client.set_read_timeout(60, 0); // it writes a blank line when there is nothing
    int status = 0;
    std::string rest;
    bool enough = false;
    const auto result = client.Get(
        path, {{"Host", "localhost"}},
        [&](const httplib::Response &response) {
            status = response.status;
            enough = status < 300 && begun && !begun();
            return !enough;
        },
        [&](const char *bytes, std::size_t n) {
            rest.append(bytes, n);
            for (auto end = rest.find('\n'); status < 300 && end != rest.npos;
                 end = rest.find('\n')) {
                const json line = json::parse(rest.substr(0, end), nullptr, false);
                rest.erase(0, end + 1);
                if (line.is_object() && line.contains("ended")) {
                    rest = line.dump();
                    return false;
                }
                if (line.is_object() && !take(line)) {
                    enough = true;
                    return false;
                }
            }
            return true;
        });
    if (enough)
        return Unit{};
    if (status >= 300)
        return error_of(status, rest);
    const json last = json::parse(rest, nullptr, false);
    if (last.is_object() && last.contains("ended"))
        return unreachable(last["ended"]);
    if (!result && status == 0)
        return no_answer(socket);
    return unreachable("evnfd has ended");
}

} // namespace evnf::cli
