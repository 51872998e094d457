// ListReading: walking lines, counting causes, keeping local data.
#include "rules/list_reading.h"

#include <algorithm>
#include <utility>

#include "rules/public_suffix.h"
#include "rules/quote.h"
#include "rules/special.h"

namespace postern {
namespace {

constexpr std::array<SkipCause, static_cast<std::size_t>(Skip::count_)> skip_causes{{
    {"a line longer than any rule", false},
    {"a label of over 63 octets", false},
    {"a name of over 255 octets", false},
    {"an empty label", false},
    {"an address, not a name", false},
    {"characters that names do not have", false},
    {"a name in Unicode that has no A-labels", false},
    {"a URL, not a name", false},
    {"more than one word", false},
    {"a wildcard inside a name", false},
    {"a wildcard over a public suffix", true},
    {"no address in front of the name", false},
    {"an address without a name", false},
    {"a name of the machine itself", true},
    {"more local data than a list may hold (answered empty, if the name has none)", true},
    {"more exceptions than a list may hold", true},
    {"a CNAME beside other records", true},
    {"a cosmetic rule", true},
    {"a regular expression", true},
    {"a rule about URLs", true},
    {"a pattern that matches parts of names", true},
    {"an unknown modifier", true},
    {"a modifier with a bad value", true},
    {"disabled by $badfilter", true},
    {"a $badfilter that disables nothing", true},
    {"an include: only the file itself is read", true},
    {"an unknown directive", false},
    {"not a record of a zone file", false},
    {"a parenthesis that does not close", false},
    {"a class other than IN", false},
    {"an owner outside of the zone", false},
    {"an unsupported trigger (client address, name server)", true},
    {"a bad address range", false},
    {"an unsupported action", true},
    {"a target made of the name that was asked (answered empty)", true},
    {"a record type that cannot be local data (answered empty)", true},
    {"a record of the zone itself", true},
    {"bad record data (answered empty)", false},
    {"rpz-tcp-only: a sandbox has no source address to prove", true},
}};

// Each new record is compared with those that a name has; an answer of this many addresses is 16 KiB already.
constexpr std::size_t most_records_of_name = 1000;

}  // namespace

const SkipCause& skip_cause(Skip skip) noexcept {
  return skip_causes[static_cast<std::size_t>(skip)];
}

ListReading::ListReading(std::string_view text, const ListOptions& options, ListSink& sink)
    : text_(text), rest_(text), options_(options), sink_(sink) {}

bool ListReading::next() {
  while (!rest_.empty() && !too_many_ && refused_.second.empty()) {
    const std::size_t end = rest_.find('\n');
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++number_;
    if (line_.size() <= options_.most_line_octets) return true;
    skip(Skip::long_line);
  }
  return false;
}

void ListReading::skip(Skip skip, std::uint32_t number, std::string_view line, std::uint64_t lines) {
  if (number == last_skipped_) return;
  last_skipped_ = number;
  Cause& cause = causes_[static_cast<std::size_t>(skip)];
  cause.lines += lines;
  if (cause.first.size() < SkippedLines::quoted_lines)
    cause.first.push_back(options_.file + ":" + std::to_string(number) + ": " + quoted(trimmed(line)));
}

bool ListReading::covers_public_suffix() const {
  return !options_.allow_public_suffix && PublicSuffixes::is_public_suffix(draft_.name) &&
         !is_special_use(draft_.name);
}

void ListReading::widen() {
  if (!options_.subdomains || draft_.scope != Pattern::Scope::exact) return;
  if (covers_public_suffix()) return;
  draft_.scope = Pattern::Scope::at_or_below;
  widened_ = true;
}

void ListReading::emit_at(std::uint32_t number, std::string_view line, const ListDetail* detail) {
  const bool checked = std::exchange(widened_, false);
  if (draft_.scope != Pattern::Scope::exact && !checked && covers_public_suffix())
    return skip(Skip::public_suffix, number, line);
  if (report_.entries == options_.most_entries) {
    too_many_ = true;
    return;
  }
  draft_.line = number;
  used_ = true;
  ++report_.entries;
  sink_.entry(draft_, detail);
}

void ListReading::emit(const ListRange& range, const ListDetail* detail) {
  if (report_.ranges == options_.most_entries) {
    too_many_ = true;
    return;
  }
  used_ = true;
  ++report_.ranges;
  sink_.range(range, detail);
}

// Where the records of the draft's name, or of the range, are kept; null where there is no room for another
// name. That one is then an entry without records, which is answered empty and costs a thirtieth of one with.
ListDetail* ListReading::local_detail(std::uint32_t number, std::string_view line,
                                      const AddressRange* range) {
  std::string key;
  if (range != nullptr) {
    key = "/" + range->text();  // no scope is a slash
  } else {
    const auto wire = draft_.name.wire();
    key.assign(1, static_cast<char>(draft_.scope));
    key.append(wire.begin(), wire.end());
  }
  if (const auto known = local_at_.find(key); known != local_at_.end()) return &local_[known->second].detail;
  if (local_records_ == options_.most_local_records) {
    if (range != nullptr) {
      emit(ListRange{*range, ListAction::local, number});
    } else {
      draft_.action = ListAction::local;
      emit_at(number, line);
    }
    return nullptr;
  }
  local_at_.emplace(std::move(key), local_.size());
  local_.push_back(
      {draft_.name, draft_.scope, range != nullptr ? std::optional(*range) : std::nullopt, number, {}});
  return &local_.back().detail;
}

void ListReading::skip_local(Skip cause, std::uint32_t number, std::string_view line, std::uint64_t lines,
                             const AddressRange* range) {
  skip(cause, number, line, lines);
  const std::size_t before = local_.size();
  local_detail(number, line, range);
  if (local_.size() != before) ++local_records_;  // it takes as much as one with a record
}

void ListReading::add_local(std::uint32_t number, std::string_view line, Record record,
                            const AddressRange* range) {
  ListDetail* const detail = local_detail(number, line, range);
  if (detail == nullptr) return skip(Skip::too_many_local, number, line);
  std::vector<Record>& records = detail->local.answer;
  // RFC 1034 section 3.6.2: a CNAME stands alone.
  if (!records.empty() && (record.type == type::CNAME || records.front().type == type::CNAME))
    return skip(Skip::cname_and_others, number, line);
  const bool repeated = std::any_of(records.begin(), records.end(), [&](const Record& other) {
    return other.type == record.type && other.rdata == record.rdata;
  });
  used_ = true;
  if (repeated) return;
  if (records.size() == most_records_of_name || local_records_ == options_.most_local_records)
    return skip(Skip::too_many_local, number, line);
  records.push_back(std::move(record));
  ++local_records_;
}

Result<ListReport> ListReading::finish(ListFormat format) {
  const auto bad = [&](std::uint32_t number, const std::string& why) {
    return failure("cannot read list " + options_.file + ":" + std::to_string(number) + ": " + why);
  };
  bool understood = used_;  // a name with nothing but bad records is an entry, but shows no format
  for (const Local& local : local_) {
    if (local.range) {
      emit(ListRange{*local.range, ListAction::local, local.line}, &local.detail);
      continue;
    }
    draft_ = {local.name, local.scope, ListAction::local, false, 0};
    // Its first line's text is gone; should a wildcard be refused now, the name says as much.
    emit_at(local.line, local.name.text(), &local.detail);
  }
  if (!refused_.second.empty()) return bad(refused_.first, refused_.second);
  if (too_many_) return bad(number_, "it has over " + std::to_string(options_.most_entries) + " entries");
  report_.format = format;
  report_.lines = number_;
  std::string bad_line;  // one that makes no sense in this format, and why
  for (std::size_t i = 0; i < causes_.size(); ++i) {
    Cause& cause = causes_[i];
    if (cause.lines == 0) continue;
    if (skip_causes[i].understood)
      understood = true;
    else if (bad_line.empty())
      bad_line = cause.first.front() + ": " + std::string(skip_causes[i].text);
    report_.skipped.push_back({std::string(skip_causes[i].text), cause.lines, std::move(cause.first)});
  }
  std::stable_sort(report_.skipped.begin(), report_.skipped.end(),
                   [](const SkippedLines& a, const SkippedLines& b) { return a.lines > b.lines; });
  if (!report_.skipped.empty() && !understood) {
    const SkippedLines& most = report_.skipped.front();
    return failure("cannot read list " + most.first.front() + ": " + most.cause + "; and none of its " +
                   std::to_string(report_.lines) + " lines can be read as " +
                   std::string(list_format_text(format)));
  }
  // A file that was damaged must not take the place of a list that blocks.
  if (!bad_line.empty() && report_.entries + report_.ranges == 0)
    return failure("cannot read list " + bad_line + "; and nothing else in it is an entry");
  return std::move(report_);
}

}  // namespace postern
