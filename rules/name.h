// Name: a domain name in wire form, lower case, in one trivially copyable value.
//
// Every comparison in Postern is made on this form, so there is exactly one place where case, escapes
// and length limits are understood (RFC 1035 section 3.1, RFC 4343). The client's own spelling is kept
// apart, by the path, for the reply.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// Multiply-and-fold over 8 octets at a time, keyed by 64 random bits drawn once per process.
std::size_t hash_octets(const std::uint8_t* octets, std::size_t size) noexcept;

// One octet of a label in presentation format (RFC 1035 section 5.1), written at `out`, which has room for 4:
// as itself, as \X, or as \DDD. Returns one past the last character written.
char* write_octet(char* out, std::uint8_t octet) noexcept;
// The same, always as \DDD.
char* write_decimal_escape(char* out, std::uint8_t octet) noexcept;

class Name {
 public:
  static constexpr std::size_t max_octets = 255;  // RFC 1035 section 2.3.4, with the root's zero
  static constexpr std::size_t max_label = 63;

  constexpr Name() : size_(1), octets_{} {}  // the root

  // Presentation format: labels with dots, `\DDD` and `\X` escapes, an optional final dot; "." is the root.
  // ASCII letters are folded to lower case; other octets are kept. Errors quote the text.
  static Result<Name> parse(std::string_view text);

  // The uncompressed name that begins `wire`; nothing if it is cut off, compressed or longer than 255.
  // Octets after the name are not looked at: `size()` says how many were used.
  static std::optional<Name> from_wire(std::span<const std::uint8_t> wire) noexcept;
  // The same, into this name, without touching more of it than the name has: for a million in a row. False,
  // and this name is as it was, where from_wire gives nothing.
  bool assign_wire(std::span<const std::uint8_t> wire) noexcept;
  // Letters (folded), digits, hyphens and underscores in labels with a dot between: what nearly every name of
  // a list is, read eight octets at a time. False, and this name is the root, for anything else, also for a
  // name that parse() would take: one with a final dot, or of over `longest_host_text` characters.
  bool assign_host(std::string_view text) noexcept;
  static constexpr std::size_t longest_host_text = 240;  // whole words of 8 octets in max_octets

  // What stands behind it, up to `max_octets` from its beginning, may be read too and means nothing.
  std::span<const std::uint8_t> wire() const noexcept { return {octets_.data(), size_}; }
  std::size_t size() const noexcept { return size_; }  // octets in wire form, 1..255
  bool is_root() const noexcept { return size_ == 1; }
  std::size_t labels() const noexcept;  // without the root: "www.example.com" has 3

  // The first (leftmost) label's octets; empty for the root.
  std::string_view first_label() const noexcept {
    return {reinterpret_cast<const char*>(octets_.data()) + 1, octets_[0]};
  }
  // The name without its first label; the root's parent is the root.
  Name parent() const noexcept { return tail(is_root() ? 0 : octets_[0] + 1u); }
  // The rightmost `count` labels; the whole name if it has no more than that.
  Name suffix(std::size_t count) const noexcept;

  bool at_or_below(const Name& ancestor) const noexcept;
  bool below(const Name& ancestor) const noexcept { return size_ > ancestor.size_ && at_or_below(ancestor); }

  // Presentation format, lower case, no final dot (the root is "."); octets outside printable ASCII, and
  // dots, backslashes and quotes inside a label, are escaped as \DDD or \X.
  std::string text() const;

  // Differs from process to process, so that a sandbox cannot choose names that collide.
  std::size_t hash() const noexcept { return hash_octets(octets_.data(), size_); }
  friend bool operator==(const Name& a, const Name& b) noexcept {
    return a.size_ == b.size_ && std::memcmp(a.octets_.data(), b.octets_.data(), a.size_) == 0;
  }

 private:
  Name tail(std::size_t offset) const noexcept;

  std::uint8_t size_;
  std::array<std::uint8_t, max_octets> octets_;
};

struct NameHash {
  std::size_t operator()(const Name& name) const noexcept { return name.hash(); }
};

constexpr std::uint8_t fold(std::uint8_t octet) noexcept {
  return octet >= 'A' && octet <= 'Z' ? static_cast<std::uint8_t>(octet + 32) : octet;
}

}  // namespace postern
