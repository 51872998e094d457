// Known names: those that say little, because everybody asks them.
//
// Two lists: hosts that common development tools use (known_hosts.inc), and the names that a policy allows
// exactly. To say one of them costs the logarithm of how many there are, however long it is. The list is
// public: it is no secret of Postern's and holds no right to be asked; that is policy's to decide.
//
// Pure. Thread: any, immutable once built. Memory: about 40 octets a name.
#pragma once

#include <memory>
#include <span>

#include "detect/ledger_names.h"

namespace postern {

class KnownNames {
 public:
  // `exact`: a policy's exact names; doubles do no harm.
  explicit KnownNames(std::span<const Name> exact, bool with_builtin = true);
  static std::shared_ptr<const KnownNames> builtin();

  bool contains(const Name& name) const noexcept { return table_.find(NameTable::octets(name)).has_value(); }
  std::optional<NameTable::Id> find(const Name& name) const noexcept {
    return table_.find(NameTable::octets(name));
  }
  std::size_t size() const noexcept { return table_.size(); }
  const NameTable& table() const noexcept { return table_; }

 private:
  NameTable table_;
};

}  // namespace postern
