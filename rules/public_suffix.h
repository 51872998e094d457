// Public suffixes: which part of a name is the registered domain (libpsl; its only owner).
#pragma once

#include <cstddef>
#include <string>

#include "rules/name.h"

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

inline Name registered_domain(const Name& name) {
  return name.suffix(PublicSuffixes::registered_labels(name));
}

}  // namespace postern
