// Zone files (RFC 1035 section 5.1): lines to words, words to names, times and record data.
//
// As much as RPZ files need (list_rpz.cpp). ldns belongs to the path, and rules/ must do without it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "rules/vocabulary.h"

namespace postern {

struct ZoneWord {
  std::string_view text;  // without quotes; escapes as they stand
  bool quoted = false;
};

// Cuts a line into words and appends them; a comment ends it. `depth` counts open parentheses, from the line
// before and for the next. False for a quote that does not close or a parenthesis that was not opened.
bool cut_zone_line(std::string_view line, std::vector<ZoneWord>& words, int& depth);

// Appends the octets that a word stands for: \DDD and \X are escapes. False for one that is cut off or over
// 255.
bool append_unescaped(std::vector<std::uint8_t>& out, std::string_view word);

// Seconds: "3600", "1h", "1W2d"; at most 2^31-1 (RFC 2181 section 8).
std::optional<std::uint32_t> zone_time(std::string_view word) noexcept;

// How names inside a zone become whole: those without a final dot are below the origin. `origin` null: nobody
// said which, and then they cannot. "@" is the origin.
std::optional<Name> zone_name(std::string_view word, const Name* origin);

// The RDATA of a record in wire form, its names uncompressed: A, AAAA, CNAME, PTR, MX, SRV, TXT, CAA, SVCB,
// HTTPS; A, AAAA, SVCB and HTTPS also as RFC 3597 writes it ("\# 4 0A000001") unless it holds names that
// would have to be checked.
struct ZoneData {
  enum class Problem : std::uint8_t { none, type, data } problem = Problem::none;
  std::vector<std::uint8_t> rdata;
};
ZoneData zone_data(Type type, std::span<const ZoneWord> words, const Name* origin);

}  // namespace postern
