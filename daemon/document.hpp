// SPDX-License-Identifier: GPL-2.0-or-later
// The desired state: one JSON document with the chains and each VNF's section.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

enum class Forward { route, wire, hairpin };

struct Chain {
    std::string name;
    std::vector<std::string> interfaces;
    std::vector<std::string> stages;
    Forward forward = Forward::route;
    std::string wire_to;  // with Forward::wire
    bool generic = false; // XDP in the kernel's generic mode

    [[nodiscard]] bool uses(const std::string &stage) const;
};

std::string forward_text(Forward f);

// Makes a document canonical: known keys only, defaults filled in, each VNF's section
// checked by the VNF. `running` is the document in force, or null.
Result<json> check_document(const json &document, const json &running);

// The chains of a checked document.
std::vector<Chain> chains_of(const json &document);

// What goes from one checked document to another, a line each.
std::vector<std::string> diff_documents(const json &from, const json &to);

} // namespace evnf
