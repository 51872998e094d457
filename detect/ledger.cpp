// Ledgers: their words, and when they warn.
#include "detect/ledger.h"

namespace postern {

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
