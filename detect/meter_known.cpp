// Known names: the built-in list and a policy's exact names in one table.
#include "detect/meter_known.h"

namespace postern {
namespace {

constexpr const char* builtin_hosts[] = {
#include "detect/known_hosts.inc"
};

}  // namespace

KnownNames::KnownNames(std::span<const Name> exact, bool with_builtin) {
  const auto add = [&](const Name& name) {
    if (!contains(name)) table_.insert(NameTable::octets(name));
  };
  if (with_builtin)
    for (const char* host : builtin_hosts) {
      const auto name = Name::parse(host);
      POSTERN_CHECK(name.has_value());  // the list is ours
      add(*name);
    }
  for (const Name& name : exact) add(name);
}

std::shared_ptr<const KnownNames> KnownNames::builtin() {
  return std::make_shared<const KnownNames>(std::span<const Name>{});
}

}  // namespace postern
