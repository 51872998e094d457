// The control socket's client: one request over HTTP.
#pragma once

#include <string>

#include "rules/result.h"

namespace postern {

struct HttpReply {
  unsigned status = 0;
  std::string body;
};

// Errors: nobody listens there, no permission, no answer within 15 s; each names the socket.
Result<HttpReply> ask_daemon(const std::string& socket, const std::string& method, const std::string& target,
                             const std::string& body = {});
// Does a daemon answer there, and may we ask it?
bool daemon_answers(const std::string& socket);

}  // namespace postern
