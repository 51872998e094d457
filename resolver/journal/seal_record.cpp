// A record's octets: LEB128, lengths before texts, one function for each kind.
#include "resolver/journal/seal_record.h"

#include <algorithm>
#include <bit>

#include "rules/result.h"

namespace postern {
namespace {

constexpr std::size_t varint_octets = 10;  // of 64 bits at most

// Behind what it wrote.
char* put_varint(char* out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<char>(value | 0x80);
  *out++ = static_cast<char>(value);
  return out;
}

}  // namespace

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
  char octets[varint_octets];
  out.append(octets, static_cast<std::size_t>(put_varint(octets, value) - octets));
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

// Where a record's octets go: memory that has room for them. Octet by octet onto a string, this was half of
// what sealing a record costs.
struct SealSpelling::Out {
  char* at;
  void octet(std::uint64_t value) { *at++ = static_cast<char>(value); }
  void whole(std::int64_t value) { at = put_varint(at, zigzag(value)); }
  void text(std::string_view value) {
    at = put_varint(at, value.size());
    at = std::copy(value.begin(), value.end(), at);
  }
};

SealSpelling::Out SealSpelling::begin(SealKind kind, std::int64_t id,
                                      std::initializer_list<std::string_view> texts) {
  constexpr std::size_t numbers = 16 * varint_octets;  // no record has more, its texts' lengths apart
  std::size_t most = numbers + texts.size() * varint_octets;
  for (const std::string_view text : texts) most += text.size();
  if (buffer_.size() < most) buffer_.resize(2 * most);
  Out out{buffer_.data()};
  out.octet(static_cast<std::uint8_t>(kind));
  out.whole(id);
  return out;
}

std::string_view SealSpelling::end(const Out& out) const {
  const auto octets = static_cast<std::size_t>(out.at - buffer_.data());
  POSTERN_CHECK(octets <= buffer_.size());  // a text that `begin` was not told of
  return {buffer_.data(), octets};
}

std::string_view SealSpelling::asked(const AskedFields& row) {
  Out out = begin(SealKind::asked, row.id, {row.name});
  out.whole(row.time_us);
  out.whole(row.monotonic_us);
  out.whole(row.sandbox);
  out.text(row.name);
  for (const std::int64_t value : {row.type, row.action, row.reason, row.rule, row.rcode, row.ede, row.flags,
                                   row.score_milli, row.charge_millibits})
    out.whole(value);
  return end(out);
}

std::string_view SealSpelling::outcome(const OutcomeFields& row) {
  Out out = begin(SealKind::outcome, row.asked, {row.data});
  for (const std::int64_t value :
       {row.time_us, row.action, row.reason, row.rule, row.rcode, row.ede, row.upstream_us, row.answers})
    out.whole(value);
  out.text(row.data);
  out.whole(row.octets);
  return end(out);
}

std::string_view SealSpelling::alert(const AlertFields& row) {
  Out out = begin(SealKind::alert, row.id,
                  {row.kind, row.zone, row.action, row.evidence, row.uid, row.severity, row.attack});
  out.whole(row.time_us);
  out.whole(row.sandbox);
  out.text(row.kind);
  out.text(row.zone);
  const auto bits = std::bit_cast<std::uint64_t>(row.score + 0.0);  // -0 and 0 are one number to SQL
  for (unsigned i = 0; i < sizeof bits; ++i) out.octet(bits >> (8 * i));
  out.text(row.action);
  out.text(row.evidence);
  out.whole(row.asked);
  out.text(row.uid);
  out.text(row.severity);
  out.text(row.attack);
  out.whole(row.first_us);
  out.whole(row.last_us);
  return end(out);
}

std::string_view SealSpelling::sandbox(const SandboxFields& row) {
  Out out = begin(SealKind::sandbox, row.id,
                  {row.name, row.session, row.user, row.code_sha256, row.labels, row.policy});
  out.whole(row.boot);
  for (const std::string_view value :
       {row.name, row.session, row.user, row.code_sha256, row.labels, row.policy})
    out.text(value);
  out.whole(row.record_protected);
  out.whole(row.attached_us);
  return end(out);
}

std::string_view SealSpelling::detached(std::int64_t sandbox, std::int64_t time_us) {
  Out out = begin(SealKind::detached, sandbox);
  out.whole(time_us);
  return end(out);
}

std::string_view SealSpelling::grant(const GrantFields& row) {
  Out out = begin(SealKind::grant, row.id, {row.user, row.session, row.zone});
  out.whole(row.time_us);
  out.text(row.user);
  out.text(row.session);
  out.text(row.zone);
  out.whole(row.octets);
  return end(out);
}

std::string_view SealSpelling::rule(std::int64_t id, std::string_view value) {
  Out out = begin(SealKind::rule, id, {value});
  out.text(value);
  return end(out);
}

std::string_view SealSpelling::boot(const BootFields& row) {
  Out out = begin(SealKind::boot, row.id, {row.boot_id, row.version});
  out.text(row.boot_id);
  out.whole(row.started_us);
  out.whole(row.started_monotonic_us);
  out.whole(row.first_asked);
  out.text(row.version);
  return end(out);
}

std::string_view SealSpelling::boot_end(std::int64_t boot, std::int64_t ended_us) {
  Out out = begin(SealKind::boot_end, boot);
  out.whole(ended_us);
  return end(out);
}

std::string_view SealSpelling::tombstone(const TombstoneFields& row) {
  Out out = begin(SealKind::tombstone, row.id, {row.removed, row.upto_head});
  out.whole(row.time_us);
  out.text(row.removed);
  out.whole(row.upto_block);
  out.whole(row.upto_records);
  out.text(row.upto_head);
  return end(out);
}

std::string_view SealSpelling::gap(const GapFields& row) {
  Out out = begin(SealKind::gap, row.id, {row.why});
  for (const std::int64_t value : {row.from_us, row.until_us, row.refused, row.answered}) out.whole(value);
  out.text(row.why);
  return end(out);
}

std::string_view SealSpelling::mark(SealKind kind, std::int64_t last_id) {
  Out out = begin(kind, last_id);
  return end(out);
}

}  // namespace postern
