// Public suffixes through libpsl: label counts, so that callers work on wire names.
#include "rules/public_suffix.h"

#include <libpsl.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <span>
#include <string_view>

#include "rules/quote.h"

namespace postern {
namespace {

#include "rules/suffix_filter.inc"

// The hash of some octets that stand after those of `state`, 8 at a time; make_suffix_filter.py has the same.
// The last words overlap those before them: the size tells how far.
std::uint64_t filter_hash(std::uint64_t state, const std::uint8_t* octets, std::size_t size) noexcept {
  constexpr std::uint64_t factor = 0x9e3779b97f4a7c15;
  const auto add = [&](std::uint64_t word) {
    state = (state ^ word) * factor;
    state ^= state >> 29;
  };
  const auto load = [&](std::size_t at, std::size_t count) {
    std::uint64_t word = 0;
    std::memcpy(&word, octets + at, count);
    return word;
  };
  if (size >= 8) {
    for (std::size_t at = 0; at + 8 < size; at += 8) add(load(at, 8));
    add(load(size - 8, 8));
  } else if (size >= 4) {
    add(load(0, 4) << 32 | load(size - 4, 4));
  } else {
    add(load(0, 1) << 16 | load(size / 2, 1) << 8 | load(size - 1, 1));
  }
  state += size;
  return state;
}

// `name` in wire form, two labels or more. False: certainly not a public suffix by the built-in list. libpsl
// takes 0.3 us to say so, and a list of a million wildcards asks a million times; this takes 0.01 us. Without
// the list that the filter was made from it is not used.
bool may_be_public_suffix(std::span<const std::uint8_t> name) {
  static const bool fits = [] {
    const char* sha = psl_builtin_sha1sum();
    return sha != nullptr && sha == suffix_filter_sha1;
  }();
  if (!fits) return true;
  const auto has = [](const auto& filter, std::uint64_t hash) {
    const auto bit = [&](std::uint64_t place) {
      place %= filter.size() * 64;
      return (filter[place / 64] >> (place % 64) & 1) != 0;
    };
    return bit(hash) && bit(hash >> 15) && bit(hash >> 31) && bit(hash >> 47);
  };
  const std::size_t first = name[0] + 1u;
  const std::uint64_t parent = filter_hash(0, name.data() + first, name.size() - first);
  return has(wildcard_filter, parent) || has(suffix_filter, filter_hash(parent, name.data(), first));
}

constexpr std::size_t longest_suffix = 8;  // labels; the longest of the list has five
constexpr std::size_t max_text = 4 * Name::max_octets;

// In libpsl's form: without the last dot, a closing NUL.
void write_text(std::span<const std::uint8_t> wire, char* text) {
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u) {
    if (at != 0) *text++ = '.';
    for (std::size_t i = at + 1; i <= at + wire[at]; ++i) text = write_octet(text, wire[i]);
  }
  *text = '\0';
}

// The longest public suffixes of a name, in labels; 0: none is, its top-level domain is in no list.
struct Suffixes {
  std::size_t any = 0, icann = 0;
};

// How many of the rightmost labels could be a suffix's: libpsl would take a dot inside a label for one
// between two.
std::size_t plain_labels(const Name& name) {
  std::size_t count = 0;
  for (std::size_t at = 0; name.wire()[at] != 0; at += name.wire()[at] + 1u) {
    const auto label = name.wire().subspan(at + 1, name.wire()[at]);
    const bool plain = std::none_of(label.begin(), label.end(),
                                    [](std::uint8_t octet) { return octet == '.' || octet == '\\'; });
    count = plain ? count + 1 : 0;
  }
  return count;
}

// A public suffix may have a gap below it (the wildcard rule's parent), so every length is asked for and the
// longest of at most `most` labels that is one wins. `filtered`: the list is the one that the filter was made
// from.
Suffixes suffixes_of(const psl_ctx_t* list, const Name& name, bool filtered,
                     std::size_t most = longest_suffix) {
  Suffixes found;
  if (list == nullptr) return found;
  const std::size_t labels = name.labels();
  for (std::size_t count = std::min({plain_labels(name), longest_suffix, most}); count > 0; --count) {
    std::size_t at = 0;
    for (std::size_t skip = labels - count; skip > 0; --skip) at += name.wire()[at] + 1u;
    const auto suffix = name.wire().subspan(at);
    if (filtered && count > 1 && !may_be_public_suffix(suffix)) continue;
    char text[max_text];
    write_text(suffix, text);
    if (psl_is_public_suffix2(list, text, PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE)) {
      found.icann = count;
      found.any = std::max(found.any, count);
      break;
    }
    if (found.any == 0 && psl_is_public_suffix2(list, text, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE))
      found.any = count;
  }
  return found;
}

// A suffix and one label more: the registered domain. A top-level domain that nobody knows counts as a
// suffix.
std::size_t registered(std::size_t suffix, std::size_t labels) {
  return std::min(labels, std::max<std::size_t>(1, suffix) + 1);
}

// The same where an unlisted top-level domain must not open anything: 0 labels then.
std::size_t listed(std::size_t suffix, std::size_t labels) {
  return suffix == 0 ? 0 : std::min(labels, suffix + 1);
}

std::string date_text(std::int64_t when) {
  const auto seconds = static_cast<std::time_t>(when);
  char date[32] = "of unknown age";
  if (std::tm broken{}; when > 0 && gmtime_r(&seconds, &broken) != nullptr)
    std::strftime(date, sizeof date, "%Y-%m-%d", &broken);
  return date;
}

// "// VERSION: 2026-05-01_13-01-11_UTC" among the first lines; 0 without one.
std::int64_t stated_date(std::string_view text) {
  constexpr std::string_view mark = "// VERSION: ";
  constexpr std::size_t head = 4096;
  const std::size_t at = text.substr(0, head).find(mark);
  if (at == std::string_view::npos) return 0;
  const std::string date(text.substr(at + mark.size(), 10));
  std::tm broken{};
  const char* end = strptime(date.c_str(), "%Y-%m-%d", &broken);
  return end != nullptr && *end == '\0' ? static_cast<std::int64_t>(timegm(&broken)) : 0;
}

}  // namespace

std::size_t PublicSuffixes::registered_labels(const Name& name) {
  return registered(suffixes_of(psl_builtin(), name, true).any, name.labels());
}

std::size_t PublicSuffixes::icann_registered_labels(const Name& name) {
  return registered(suffixes_of(psl_builtin(), name, true).icann, name.labels());
}

bool PublicSuffixes::is_public_suffix(const Name& name) {
  const psl_ctx_t* list = psl_builtin();
  if (name.is_root()) return true;
  if (name.labels() > 1 && (plain_labels(name) != name.labels() || !may_be_public_suffix(name.wire())))
    return false;
  char text[max_text];
  write_text(name.wire(), text);
  return list != nullptr && psl_is_public_suffix2(list, text, PSL_TYPE_ANY) != 0;
}

std::string PublicSuffixes::version() {
  return SuffixList::builtin()->version();
}

struct SuffixList::File {
  explicit File(psl_ctx_t* list) : raw(list) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { psl_free(raw); }
  psl_ctx_t* raw;
};

std::shared_ptr<const SuffixList> SuffixList::builtin() {
  std::shared_ptr<SuffixList> list(new SuffixList);
  list->date_ = psl_builtin() != nullptr ? static_cast<std::int64_t>(psl_builtin_file_time()) : 0;
  list->version_ = date_text(list->date_) + ", built in";
  return list;
}

Result<std::shared_ptr<const SuffixList>> SuffixList::parse(std::string_view text, const std::string& file,
                                                            std::int64_t file_time) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot use the public suffix list " + quoted(file) + ": " + why);
  };
  // libpsl reads its compiled form, too, and trusts it; the text form it checks line by line.
  if (text.find("===BEGIN ICANN DOMAINS===") == std::string_view::npos)
    return bad("it has no line ===BEGIN ICANN DOMAINS===");
  std::string copy(text);
  std::FILE* stream = fmemopen(copy.data(), copy.size(), "r");
  if (stream == nullptr) return bad("out of memory");
  psl_ctx_t* raw = psl_load_fp(stream);
  std::fclose(stream);
  if (raw == nullptr) return bad("libpsl cannot read it");
  const auto loaded = std::make_shared<const File>(raw);
  if (psl_suffix_count(raw) <= 0) return bad("it holds no rule");
  std::shared_ptr<SuffixList> list(new SuffixList);
  list->file_ = loaded;
  list->date_ = stated_date(text);
  if (list->date_ == 0) list->date_ = file_time;
  list->version_ = date_text(list->date_) + ", " + file;
  return list;
}

LedgerCut SuffixList::ledger_cut(const Name& name) const {
  const std::size_t labels = name.labels();
  const Suffixes builtin = suffixes_of(psl_builtin(), name, true);
  const Suffixes here = file_ ? suffixes_of(file_->raw, name, false) : builtin;
  LedgerCut cut;
  cut.registered = registered(here.any, labels);
  cut.zone = listed(builtin.any, labels);
  cut.parent = listed(builtin.icann, labels);
  if (!file_) return cut;
  // The file is asked where the zone and the parent that the built-in list cuts would lie: all names of one
  // such zone get the same answer, so it can only be moved as a whole, into a larger ledger. Mostly the two
  // lists agree, and the longest suffix lies there anyway.
  const std::size_t any =
      here.any <= cut.zone ? here.any : suffixes_of(file_->raw, name, false, cut.zone).any;
  const std::size_t icann =
      here.icann <= cut.parent ? here.icann : suffixes_of(file_->raw, name, false, cut.parent).icann;
  cut.zone = listed(any, cut.zone);
  cut.parent = listed(icann, cut.parent);
  return cut;
}

}  // namespace postern
