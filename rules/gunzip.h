// Gunzip: gzip data, whole or in pieces, with a limit on what comes out (zlib; its only owner).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// By the magic number and the one method there is (RFC 1952 section 2.3.1).
bool is_gzip(std::string_view data) noexcept;

// All of `data`, one member or several (as `cat a.gz b.gz` makes them). Errors: not gzip, damaged, cut off,
// or more than `most_octets` come out (a bomb ends there: memory stays near the limit).
Result<std::string> gunzip(std::string_view data, std::size_t most_octets);

// The same piece by piece, for recordings that do not fit into memory. Thread: one at a time. Memory: 40 KiB.
class Gunzip {
 public:
  explicit Gunzip(std::uint64_t most_octets);  // in all
  ~Gunzip();
  Gunzip(Gunzip&&) noexcept;
  Gunzip& operator=(Gunzip&&) noexcept;

  // Appends to `out` what comes of the next piece: up to about a thousand times its size, so feed small
  // pieces (64 KiB) and use `out` up in between. After an error, only errors.
  Result<void> feed(std::string_view piece, std::string& out);
  // An error if the data ended in the middle of a member, or there was none.
  Result<void> finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postern
