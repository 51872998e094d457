// Sockets to upstream servers, made by the broker in its own namespace.
#pragma once

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

// Nonblocking, close-on-exec, from a fresh port; UDP connected, TCP connecting. Errors name the server.
Result<Fd> connect_upstream(const Server& server, bool tcp);

}  // namespace postern
