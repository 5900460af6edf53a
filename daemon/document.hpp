// SPDX-License-Identifier: GPL-2.0-or-later
// The desired state: one JSON document with the chains and a section for each instance of
// a VNF. A section's name is the instance's; its key "vnf" says of which VNF, if that is
// not the name itself.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/graph.hpp"

namespace evnf
{

// Makes a document canonical: known keys only, defaults filled in, each section checked
// by its VNF, the chains' texts in one form. `running` is the document in force, or null.
Result<json> check_document(const json &document, const json &running);

// A document with one chain more, or in the place of the one of its name; without it,
// none of that name: an error. `chain` is as a person wrote it, without its name.
Result<json> with_chain(const json &document, const std::string &name, const json &chain);
Result<json> without_chain(const json &document, const std::string &name);

// The error `what`, at an interface's name in a chain as a person wrote it; `where` is the
// chain.
Error at_interface(const json &chain, const std::string &interface, std::string what,
                   const std::string &where);

// Of a checked document.
std::vector<Chain> chains_of(const json &document);
std::vector<Instance> instances_of(const json &document);
// The same for what `part` of one instance's section may clash with: the others that rewrite
// nothing are without theirs, which may be large.
std::vector<Instance> instances_around(const json &document, const std::string &changed,
                                       const json &part);

// A section as its VNF knows it, without the keys that are the toolkit's; and back.
json own_keys(const json &section);
json with_own_keys(const json &section, const json &own);

// The VNF that a section is of, null if there is none.
const VnfType *type_of_section(const std::string &name, const json &section);

// What goes from one checked document to another, a line each.
std::vector<std::string> diff_documents(const json &from, const json &to);

} // namespace evnf
