// The control API's requests, apart from HTTP: method, path and body in, status and body out.
#pragma once

#include <string>
#include <string_view>

#include "resolver/resolver.h"

namespace postern {

struct ApiReply {
  unsigned status = 200;
  std::string body;  // JSON, with a final newline; or metrics
  const char* content_type = "application/json";
};

// Total: any input gets a reply.
ApiReply answer_api(Resolver& resolver, std::string_view method, std::string_view target,
                    const std::string& body);

}  // namespace postern
