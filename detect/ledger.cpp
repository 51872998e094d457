// Ledgers: profiles and words.
#include "detect/ledger.h"

#include <string>

namespace postern {

Result<Budgets> profile(std::string_view name) {
  Budgets budgets;  // `code`: a coding agent's work, unattended
  if (name == "code") return budgets;
  if (name == "browse") {  // a browser: many zones, each with little; CDN parents carry many sites
    budgets.known_zone = 4096;
    budgets.parent = 4096;
    budgets.arpa = 512;
    budgets.session = 16384;
    budgets.answers = 64 << 20;
    return budgets;
  }
  if (name == "strict") {  // less than two 32-byte keys to a zone
    budgets.zone = 48;
    budgets.known_zone = 256;
    budgets.parent = 96;
    budgets.arpa = 48;
    budgets.session = 512;
    budgets.answers = 4 << 20;
    budgets.single_name_bits = 300;
    return budgets;
  }
  return failure("cannot choose budgets: profile \"" + std::string(name) +
                 "\" is none of code, browse, strict");
}

std::string_view ledger_text(LedgerKind kind) {
  switch (kind) {
    case LedgerKind::none:
      return "none";
    case LedgerKind::name:
      return "name";
    case LedgerKind::zone:
      return "zone";
    case LedgerKind::parent:
      return "parent";
    case LedgerKind::arpa:
      return "arpa";
    case LedgerKind::session:
      return "session";
    case LedgerKind::sandbox:
      return "sandbox";
    case LedgerKind::user:
      return "user";
    case LedgerKind::answers:
      return "answers";
  }
  return "none";
}

int Ledger::crosses(std::uint64_t millibits) const noexcept {
  const std::uint64_t after = used_ + millibits;
  for (const int percent : {80, 50}) {
    const std::uint64_t mark = limit() / 100 * static_cast<std::uint64_t>(percent);
    if (used_ < mark && after >= mark) return percent;
  }
  return 0;
}

}  // namespace postern
