// A record's octets: what of the journal is sealed, spelled in one way that no table's layout changes.
//
// The writer spells a record from what it was given to write, `postern journal verify` from what the file
// says now; the two must be the same octets. So a column may move to another table, or be stored in another
// way, as long as it can be read back. docs/decisions/0008-seal.md lists what is covered and what is not.
//
// The form (version 1): one octet of kind, then the fields in the order below. Integers are LEB128, zigzag
// where they may be negative; texts have their length before them; a double is its eight IEEE 754 octets,
// least first. No two different records have the same octets. A form that was released never changes: a
// record with another field is another Kind.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>

namespace postern {

// The numbers are in every file ever sealed.
enum class SealKind : std::uint8_t {
  asked = 1,
  outcome = 2,
  alert = 3,
  sandbox = 4,     // its row, as attached
  detached = 5,    // its end; the id is the sandbox's
  grant = 6,       // an operator's, of leak budget
  rule = 7,        // a rule's text
  boot = 8,        // a writer opened the file
  boot_end = 9,    // and closed it; the id is the boot's
  tombstone = 10,  // records that retention has removed
  gap = 11,        // what the record does not have
  // Without a row of its own: rows of kind K with an id up to this were there before the first block.
  before_asked = 0x11,
  before_outcome = 0x12,
  before_alert = 0x13,
  before_sandbox = 0x14,
  before_detached = 0x15,
  before_grant = 0x16,
  before_rule = 0x17,
  before_boot = 0x18,
  before_boot_end = 0x19,
  // Said once by each boot, id 0 where there was none: gaps above it are sealed. In a file whose seals are
  // older than that the first boot to say so says how many there were.
  before_gap = 0x1b,
  // Neither a query with a number up to this one nor an outcome of one comes any more (seal_finished.h).
  finished = 0x1c,
  // Rows of a kind up to an id (stranger_id) that were there when a boot began, and were not sealed then:
  // whoever wrote them, it was no Postern.
  stranger = 0x1d,
};
inline constexpr std::uint8_t first_row_kind = 1, last_row_kind = 11;
inline constexpr std::uint8_t before_mark = 0x10;  // before_K is K with this bit
bool is_seal_kind(std::uint8_t number);
// No row's: before_K, `finished`, `stranger`.
constexpr bool is_mark(SealKind kind) {
  return (static_cast<std::uint8_t>(kind) & before_mark) != 0;
}
std::string_view seal_kind_text(SealKind kind);  // "asked", "outcome", ...; the table where there is one

// Kind and id in one number. An id that has no room comes back as the highest there is.
inline constexpr std::int64_t strangers_per_id = 16;
constexpr std::int64_t stranger_id(SealKind kind, std::int64_t id) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / strangers_per_id - 1;
  return std::min(id, most) * strangers_per_id + static_cast<std::int64_t>(kind);
}
constexpr std::int64_t row_of_stranger(std::int64_t id) {
  const std::int64_t row = id / strangers_per_id;
  constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();
  return row >= highest / strangers_per_id - 1 ? highest : row;
}

// Fields as the file has them (docs/SCHEMA.md): text in presentation form, -1 for unknown.
struct AskedFields {
  std::int64_t id = 0, time_us = 0, monotonic_us = 0, sandbox = 0;
  std::string_view name;
  std::int64_t type = 0, action = 0, reason = 0, rule = 0, rcode = 0, ede = 0, flags = 0, score_milli = 0,
               charge_millibits = 0;
};
struct OutcomeFields {
  std::int64_t asked = 0, time_us = 0, action = 0, reason = 0, rule = 0, rcode = 0, ede = 0, upstream_us = 0,
               answers = 0;
  std::string_view data;
  std::int64_t octets = 0;
};
struct AlertFields {
  std::int64_t id = 0, time_us = 0, sandbox = 0;
  std::string_view kind, zone;
  double score = 0;
  std::string_view action, evidence;
  std::int64_t asked = 0;
  std::string_view uid, severity, attack;
  std::int64_t first_us = 0, last_us = 0;
};
struct SandboxFields {
  std::int64_t id = 0, boot = 0;
  std::string_view name, session, user, code_sha256, labels, policy;
  std::int64_t record_protected = 0, attached_us = 0;
};
struct GrantFields {
  std::int64_t id = 0, time_us = 0;
  std::string_view user, session, zone;
  std::int64_t octets = 0;
};
struct BootFields {
  std::int64_t id = 0;
  std::string_view boot_id;
  std::int64_t started_us = 0, started_monotonic_us = 0, first_asked = 0;
  std::string_view version;
};
struct GapFields {
  std::int64_t id = 0, from_us = 0, until_us = 0, refused = 0, answered = 0;
  std::string_view why;
};
struct TombstoneFields {
  std::int64_t id = 0, time_us = 0;
  std::string_view removed;  // as cover_octets() spells it
  std::int64_t upto_block = 0, upto_records = 0;
  std::string_view upto_head;
};

// Spells records, one after another, into the same memory. What it returns lives until the next call.
class SealSpelling {
 public:
  std::string_view asked(const AskedFields& row);
  std::string_view outcome(const OutcomeFields& row);
  std::string_view alert(const AlertFields& row);
  std::string_view sandbox(const SandboxFields& row);
  std::string_view detached(std::int64_t sandbox, std::int64_t time_us);
  std::string_view grant(const GrantFields& row);
  std::string_view rule(std::int64_t id, std::string_view text);
  std::string_view boot(const BootFields& row);
  std::string_view boot_end(std::int64_t boot, std::int64_t ended_us);
  std::string_view tombstone(const TombstoneFields& row);
  std::string_view gap(const GapFields& row);
  std::string_view mark(SealKind kind, std::int64_t last_id);

 private:
  struct Out;
  // `texts`: all that the record has, for their octets.
  Out begin(SealKind kind, std::int64_t id, std::initializer_list<std::string_view> texts = {});
  std::string_view end(const Out& out) const;

  std::string buffer_;
};

// LEB128, as above; `at` moves behind it. False: the text ends in the middle, or it has more than 64 bits.
void append_varint(std::string& out, std::uint64_t value);
bool read_varint(std::string_view text, std::size_t& at, std::uint64_t& value);
constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

}  // namespace postern
