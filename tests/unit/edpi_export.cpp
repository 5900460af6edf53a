// SPDX-License-Identifier: GPL-2.0-or-later
// Records to readers that go away: each is whole, and at one of them; what is lost is counted.
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <numeric>
#include <thread>

#include "vnfs/edpi/exporter.hpp"

using namespace evnf;
using namespace evnf::edpi;
using namespace std::chrono_literals;
using nlohmann::json;

namespace
{

json flow(unsigned n, const std::string &application = "HTTP", const std::string &id = "0.7")
{
    return {{"record", "flow"},
            {"number", n}, // for these tests alone
            {"first_ms", 1},
            {"last_ms", 2},
            {"protocol", "tcp"},
            {"source", "192.0.2.1"},
            {"destination", "192.0.2.2"},
            {"packets", n},
            {"bytes", 100 * n},
            {"packets_back", 0},
            {"bytes_back", 0},
            {"end", "closed"},
            {"application", application},
            {"application_id", id}};
}

// A listener of small buffers; connections wait for it until it takes them.
class Reader
{
public:
    explicit Reader(bool local)
    {
        const std::string path = "/tmp/evnf-edpi-export-" + std::to_string(::getpid());
        fd_ = Fd(::socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int small = 4096;
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        if (local) {
            sockaddr_un at{.sun_family = AF_UNIX, .sun_path = {}};
            path.copy(at.sun_path, sizeof at.sun_path - 1);
            ::unlink(path.c_str());
            REQUIRE(::bind(fd_.get(), reinterpret_cast<sockaddr *>(&at), sizeof at) == 0);
            place = "unix:" + path;
        } else {
            sockaddr_in at{};
            at.sin_family = AF_INET;
            at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            socklen_t size = sizeof at;
            REQUIRE(::bind(fd_.get(), reinterpret_cast<sockaddr *>(&at), size) == 0);
            REQUIRE(::getsockname(fd_.get(), reinterpret_cast<sockaddr *>(&at), &size) == 0);
            place = "tcp:127.0.0.1:" + std::to_string(ntohs(at.sin_port));
        }
        REQUIRE(::listen(fd_.get(), 8) == 0);
    }

    void accept()
    {
        connection_ = Fd(::accept(fd_.get(), nullptr, nullptr));
        REQUIRE(connection_);
        text.clear();
    }
    // At most so many bytes.
    void read(std::size_t most)
    {
        std::string some(most, '\0');
        pollfd p{.fd = connection_.get(), .events = POLLIN, .revents = 0};
        while (most && ::poll(&p, 1, 150) > 0) {
            const ssize_t n = ::recv(connection_.get(), some.data(), most, 0);
            if (n <= 0)
                break;
            text.append(some, 0, static_cast<std::size_t>(n));
            most -= static_cast<std::size_t>(n);
        }
    }
    // What its kernel has, and nobody has read; once no more of it comes.
    [[nodiscard]] std::size_t unread() const
    {
        int before = -1, now = 0;
        while (before != now) {
            before = now;
            std::this_thread::sleep_for(500ms); // a full buffer is asked after 200 ms, then 400
            REQUIRE(::ioctl(connection_.get(), FIONREAD, &now) == 0);
        }
        return static_cast<std::size_t>(now);
    }
    void hang_up() { connection_ = Fd(); }

    [[nodiscard]] std::vector<unsigned> numbers() const
    {
        std::vector<unsigned> out;
        std::size_t begin = 0;
        for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
            out.push_back(json::parse(text.substr(begin, end - begin))["number"]);
        return out;
    }

    std::string place, text; // what was read of this connection

private:
    Fd fd_, connection_;
};

Exporter exporter_to(const std::string &place)
{
    const auto to = Destination::parse(place);
    REQUIRE(to);
    return Exporter(*to);
}

// Puts records from `next` on until no more are taken.
void fill(Exporter &exporter, unsigned &next)
{
    while (exporter.put(flow(next)))
        ++next;
}

// Once it tries again, at the latest.
void put_soon(Exporter &exporter, const json &record)
{
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!exporter.put(record)) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        std::this_thread::sleep_for(20ms);
    }
}

struct IpfixRead {
    unsigned templates = 0, names = 0, flows = 0;
};

// Messages as the RFC has them, numbered without a gap.
IpfixRead read_ipfix(const std::string &bytes)
{
    const auto number = [&](std::size_t at, std::size_t size) {
        std::uint32_t out = 0;
        for (std::size_t i = 0; i < size; ++i)
            out = out << 8 | static_cast<std::uint8_t>(bytes.at(at + i));
        return out;
    };
    IpfixRead out;
    for (std::size_t at = 0; at < bytes.size(); at += number(at + 2, 2)) {
        REQUIRE(number(at, 2) == 10);
        CHECK(number(at + 8, 4) == out.names + out.flows);
        const std::size_t end = at + number(at + 2, 2);
        for (std::size_t set = at + 16; set < end; set += number(set + 2, 2)) {
            const auto id = number(set, 2), size = number(set + 2, 2) - 4;
            REQUIRE(size > 0);
            if (id < 256)
                ++out.templates;
            else if (id == 258)
                out.names += size / 73;
            else if (id == 256)
                out.flows += size / 96;
            else
                FAIL("set " << id);
            CHECK(out.templates > 0);
            CHECK((out.names > 0 || id != 256));
        }
    }
    return out;
}

} // namespace

TEST_CASE("each record is whole and at one reader, or counted as lost")
{
    const bool local = GENERATE(false, true);
    Reader reader(local);
    auto exporter = exporter_to(reader.place);
    unsigned next = 0;
    put_soon(exporter, flow(next));
    ++next;
    reader.accept();
    reader.read(3000); // no more later: what has arrived stays as it is
    fill(exporter, next);
    REQUIRE(next > 10);
    const std::size_t arrived = reader.text.size() + (local ? 0 : reader.unread());
    const auto numbers = reader.numbers();
    std::vector<unsigned> want(numbers.size());
    std::iota(want.begin(), want.end(), 0);
    CHECK(numbers == want);
    // Lines that have arrived whole.
    unsigned whole = 0;
    for (std::size_t size = 0; whole < next; ++whole)
        if ((size += flow(whole).dump().size() + 1) > arrived)
            break;
    const unsigned taken = next;
    reader.hang_up();
    put_soon(exporter, flow(next));
    reader.accept();
    reader.read(1 << 20);
    const auto after = reader.numbers();
    REQUIRE(!after.empty());
    // The one that was begun is told again.
    CHECK((after.front() == taken || after.front() == taken - 1));
    CHECK(after.back() == taken);
    const std::uint64_t lost = exporter.lost();
    if (local)
        CHECK(lost >= after.front() - whole);
    else
        CHECK(lost == after.front() - whole);
    CHECK(lost <= taken);
    if (local)
        ::unlink(reader.place.substr(5).c_str());
}

TEST_CASE("an IPFIX stream begins with its templates, and names applications first")
{
    Reader reader(false);
    auto exporter = exporter_to("ipfix-" + reader.place);
    for (unsigned round = 0; round < 2; ++round) {
        put_soon(exporter, flow(1));
        CHECK(exporter.put(flow(2)));
        CHECK(exporter.put(flow(3, "TLS.Google", "91.126")));
        reader.accept();
        reader.read(1 << 16);
        const auto read = read_ipfix(reader.text);
        CHECK(read.names == 2);
        CHECK(read.flows == 3);
        CHECK(reader.text.find("TLS.Google") != std::string::npos);
        reader.hang_up();
    }
    CHECK(exporter.lost() == 0);
}

TEST_CASE("no record goes to a port where nobody is")
{
    Fd listener(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr *>(&at), size) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr *>(&at), &size) == 0);
    auto exporter = exporter_to("ipfix-udp:127.0.0.1:" + std::to_string(ntohs(at.sin_port)));
    const auto receive = [](int fd) {
        std::string out(1 << 16, '\0');
        pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
        std::size_t got = 0;
        while (::poll(&p, 1, 200) > 0)
            if (const ssize_t n = ::recv(fd, out.data() + got, out.size() - got, 0); n > 0)
                got += static_cast<std::size_t>(n);
        out.resize(got);
        return out;
    };
    REQUIRE(exporter.put(flow(1)));
    CHECK(read_ipfix(receive(listener.get())).flows == 1);
    // The next to be sent is the last that goes nowhere.
    listener = Fd();
    CHECK(exporter.put(flow(2)));
    std::this_thread::sleep_for(300ms); // until the kernel has told
    CHECK(!exporter.put(flow(3)));
    CHECK(exporter.lost() == 1);
    std::this_thread::sleep_for(1100ms);
    CHECK(!exporter.put(flow(3))); // templates have found out
    CHECK(exporter.lost() == 0);
    const Fd again(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(again.get(), reinterpret_cast<sockaddr *>(&at), size) == 0);
    put_soon(exporter, flow(3));
    const std::string got = receive(again.get());
    CHECK(got.find("HTTP") != std::string::npos); // its name is among them
}
