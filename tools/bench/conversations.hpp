// SPDX-License-Identifier: GPL-2.0-or-later
// First packets of flows, for a classifier: made here, or out of captures.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "support/frame.hpp"

namespace evnf::bench
{

using test::Bytes;

// Ethernet frames of one flow of IPv4, both directions, in their order.
using Conversation = std::vector<Bytes>;

// DNS, HTTP and TLS.
std::vector<Conversation> made_conversations();
// Of a file or of all in a folder: each TCP and UDP flow of IPv4, its first `most` packets.
Result<std::vector<Conversation>> captured_conversations(const std::string &path, std::size_t most);

// The same from another client: 10.0.0.0 and `client`.
void take_client(Conversation &conversation, std::uint32_t client);

} // namespace evnf::bench
