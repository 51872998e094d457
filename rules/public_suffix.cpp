// Public suffixes through libpsl: label counts, so that callers work on wire names.
#include "rules/public_suffix.h"

#include <libpsl.h>

#include <array>
#include <string_view>

namespace postern {
namespace {

#include "rules/suffix_filter.inc"

// False: certainly not a public suffix by the built-in list. libpsl takes 0.3 us to say so, and a list of a
// million wildcards asks a million times; this takes 0.03 us. Without the list that the filter was made from
// it is not used.
bool may_be_public_suffix(const Name& name) {
  static const bool fits = [] {
    const char* sha = psl_builtin_sha1sum();
    return sha != nullptr && sha == suffix_filter_sha1;
  }();
  if (!fits) return true;
  constexpr std::uint64_t prime = 0x100000001b3;  // FNV-1a, from the right: the parent's hash is on the way
  const auto wire = name.wire();
  const std::size_t first = wire[0] + 1u;
  std::uint64_t state = 0xcbf29ce484222325;
  std::size_t at = name.size() - 1;
  while (at > first) state = (state ^ wire[--at]) * prime;
  const std::uint64_t below_wildcard = (state ^ 0xff) * prime;
  while (at > 0) state = (state ^ wire[--at]) * prime;
  const auto has = [](std::uint64_t hash) {
    hash = (hash ^ (hash >> 29)) * 0x9e3779b97f4a7c15;
    const auto bit = [](std::uint64_t place) {
      place %= suffix_filter.size() * 64;
      return (suffix_filter[place / 64] >> (place % 64) & 1) != 0;
    };
    return bit(hash >> 20) && bit(hash >> 43);
  };
  return has(state) || has(below_wildcard);
}

// The longest suffix of `text` that is a public suffix under `rules`, plus one label.
std::size_t registered(const Name& name, int rules) {
  const psl_ctx_t* list = psl_builtin();
  const std::size_t labels = name.labels();
  if (labels <= 1 || list == nullptr) return labels;
  const std::string text = name.text();
  // Walk from the right: a public suffix may have a gap below it (the wildcard rule's parent), so every
  // length is asked for and the longest that is one wins. Names have at most 127 labels; suffixes end within
  // the last 8.
  constexpr std::size_t longest_suffix = 8;
  std::size_t best = 1;
  std::size_t at = text.size();
  for (std::size_t count = 1; count <= longest_suffix && count <= labels; ++count) {
    std::size_t dot = at;
    do {
      dot = dot == 0 ? std::string::npos : text.rfind('.', dot - 1);
    } while (dot != std::string::npos && dot > 0 && text[dot - 1] == '\\');
    const std::size_t from = dot == std::string::npos ? 0 : dot + 1;
    if (psl_is_public_suffix2(list, text.c_str() + from, rules)) best = count;
    if (dot == std::string::npos) break;
    at = dot;
  }
  return best < labels ? best + 1 : labels;
}

}  // namespace

std::size_t PublicSuffixes::registered_labels(const Name& name) {
  return registered(name, PSL_TYPE_ANY);
}

std::size_t PublicSuffixes::icann_registered_labels(const Name& name) {
  return registered(name, PSL_TYPE_ICANN);
}

bool PublicSuffixes::is_public_suffix(const Name& name) {
  const psl_ctx_t* list = psl_builtin();
  if (name.is_root()) return true;
  if (name.size() > name.first_label().size() + 2 && !may_be_public_suffix(name)) return false;
  char text[4 * Name::max_octets];
  char* end = text;
  const auto wire = name.wire();
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u) {
    if (at != 0) *end++ = '.';
    for (std::size_t i = at + 1; i <= at + wire[at]; ++i) end = write_octet(end, wire[i]);
  }
  *end = '\0';
  return list != nullptr && psl_is_public_suffix2(list, text, PSL_TYPE_ANY) != 0;
}

std::string PublicSuffixes::version() {
  const char* sha = psl_builtin_sha1sum();
  const time_t when = psl_builtin_file_time();
  char date[32] = "unknown";
  if (tm broken{}; when > 0 && gmtime_r(&when, &broken) != nullptr)
    strftime(date, sizeof date, "%Y-%m-%d", &broken);
  return std::string(date) + (sha != nullptr ? " " + std::string(sha).substr(0, 12) : "");
}

}  // namespace postern
