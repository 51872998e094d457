// The secrets of a session, looked for in each of its names, and in what successive names of a zone say
// together.
//
// A name by itself: its labels in a row, from the left and from the right. Pieces spread over queries: for
// each zone the last characters of what its names said are kept in several readings, and each new name is
// appended to all of them, once at the end and once at the front (a sender may begin with the last piece).
// The readings leave out what a receiver uses to put pieces in order: the first one to four characters;
// everything but one label (the longest, first, second or last) or one run between marks (the same four); the
// first label, the last one, or both. By place as well as by length, since a session's mark may be longer
// than the piece. A name that was just asked (A and AAAA, a retry) is read once.
//
// Pure. Thread: one (the session's shard). Memory: 256 octets and 1.4 KiB for each of at most `max_zones`
// zones. What it cannot see: docs/THREATS.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "detect/secret.h"

namespace postern {

// Which secret a name holds, and how. Nothing here tells the value.
struct SecretFinding {
  std::string label, fingerprint;
  SecretEncoding encoding = SecretEncoding::plain;
  bool backwards = false;
  bool split = false;        // only together with the names before it
  std::size_t length = 0;    // characters that it shares with that form, dots and marks apart
  std::size_t position = 0;  // octet of the name's wire form where they begin; 0 if split
  double bits = 0;
  // The rightmost labels that hold nothing of it: the zone, or less if that is where it was.
  std::size_t clean_labels = 0;
};

class SecretWatch {
 public:
  // More zones at once push out the one that was quiet for longest, and with it what its names had said.
  static constexpr std::size_t max_zones = 128;

  explicit SecretWatch(std::shared_ptr<const SecretSet> secrets) : secrets_(std::move(secrets)) {}
  // More of them; what names have said stays.
  void set(std::shared_ptr<const SecretSet> secrets) { secrets_ = std::move(secrets); }
  const std::shared_ptr<const SecretSet>& secrets() const noexcept { return secrets_; }

  // `zone_labels`: of the domain that one receiver has, by the ICANN rules. About 1.6 us, 3 with 64 secrets;
  // nothing is allocated but for a new zone and a finding.
  std::optional<SecretFinding> observe(const Name& name, std::size_t zone_labels);
  // The name by itself; nothing is remembered.
  std::optional<SecretFinding> look(const Name& name, std::size_t zone_labels) const;

  std::size_t zones() const noexcept { return zones_.size(); }
  std::size_t memory_octets() const noexcept { return zones_.capacity() * sizeof(Zone); }

 private:
  static constexpr std::size_t tail = 40;  // characters kept: longer than the runs that count
  // All; without its first 1 to 4 characters; four labels; without the first label, the last, both; four
  // runs.
  static constexpr std::size_t readings = 16;
  using Pieces = std::array<std::string_view, readings>;
  static constexpr std::size_t recent_names = 4;
  struct Tail {
    std::uint8_t size = 0;
    std::array<char, tail> text;
  };
  struct Zone {
    std::uint64_t used = 0;
    std::array<std::uint64_t, recent_names> recent{};
    std::uint32_t next_recent = 0;
    // Of each reading the first that has said the same until now, and has the tails of both: most zones have
    // names of few shapes, and a reading more costs nothing there.
    std::array<std::uint8_t, readings> shared{};
    std::array<Tail, readings> forwards, backwards;
  };
  Zone& zone_of(std::uint64_t hash);
  static void share(Zone& zone, const Pieces& pieces);
  std::optional<SecretSet::Match> append(Zone& zone, std::size_t reading, std::string_view piece);
  SecretFinding finding(const SecretSet::Match& match, std::size_t clean_labels) const;

  std::shared_ptr<const SecretSet> secrets_;
  std::vector<std::uint64_t> hashes_;  // of zones_, by place: they are searched
  std::vector<Zone> zones_;
  std::uint64_t use_ = 0;
};

}  // namespace postern
