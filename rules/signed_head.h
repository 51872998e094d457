// A signed head: the line by which somebody outside can tell later that a journal is still what it was.
//
// The broker makes it (sandbox/broker_seal.h), logs it and keeps it outside; `postern journal verify` holds a
// file against it. It is one line of JSON with fixed fields in a fixed order, so that there is one spelling:
//   {"postern":"head","version":1,"journal":"HEX","block":17,"records":20480,"head":"HEX","counter":9,
//    "time":"2026-01-31T09:30:00.000000Z","key":"HEX","signature":"HEX"}
// The signature (Ed25519, RFC 8032) is over the line's octets before `,"signature"`.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "rules/digest.h"
#include "rules/result.h"

namespace postern {

using JournalId = std::array<std::uint8_t, 16>;  // drawn at random for each file
using PublicKey = std::array<std::uint8_t, 32>;  // Ed25519
using Signature = std::array<std::uint8_t, 64>;

struct SignedHead {
  JournalId journal{};
  std::int64_t block = 0;    // its number, from 1
  std::int64_t records = 0;  // sealed by all blocks up to this one
  Digest head{};
  std::int64_t counter = 0;  // of the key, for this journal: grows by one with each signature
  std::int64_t time_us = 0;  // Unix time, microseconds, by the broker's clock
  PublicKey key{};
  Signature signature{};
};

struct HeadToSign {
  JournalId journal{};
  std::int64_t block = 0, records = 0;
  Digest head{};
};

std::string text_to_sign(const SignedHead& head);
std::string line_of(const SignedHead& head);  // without a line end
// Reads the line that begins anywhere in `line` (a log puts its own words before it) and ends with it, but
// for white space. Errors quote what is wrong.
Result<SignedHead> read_signed_head(std::string_view line);
bool signature_fits(const SignedHead& head);

// The first half of the key's SHA-256 in hex: what people compare.
std::string fingerprint(const PublicKey& key);

// "2026-01-31T09:30:00.000000Z", and back; years 1970 to 9999.
std::string iso_time(std::int64_t time_us);
bool read_iso_time(std::string_view text, std::int64_t& time_us);

}  // namespace postern
