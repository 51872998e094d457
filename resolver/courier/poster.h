// The poster: posts alerts over HTTP and HTTPS, several at once. The courier's inside; the one file with
// Asio.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "resolver/courier/courier.h"

namespace postern {

// One address with all that is needed to post to it; certificates are read by `make`.
struct PostTarget {
  Webhook webhook;
  std::string key;  // of the signature
};

// What it does with an order: resolve the name, connect (at most 5 s), for https a handshake (TLS 1.2 or
// later; certificate and host name verified), one POST, and the head of the reply, at most 8 KiB, whose body
// nobody reads. Redirects are not followed. All of it within the address's time limit.
//
// Thread: one, and one of Asio's for name lookups. Memory: at most `most_at_once` posts; more are answered
// with an error and come again.
class Poster {
 public:
  static constexpr std::size_t most_at_once = 64;

  // Errors: a file of certificates cannot be used.
  static Result<std::unique_ptr<Poster>> make(std::vector<PostTarget> targets);
  ~Poster();
  // Until the channel's other end is gone: true; or an address could not be looked up: false, and a fresh
  // copy of resolv.conf may help.
  bool serve(Fd channel);

  struct State;  // poster.cpp's own

 private:
  explicit Poster(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postern
