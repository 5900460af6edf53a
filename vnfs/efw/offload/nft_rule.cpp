// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/nft_rule.hpp"

#include <netinet/in.h>

#include <set>

#include "vnfs/efw/offload/nft_reader.hpp"

namespace evnf::efw::offload
{

using match::Match;

namespace
{

constexpr std::size_t most_alternatives = 20000; // of one concatenation

// Where a map or a set keeps {"elem": {"val": …}}, as it does for one with a comment.
// Anything else in it (a counter, a timeout) is not for us to know.
std::optional<json> plain_element(const json &element)
{
    if (!element.is_object() || !element.contains("elem"))
        return element;
    const json &e = element["elem"];
    if (!e.is_object() || !e.contains("val"))
        return std::nullopt;
    for (const auto &[key, value] : e.items())
        if (key != "val" && key != "comment")
            return std::nullopt;
    return e["val"];
}

std::optional<Limit> nft_limit(const json &o)
{
    static const std::map<std::string, std::uint32_t> units{
        {"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}};
    Limit out;
    auto number = [&](const char *key, std::uint32_t otherwise) {
        const json n = o.value(key, json(otherwise));
        return n.is_number_unsigned() && n <= 0xffffffffU ? n.get<std::uint32_t>() : 0;
    };
    if (!o.is_object() || o.contains("rate_unit") || !o.contains("per") || !o["per"].is_string())
        return std::nullopt;
    const auto unit = units.find(o["per"].get<std::string>());
    out.packets = number("rate", 0);
    out.burst = number("burst", out.burst);
    out.over = o.value("inv", json(false)) == true;
    if (unit == units.end() || !out.packets || !out.burst)
        return std::nullopt;
    out.seconds = unit->second;
    return out;
}

Effect::Kind nft_effect(const std::string &key, const json &inner)
{
    if (key == "log" && (inner.is_null() || inner.empty()))
        return Effect::Kind::log;
    if (key != "reject" || !inner.is_object())
        return Effect::Kind::other;
    if (inner == json{{"type", "tcp reset"}})
        return Effect::Kind::reset;
    const bool admin = inner.value("expr", json()) == "admin-prohibited";
    return admin && inner.size() == 2 ? Effect::Kind::prohibit : Effect::Kind::other;
}

} // namespace

std::string short_text(const json &j)
{
    constexpr std::size_t most = 120;
    std::string text = j.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.size() > most)
        text = text.substr(0, most) + "…";
    return text;
}

// The kernel asks for it before all else, and nft leaves it out of its listing.
std::optional<Match> NftReader::implied(const json &e)
{
    const json inner = e.is_object() ? e.value("reject", json()) : json();
    const json type = inner.is_object() ? inner.value("type", json()) : json();
    if (type == "icmp" || type == "icmpv6")
        return Match{.family = type == "icmp" ? 4 : 6};
    if (type != "tcp reset")
        return std::nullopt;
    Match m;
    m.protocol = {{{IPPROTO_TCP, IPPROTO_TCP}}};
    return m;
}

// The elements of the right hand side: a set's, a named set's, or the one value.
std::optional<std::vector<json>> NftReader::values(const json &right, const char *list) const
{
    const json *elements = nullptr;
    if (right.is_object() && right.contains("set")) {
        elements = &right["set"];
    } else if (right.is_string() && right.get_ref<const std::string &>().starts_with('@')) {
        const auto it = sets_.find(right.get_ref<const std::string &>().substr(1));
        if (it == sets_.end() || it->second.value("type", json()) == json() ||
            it->second.contains("map") != (std::string_view(list) == "map"))
            return std::nullopt;
        static const json none = json::array();
        elements = it->second.contains("elem") ? &it->second["elem"] : &none;
    } else {
        return std::vector<json>{right};
    }
    if (!elements->is_array()) // nft writes a set of one value as that value
        return std::vector<json>{*elements};
    std::vector<json> out;
    out.reserve(elements->size());
    for (const auto &element : *elements) {
        auto value = plain_element(element);
        if (!value)
            return std::nullopt;
        out.push_back(std::move(*value));
    }
    return out;
}

// One match for a plain key with all its values; one for each value of a concatenation.
std::optional<std::vector<Match>>
NftReader::matches(const json &key, const std::vector<json> &values, bool negated) const
{
    if (const auto plain = nft_key(key)) {
        if (*plain == NftKey::meta_length && family_ == Family::netdev)
            return std::nullopt; // with the padding there
        auto m = nft_match(*plain, values, negated);
        return m ? std::optional(std::vector{std::move(*m)}) : std::nullopt;
    }
    if (!key.is_object() || !key.contains("concat") || !key["concat"].is_array() || negated ||
        values.size() > most_alternatives)
        return std::nullopt;
    const json &parts = key["concat"];
    std::vector<Match> out;
    for (const auto &value : values) {
        if (!value.is_object() || !value.contains("concat") || !value["concat"].is_array() ||
            value["concat"].size() != parts.size())
            return std::nullopt;
        std::optional<Match> all = Match{};
        for (std::size_t i = 0; i < parts.size() && all; ++i) {
            const auto part = nft_key(parts[i]);
            if (!part || *part == NftKey::meta_length)
                return std::nullopt;
            const auto one = nft_match(*part, {value["concat"][i]}, false);
            all = one ? nft_both(std::move(*all), *one) : std::nullopt;
        }
        if (!all)
            return std::nullopt;
        out.push_back(std::move(*all));
    }
    return out;
}

bool NftReader::match(const json &m)
{
    if (!m.is_object() || !m.contains("left") || !m.contains("right") || !m.contains("op") ||
        !m["op"].is_string() || !m["left"].is_object() || m["left"].size() != 1)
        return false;
    const json &left = m["left"], &right = m["right"];
    const auto op = m["op"].get<std::string>();
    const json &inner = left.begin().value();
    auto word = [&](const json &o, const char *key) {
        return o.is_object() && o.contains(key) && o[key].is_string() ? o[key].get<std::string>()
                                                                      : std::string();
    };
    if (left.contains("ct") && inner.is_object() && inner.size() == 1)
        return ct(word(inner, "key"), op, right);
    const bool masked = left.contains("&") && inner.is_array() && inner.size() == 2;
    if (nft_key(masked ? inner[0] : left) == NftKey::tcp_flags &&
        !(right.is_object() && right.contains("set")))
        return tcp_flags(left, op, right);
    if (left.contains("payload") && word(inner, "protocol") == "th")
        return transport_ports(word(inner, "field"), op, right);
    if (left.contains("fib") && op == "==" && right == "local" && inner.is_object() &&
        inner.value("flags", json()) == json::array({"daddr"}) && word(inner, "result") == "type") {
        steps_.emplace_back(HasAddressType{false, ADDRESS_LOCAL, false});
        return true;
    }
    if (left.contains("meta") && meta(word(inner, "key"), op, right))
        return true;
    if (op != "==" && op != "!=")
        return false;
    const auto list = values(right, "set");
    if (!list)
        return false;
    if (list->empty()) { // nothing is in it
        if (op == "==")
            steps_.emplace_back(IsOneOf{{}});
        return op == "==";
    }
    if (nft_key(left) == NftKey::tcp_flags && (op == "!=" || list->size() > 32))
        return false;
    if (nft_key(left) == NftKey::tcp_flags) { // one match for each
        IsOneOf any;
        for (const auto &v : *list)
            if (auto one = nft_match(NftKey::tcp_flags, {v}, false))
                any.matches.push_back(std::move(*one));
        const bool all = any.matches.size() == list->size();
        if (all)
            steps_.emplace_back(std::move(any));
        return all;
    }
    auto any = matches(left, *list, op == "!=");
    if (!any)
        return false;
    if (any->size() == 1 && any->front().protocol.asked() && !any->front().sport.asked())
        protocol_ = any->front().protocol;
    steps_.emplace_back(IsOneOf{std::move(*any)});
    return true;
}

std::optional<Decide> NftReader::verdict(const json &v)
{
    static const std::map<std::string, Verdict> plain{{"accept", Verdict::accept},
                                                      {"drop", Verdict::drop},
                                                      {"return", Verdict::return_to_caller},
                                                      {"continue", Verdict::next_rule}};
    if (!v.is_object() || v.size() != 1)
        return std::nullopt;
    if (const auto it = plain.find(v.begin().key()); it != plain.end())
        return Decide{it->second};
    const bool jump = v.contains("jump");
    const json &inner = v.begin().value();
    if ((!jump && !v.contains("goto")) || !inner.is_object() || !inner.contains("target") ||
        !inner["target"].is_string())
        return std::nullopt;
    return Decide{jump ? Verdict::jump : Verdict::go_to, inner["target"]};
}

bool NftReader::map(const json &m)
{
    if (!m.is_object() || !m.contains("key") || !m.contains("data"))
        return false;
    const auto list = values(m["data"], "map");
    if (!list)
        return false;
    DecideByMap out;
    for (const auto &element : *list) {
        if (!element.is_array() || element.size() != 2)
            return false;
        auto target = verdict(element[1]);
        const auto value = plain_element(element[0]);
        auto one = value ? matches(m["key"], {*value}, false) : std::nullopt;
        if (!one || !target)
            return false;
        out.elements.emplace_back(std::move(one->front()), std::move(*target));
    }
    steps_.emplace_back(std::move(out));
    return true;
}

// The interfaces of a match of oif or oifname, or none.
match::Interfaces NftReader::leaving(const json &m) const
{
    static const json names{{"meta", {{"key", "oifname"}}}}, indices{{"meta", {{"key", "oif"}}}};
    if (!m.is_object() || !m.contains("left") || !m.contains("right"))
        return {};
    const json op = m.value("op", json()), &left = m["left"];
    if ((left != names && left != indices) || (op != "==" && op != "!="))
        return {};
    const auto list = values(m["right"], "set");
    const auto match = list ? nft_match(NftKey::iifname, *list, op == "!=") : std::nullopt;
    return match ? match->in : match::Interfaces();
}

// At least its family is known, of a field of a header.
void NftReader::unknown_match(const json &m)
{
    const json left = m.is_object() ? m.value("left", json()) : json();
    if (left.is_object() && left.contains("payload") && left["payload"].is_object()) {
        const auto protocol = left["payload"].value("protocol", json());
        const int family = protocol == "ip" || protocol == "icmp"      ? 4
                           : protocol == "ip6" || protocol == "icmpv6" ? 6
                                                                       : 0;
        if (family)
            steps_.emplace_back(IsOneOf{{Match{.family = family}}});
    }
    const std::string text = short_text(m);
    if (text.find("\"oif") != std::string::npos)
        steps_.emplace_back(Unknown{
            .what = "the interface by which it will leave", .lasting = false, .out = leaving(m)});
    else
        unknown(m, text.find("numgen") != std::string::npos);
}

void NftReader::expression(const json &e)
{
    static const std::set<std::string> lasting{"limit", "quota", "ct count", "xt", "numgen"};
    if (!e.is_object() || e.empty()) {
        // nft may write a statement without parameters as its name.
        steps_.emplace_back(Effect{short_text(e)});
        return;
    }
    const std::string key = e.begin().key();
    const json &inner = e.begin().value();
    if (key == "match") {
        if (!match(inner))
            unknown_match(inner);
    } else if (key == "vmap") {
        if (!map(inner)) {
            unknown(e, false);
            steps_.emplace_back(Effect{"a verdict that only netfilter can tell"});
        }
    } else if (key == "counter") {
        steps_.emplace_back(Count{});
    } else if (key == "notrack") {
        steps_.emplace_back(NoTrack{});
    } else if (lasting.contains(key)) {
        steps_.emplace_back(
            Unknown{short_text(e), true, key == "limit" ? nft_limit(inner) : std::nullopt});
    } else if (auto decide = verdict(e)) {
        steps_.emplace_back(std::move(*decide));
    } else {
        steps_.emplace_back(Effect{short_text(e), nft_effect(key, inner)});
    }
}

NftRule read_nft_rule(const json &expressions, const NftSets &sets, Family family)
{
    return NftReader(sets, family).read(expressions);
}

} // namespace evnf::efw::offload
