// Public suffixes: which part of a name is the registered domain (libpsl; its only owner).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rules/name.h"
#include "rules/result.h"

namespace postern {

// Thread: any; the list is immutable once loaded. Reads the list built into libpsl.
class PublicSuffixes {
 public:
  // How many of `name`'s rightmost labels make its registered domain by the *private* rules (user.github.io
  // is one); for a name that is itself a public suffix, all of its labels. The root: 0.
  static std::size_t registered_labels(const Name& name);
  // The same by the ICANN rules alone (github.io is the registered domain). Never more labels than the
  // former.
  static std::size_t icann_registered_labels(const Name& name);
  // True for "com", "co.uk", "github.io", and for a single label nobody knows.
  static bool is_public_suffix(const Name& name);
  static std::string version();  // of the list: a date or a hash, as libpsl knows it
};

// Where a name is cut: how many of its rightmost labels name the ledger it is charged to and that ledger's
// parent; and, for people and for the score, its registered domain.
struct LedgerCut {
  std::size_t zone = 0, parent = 0;  // parent <= zone; 0: the root's, shared by all that is in no list
  std::size_t registered = 0;        // of a name whose top-level domain is in no list, two labels
};

// The list that is in force: the one built into libpsl, or that and a file that the operator points at.
//
// A file is trusted to say what *people* call the registered domain. It is not trusted with the bound: it
// divides no ledger of the built-in list, and can only move one as a whole, into a larger one; a top-level
// domain that one of the two does not know shares its ledgers with all unknown ones. So a stale or hostile
// file can only make the meter stricter. What a zone is called then may differ from the registered domain: a
// budget's alert and `leak` tell the former, records and the score the latter.
//
// Thread: any; immutable.
class SuffixList {
 public:
  static std::shared_ptr<const SuffixList> builtin();
  // The text of a public_suffix_list.dat; `file` and `file_time` (Unix seconds) are only quoted. Errors: not
  // such a list, or one without a single rule.
  static Result<std::shared_ptr<const SuffixList>> parse(std::string_view text, const std::string& file,
                                                         std::int64_t file_time);

  // Some 0.3 us with the built-in list alone.
  LedgerCut ledger_cut(const Name& name) const;
  // "2023-02-09, built in", "2026-05-01, /etc/postern/list.dat".
  const std::string& version() const noexcept { return version_; }
  // Unix seconds; 0: not known.
  std::int64_t date() const noexcept { return date_; }

 private:
  struct File;  // libpsl's context
  SuffixList() = default;
  std::shared_ptr<const File> file_;  // null: the built-in list alone
  std::string version_;
  std::int64_t date_ = 0;
};

inline Name registered_domain(const Name& name) {
  return name.suffix(PublicSuffixes::registered_labels(name));
}

}  // namespace postern
