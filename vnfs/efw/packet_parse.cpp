// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <set>
#include <span>

#include "base/text.hpp"
#include "match/words.hpp"
#include "vnfs/efw/packet.hpp"
#include "vnfs/efw/packet_words.hpp"

namespace evnf::efw
{

namespace
{

using match::at;
using match::SetKey;
using match::SetUse;
using match::Word;

constexpr match::Language language{.name = "packet", .words = {}, .synonyms = {}, .expected = ""};
constexpr std::string_view example = "tcp 198.51.100.7:4000 > 192.0.2.10:22 in eth0 syn";
constexpr std::uint8_t syn = 0x02; // RFC 9293
constexpr std::uint16_t echo4 = 8 << 8, echo6 = 128 << 8;
constexpr std::uint16_t max_vlan = 4095;
constexpr std::uint8_t max_dscp = 63;
constexpr std::size_t max_interface = 15; // IFNAMSIZ without its zero

std::optional<std::uint8_t> flags_of(std::string_view word)
{
    if (word == "none")
        return std::uint8_t{0};
    unsigned out = 0;
    while (true) {
        const auto comma = word.find(',');
        const auto *flag = std::find_if(flag_names.begin(), flag_names.end(), [&](const Named &f) {
            return f.name == word.substr(0, comma);
        });
        if (flag == flag_names.end())
            return std::nullopt;
        out |= flag->value;
        if (comma == word.npos)
            return static_cast<std::uint8_t>(out);
        word.remove_prefix(comma + 1);
    }
}

struct End { // of a flow
    Word word;
    Address address;
    std::optional<std::uint16_t> port;
};

Result<End> end_of(const Word &word)
{
    const std::string_view text = word.text;
    const bool bracket = text.starts_with("[");
    const auto colon = text.rfind(':');
    const bool v4_port =
        colon != text.npos && text.find('.') != text.npos && !bracket && text.find(':') == colon;
    const bool v6_port = bracket && colon != text.npos && colon > 0 && text[colon - 1] == ']';
    if (!v4_port && !v6_port) {
        auto address = Address::parse(text);
        if (!address)
            return at(word, address.error().what);
        return End{word, *address, std::nullopt};
    }
    const auto host = v6_port ? text.substr(1, colon - 2) : text.substr(0, colon);
    auto address = Address::parse(host);
    if (!address)
        return at(word, address.error().what);
    auto port = parse_number(text.substr(colon + 1), 0, 65535, "port");
    if (!port)
        return at(word, port.error().what);
    if (address->is_v4() != v4_port)
        return at(word, "only IPv6 addresses stand in brackets");
    return End{word, *address, static_cast<std::uint16_t>(*port)};
}

class Parser
{
public:
    Parser(std::span<const Word> words, std::size_t end) : words_(words), end_(end) {}

    Result<Packet> packet()
    {
        if (auto r = protocol(); !r)
            return r.error();
        auto src = end("the source address");
        if (!src)
            return src.error();
        if (auto r = arrow(); !r)
            return r.error();
        auto dst = end("the destination address");
        if (!dst)
            return dst.error();
        if (src->address.family() != dst->address.family())
            return at(dst->word, in_quotes(dst->word.text) + " is of another family than " +
                                     src->address.text());
        packet_.src = src->address;
        packet_.dst = dst->address;
        while (!words_.empty())
            if (auto r = part(); !r)
                return r.error();
        if (auto r = ports(*src, *dst); !r)
            return r.error();
        if (auto r = finish(); !r)
            return r.error();
        return packet_;
    }

private:
    Result<Word> next(const std::string &what)
    {
        if (words_.empty())
            return bad_input(what + " is missing: a packet is written as " + std::string(example),
                             "", end_, 0);
        const Word &word = words_.front();
        words_ = words_.subspan(1);
        return word;
    }

    Result<> protocol()
    {
        auto word = next("the protocol");
        if (!word)
            return word.error();
        if (word->text == "unread") {
            unread_ = *word;
            packet_.header = Header::unread;
            return Unit{};
        }
        if (word->text == "protocol") {
            word = next("the protocol's number");
            if (!word)
                return word.error();
        } else if (!match::named_protocol(word->text)) {
            return at(*word, "a packet begins with its protocol, as in " + std::string(example));
        }
        auto number = parse_protocol(word->text);
        if (!number)
            return at(*word, number.error().what);
        packet_.protocol = *number;
        protocol_ = *word;
        return Unit{};
    }

    Result<End> end(const std::string &what)
    {
        auto word = next(what);
        if (!word)
            return word.error();
        return end_of(*word);
    }

    Result<> arrow()
    {
        auto word = next("'>'");
        if (!word)
            return word.error();
        if (word->text != ">")
            return at(*word, "'>' stands between the source and the destination");
        return Unit{};
    }

    Result<std::uint64_t> number(const Word &word, std::uint64_t high)
    {
        auto given = next("the number after " + word.text);
        if (!given)
            return given.error();
        auto n = parse_number(given->text, 0, high, word.text);
        if (!n)
            return at(*given, n.error().what);
        return *n;
    }

    Result<> part()
    {
        const Word word = *next("");
        const std::string &w = word.text;
        const auto flags = flags_of(w);
        const auto *key = std::find_if(key_names.begin(), key_names.end(),
                                       [&](const KeyName &k) { return k.name == w; });
        const std::string once = flags ? "flags" : w;
        if (key == key_names.end() && !seen_.insert(once).second)
            return at(word, once + " given twice: a packet has one");
        if (key != key_names.end())
            return set_use(word, key->key);
        if (flags) {
            flags_ = {word, *flags};
            return Unit{};
        }
        if (w == "in")
            return interface();
        if (w == "type")
            return icmp(word);
        if (w == "frag")
            return fragment();
        if (w == "malformed") {
            malformed_ = word;
            return Unit{};
        }
        if (w != "vlan" && w != "dscp" && w != "len")
            return at(word, in_quotes(w) + " is not a word of a packet: expected in, flags such as "
                                           "syn,ack, type, vlan, dscp, frag, malformed, len or "
                                           "a set");
        auto n = number(word, w == "vlan" ? max_vlan : w == "dscp" ? max_dscp : 65535);
        if (!n)
            return n.error();
        if (w == "vlan")
            packet_.vlan = static_cast<std::uint16_t>(*n);
        else if (w == "dscp")
            packet_.dscp = static_cast<std::uint8_t>(*n);
        else
            length_ = {word, *n};
        return Unit{};
    }

    Result<> interface()
    {
        auto name = next("the interface's name");
        if (!name)
            return name.error();
        if (name->text.empty() || name->text.size() > max_interface)
            return at(*name, in_quotes(name->text) + " is not the name of an interface");
        packet_.in = name->text;
        return Unit{};
    }

    Result<> icmp(const Word &word)
    {
        auto given = next("the ICMP type and code");
        if (!given)
            return given.error();
        const std::string_view text = given->text;
        const auto slash = text.find('/');
        auto type = parse_number(text.substr(0, slash), 0, 255, "ICMP type");
        auto code = slash == text.npos ? Result<std::uint64_t>(std::uint64_t{0})
                                       : parse_number(text.substr(slash + 1), 0, 255, "ICMP code");
        if (!type || !code)
            return at(*given, (type ? code : type).error().what);
        icmp_ = {word, *type << 8 | *code};
        return Unit{};
    }

    Result<> fragment()
    {
        auto which = next("first or later");
        if (!which)
            return which.error();
        if (which->text != "first" && which->text != "later")
            return at(*which, "a fragment is the first or a later one: frag first, frag later");
        packet_.fragment = which->text == "first" ? PKT_FRAG_FIRST : PKT_FRAG_LATER;
        return Unit{};
    }

    Result<> set_use(const Word &word, SetKey key)
    {
        auto name = next("the set after " + word.text);
        if (!name)
            return name.error();
        const bool negated = name->text == "!=";
        if (negated)
            name = next("the set after " + word.text + " !=");
        if (!name)
            return name.error();
        if (name->text.size() < 2 || name->text[0] != '@')
            return at(*name, in_quotes(name->text) + " is not a set such as @servers");
        const std::string set = name->text.substr(1);
        const bool known =
            std::any_of(packet_.sets.begin(), packet_.sets.end(),
                        [&](const SetUse &u) { return u.key == key && u.set == set; });
        if (known)
            return at(*name, word.text + " @" + set + " is given twice");
        packet_.sets.push_back({key, set, negated});
        set_words_.push_back({word, key});
        return Unit{};
    }

    Result<> ports(const End &src, const End &dst)
    {
        if (auto r = header(); !r)
            return r;
        const auto transport = packet_.transport();
        const bool has = has_ports(transport);
        for (const auto *end : {&src, &dst})
            if (has != end->port.has_value())
                return at(end->word,
                          has ? "a port is missing: write " + end->address.text() +
                                    (end->address.is_v4() ? "" : " in brackets") + " with :80"
                          : transport == Transport::fragment ? "no port is looked at in a fragment"
                          : hides_header(transport) ? "no port can be seen in such a packet"
                                                    : "only tcp, udp and sctp have ports");
        packet_.sport = src.port.value_or(0);
        packet_.dport = dst.port.value_or(0);
        for (const auto &[word, key] : set_words_)
            if (!has && key != SetKey::saddr && key != SetKey::daddr)
                return at(word, "the packet has no port");
        return Unit{};
    }

    // Whether there can be such a header.
    Result<> header()
    {
        if (!unread_ && packet_.family() == 6 && is_extension_header(packet_.protocol))
            return at(protocol_, "the protocol of an IPv6 packet is what comes after its "
                                 "extension headers");
        if (unread_ && packet_.family() == 4)
            return at(*unread_, "only IPv6 packets have extension headers");
        if (!malformed_)
            return Unit{};
        const auto transport = packet_.transport();
        if (!has_ports(transport) && transport != Transport::icmp)
            return at(*malformed_, "the header of an unfragmented tcp, udp, sctp, icmp or icmpv6 "
                                   "packet can be malformed");
        packet_.header = Header::malformed;
        return Unit{};
    }

    // What depends on the transport, and that nothing was given which it does not have.
    Result<> finish()
    {
        const auto transport = packet_.transport();
        if (flags_ && transport != Transport::tcp)
            return at(flags_->first, "only a whole tcp packet has flags");
        if (icmp_ && transport != Transport::icmp)
            return at(icmp_->first, "only a whole icmp or icmpv6 packet has a type");
        if (transport == Transport::tcp)
            packet_.tcp_flags = flags_ ? flags_->second : syn;
        if (transport == Transport::icmp)
            packet_.icmp = icmp_                   ? static_cast<std::uint16_t>(icmp_->second)
                           : packet_.family() == 4 ? echo4
                                                   : echo6;
        const auto least = least_length(packet_), greatest = greatest_length(packet_);
        if (length_ && (length_->second < least || length_->second > greatest))
            return at(length_->first,
                      "such a packet has at " +
                          (length_->second < least ? "least " + std::to_string(least)
                                                   : "most " + std::to_string(greatest)) +
                          " bytes");
        packet_.length = length_ ? static_cast<std::uint16_t>(length_->second) : least;
        std::sort(packet_.sets.begin(), packet_.sets.end());
        return Unit{};
    }

    template <class Value>
    using Given = std::optional<std::pair<Word, Value>>;

    std::span<const Word> words_;
    std::size_t end_; // of the text
    Packet packet_;
    std::set<std::string> seen_;
    std::vector<std::pair<Word, SetKey>> set_words_;
    Word protocol_;
    std::optional<Word> unread_, malformed_;
    Given<std::uint8_t> flags_;
    Given<std::uint64_t> icmp_, length_;
};

} // namespace

Result<Packet> parse_packet(std::string_view text)
{
    auto words = match::split_words(text, language);
    if (!words)
        return words.error();
    return Parser(*words, text.size()).packet();
}

} // namespace evnf::efw
