// SPDX-License-Identifier: GPL-2.0-or-later
// Service-chain requests: a graph in JSON becomes a chain's text.
#include <algorithm>
#include <map>
#include <set>

#include "abi/chain.h"
#include "base/text.hpp"
#include "daemon/graph.hpp"
#include "daemon/path.hpp"

namespace evnf
{

namespace
{

struct LinkTo {
    std::string to;
    std::string label;
};

struct Node {
    enum class Kind { in, vnf, classify, end };
    Kind kind;
    std::string text; // in(…), the instance, or the end
    std::string where;
    std::vector<LinkTo> links;
    unsigned led_to = 0;
};

std::string string_at(const json &object, const char *key)
{
    return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

// Of one request, with its ends: reading it recurs from node to node.
constexpr std::size_t most_nodes = 2 * CHAIN_MAX_SLOTS;

class RequestReader
{
public:
    Result<> read(const json &request)
    {
        if (!request.contains("nodes") || !request["nodes"].is_array() ||
            !request.contains("links") || !request["links"].is_array())
            return bad_input("a service-chain request has the arrays nodes and links");
        if (request["nodes"].size() > most_nodes)
            return bad_input("a service-chain request has at most " + std::to_string(most_nodes) +
                                 " nodes",
                             "/nodes");
        for (std::size_t i = 0; i < request["nodes"].size(); ++i)
            if (auto r = read_node(request["nodes"][i], "/nodes/" + std::to_string(i)); !r)
                return r;
        for (std::size_t i = 0; i < request["links"].size(); ++i)
            if (auto r = read_link(request["links"][i], "/links/" + std::to_string(i)); !r)
                return r;
        return Unit{};
    }

    Result<std::string> text()
    {
        for (auto &[id, node] : nodes_)
            if (node.kind == Node::Kind::in) {
                if (node.links.size() != 1 || !node.links[0].label.empty())
                    return bad_input("node " + in_quotes(id) +
                                         " takes packets in, so one link without a label leads "
                                         "from it",
                                     node.where);
                seen_.insert(id);
                auto to = target(node.links[0].to);
                if (!to)
                    return to;
                statements_.push_back(node.text + " -> " + *to);
            }
        for (const auto &[id, node] : nodes_)
            if (!seen_.contains(id))
                return bad_input("no link leads to node " + in_quotes(id), node.where);
        std::string out;
        for (const auto &s : statements_)
            out += (out.empty() ? "" : "; ") + s;
        return out;
    }

private:
    Result<> read_node(const json &j, const std::string &where)
    {
        const std::string id = j.is_object() ? string_at(j, "id") : "";
        if (id.empty())
            return bad_input("a node has an id", where);
        Node n{.kind = Node::Kind::vnf, .text = string_at(j, "vnf"), .where = where};
        const std::string end = string_at(j, "end");
        const int kinds =
            j.contains("in") + j.contains("vnf") + j.contains("classify") + j.contains("end");
        if (kinds != 1)
            return bad_input("node " + in_quotes(id) +
                                 R"( has one of "vnf", "in", "classify" and "end")",
                             where);
        if (j.contains("in")) {
            n.kind = Node::Kind::in;
            for (const auto &interface : j["in"])
                n.text += (n.text.empty() ? "in(" : ", ") +
                          (interface.is_string() ? interface.get<std::string>() : "?");
            n.text += ")";
        } else if (j.contains("classify")) {
            n.kind = Node::Kind::classify;
        } else if (!end.empty()) {
            n.kind = Node::Kind::end;
            n.text = end;
        }
        if (!nodes_.emplace(id, n).second)
            return bad_input("two nodes have the id " + in_quotes(id), where);
        return Unit{};
    }

    Result<> read_link(const json &j, const std::string &where)
    {
        const std::string from = j.is_object() ? string_at(j, "from") : "";
        const std::string to = j.is_object() ? string_at(j, "to") : "";
        for (const auto &id : {from, to})
            if (!nodes_.contains(id))
                return bad_input("a link goes from one node's id to another's; there is no node " +
                                     in_quotes(id),
                                 where);
        nodes_.at(from).links.push_back({to, string_at(j, "label")});
        ++nodes_.at(to).led_to;
        return Unit{};
    }

    // How a path goes on to a node: written out, or by a label where several paths meet.
    Result<std::string> target(const std::string &id)
    {
        const Node &node = nodes_.at(id);
        if (node.kind == Node::Kind::in)
            return bad_input("a link leads to node " + in_quotes(id) + ", which takes packets in",
                             node.where);
        const bool shared = node.led_to > 1 && node.kind != Node::Kind::end;
        if (!shared)
            return written(id);
        const std::string label = label_of(id);
        if (!seen_.contains(id)) {
            auto path = written(id);
            if (!path)
                return path;
            statements_.push_back(label + ": " + *path);
        }
        return label;
    }

    [[nodiscard]] std::string label_of(const std::string &id) const
    {
        const bool is_stage = std::any_of(nodes_.begin(), nodes_.end(), [&](const auto &n) {
            return n.second.kind == Node::Kind::vnf && n.second.text == id;
        });
        return is_stage || !path::is_name(id) ? "to-" + id : id;
    }

    Result<std::string> written(const std::string &id)
    {
        seen_.insert(id);
        const Node &node = nodes_.at(id);
        if (node.kind == Node::Kind::end)
            return node.text;
        if (node.links.empty())
            return bad_input("node " + in_quotes(id) +
                                 " leads nowhere: link it to a node with "
                                 "an end, such as {\"id\": \"o\", \"end\": \"out\"}",
                             node.where);
        if (node.kind == Node::Kind::vnf && node.links.size() == 1 && node.links[0].label.empty()) {
            auto to = target(node.links[0].to);
            return to ? node.text + " -> " + *to : to;
        }
        std::string arms, rest;
        for (const auto &link : node.links) {
            auto to = target(link.to);
            if (!to)
                return to;
            if (link.label.empty())
                rest = "otherwise -> " + *to;
            else
                arms += (arms.empty() ? "" : "; ") + link.label + " -> " + *to;
        }
        const std::string sep = arms.empty() || rest.empty() ? "" : "; ";
        return node.text + (node.text.empty() ? "{ " : " { ") + arms + sep + rest + " }";
    }

    std::map<std::string, Node> nodes_;
    std::set<std::string> seen_;
    std::vector<std::string> statements_;
};

} // namespace

Result<std::string> text_of_request(const json &request)
{
    RequestReader r;
    if (auto read = r.read(request); !read)
        return read.error();
    return r.text();
}

} // namespace evnf
