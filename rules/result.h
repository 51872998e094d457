// Result: a value or an Error; the world may be wrong, and then it is returned, never thrown.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <tl/expected.hpp>

namespace postern {

// One sentence that begins with what was attempted and quotes the offending value.
struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> failure(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

// We may be wrong too: then stop, before a wrong thing is done. Never for what the world sends.
#define POSTERN_CHECK(condition)                                                                  \
  do {                                                                                            \
    if (!(condition)) {                                                                           \
      std::fprintf(stderr, "postern: %s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                               \
    }                                                                                             \
  } while (false)

}  // namespace postern
