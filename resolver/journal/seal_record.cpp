// A record's octets: LEB128, lengths before texts, one function for each kind.
#include "resolver/journal/seal_record.h"

#include <bit>
#include <cstring>

namespace postern {

bool is_seal_kind(std::uint8_t number) {
  const std::uint8_t row = number & static_cast<std::uint8_t>(~before_mark);
  if (SealKind(number) == SealKind::finished || SealKind(number) == SealKind::stranger) return true;
  const bool before_tombstones = (number & before_mark) != 0 && SealKind(row) == SealKind::tombstone;
  return (number & ~(before_mark | 0x0fu)) == 0 && row >= first_row_kind && row <= last_row_kind &&
         !before_tombstones;
}

std::string_view seal_kind_text(SealKind kind) {
  switch (kind) {
    case SealKind::asked:
      return "asked";
    case SealKind::outcome:
      return "outcome";
    case SealKind::alert:
      return "alert";
    case SealKind::sandbox:
      return "sandbox";
    case SealKind::detached:
      return "end of sandbox";
    case SealKind::grant:
      return "leak_grant";
    case SealKind::rule:
      return "rule";
    case SealKind::boot:
      return "boot";
    case SealKind::boot_end:
      return "end of boot";
    case SealKind::tombstone:
      return "seal_tombstone";
    case SealKind::gap:
      return "gap";
    case SealKind::finished:
      return "mark of what is finished";
    case SealKind::stranger:
      return "mark of a stranger";
    default:
      return "mark of what was there before";
  }
}

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

bool read_varint(std::string_view text, std::size_t& at, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at >= text.size()) return false;
    const auto octet = static_cast<std::uint8_t>(text[at++]);
    if (shift == 63 && octet > 1) return false;
    value |= std::uint64_t{octet & 0x7fu} << shift;
    if ((octet & 0x80) == 0) return true;
  }
  return false;
}

void SealSpelling::begin(SealKind kind, std::int64_t id) {
  octets_.clear();
  octets_ += static_cast<char>(kind);
  whole(id);
}

void SealSpelling::whole(std::int64_t value) {
  append_varint(octets_, zigzag(value));
}

void SealSpelling::text(std::string_view value) {
  append_varint(octets_, value.size());
  octets_ += value;
}

std::string_view SealSpelling::asked(const AskedFields& row) {
  begin(SealKind::asked, row.id);
  whole(row.time_us);
  whole(row.monotonic_us);
  whole(row.sandbox);
  text(row.name);
  for (const std::int64_t value : {row.type, row.action, row.reason, row.rule, row.rcode, row.ede, row.flags,
                                   row.score_milli, row.charge_millibits})
    whole(value);
  return octets_;
}

std::string_view SealSpelling::outcome(const OutcomeFields& row) {
  begin(SealKind::outcome, row.asked);
  for (const std::int64_t value :
       {row.time_us, row.action, row.reason, row.rule, row.rcode, row.ede, row.upstream_us, row.answers})
    whole(value);
  text(row.data);
  whole(row.octets);
  return octets_;
}

std::string_view SealSpelling::alert(const AlertFields& row) {
  begin(SealKind::alert, row.id);
  whole(row.time_us);
  whole(row.sandbox);
  text(row.kind);
  text(row.zone);
  const auto bits = std::bit_cast<std::uint64_t>(row.score + 0.0);  // -0 and 0 are one number to SQL
  for (unsigned i = 0; i < 8; ++i) octets_ += static_cast<char>(bits >> (8 * i));
  text(row.action);
  text(row.evidence);
  whole(row.asked);
  text(row.uid);
  text(row.severity);
  text(row.attack);
  whole(row.first_us);
  whole(row.last_us);
  return octets_;
}

std::string_view SealSpelling::sandbox(const SandboxFields& row) {
  begin(SealKind::sandbox, row.id);
  whole(row.boot);
  for (const std::string_view value :
       {row.name, row.session, row.user, row.code_sha256, row.labels, row.policy})
    text(value);
  whole(row.record_protected);
  whole(row.attached_us);
  return octets_;
}

std::string_view SealSpelling::detached(std::int64_t sandbox, std::int64_t time_us) {
  begin(SealKind::detached, sandbox);
  whole(time_us);
  return octets_;
}

std::string_view SealSpelling::grant(const GrantFields& row) {
  begin(SealKind::grant, row.id);
  whole(row.time_us);
  text(row.user);
  text(row.session);
  text(row.zone);
  whole(row.octets);
  return octets_;
}

std::string_view SealSpelling::rule(std::int64_t id, std::string_view value) {
  begin(SealKind::rule, id);
  text(value);
  return octets_;
}

std::string_view SealSpelling::boot(const BootFields& row) {
  begin(SealKind::boot, row.id);
  text(row.boot_id);
  whole(row.started_us);
  whole(row.started_monotonic_us);
  whole(row.first_asked);
  text(row.version);
  return octets_;
}

std::string_view SealSpelling::boot_end(std::int64_t boot, std::int64_t ended_us) {
  begin(SealKind::boot_end, boot);
  whole(ended_us);
  return octets_;
}

std::string_view SealSpelling::tombstone(const TombstoneFields& row) {
  begin(SealKind::tombstone, row.id);
  whole(row.time_us);
  text(row.removed);
  whole(row.upto_block);
  whole(row.upto_records);
  text(row.upto_head);
  return octets_;
}

std::string_view SealSpelling::gap(const GapFields& row) {
  begin(SealKind::gap, row.id);
  for (const std::int64_t value : {row.from_us, row.until_us, row.refused, row.answered}) whole(value);
  text(row.why);
  return octets_;
}

std::string_view SealSpelling::mark(SealKind kind, std::int64_t last_id) {
  begin(kind, last_id);
  return octets_;
}

}  // namespace postern
