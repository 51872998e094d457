// Public suffixes through libpsl: label counts, so that callers work on wire names.
#include "rules/public_suffix.h"

#include <libpsl.h>

namespace postern {
namespace {

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
  // Lists ask this a million times: the text is made here, without memory.
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
