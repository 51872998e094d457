// Ledgers: how many bits have gone where, against which budget.
//
// Ledgers nest. A charge is admitted only if every ledger it touches can bear it, and then all of them are
// charged; a refused charge changes nothing. So the sum of admitted charges never exceeds a budget, at no
// moment.
//
// Pure. Thread: one (the session's shard).
#pragma once

#include <cstdint>
#include <string_view>

#include "rules/budgets.h"

namespace postern {

enum class LedgerKind : std::uint8_t { none, name, zone, parent, arpa, session, sandbox, user, answers };
std::string_view ledger_text(LedgerKind kind);  // "zone", "session", ...

// One account. Amounts in millibits: 2^64 of them are two million terabytes.
class Ledger {
 public:
  static constexpr std::uint64_t per_octet = 8000;

  Ledger() = default;
  explicit Ledger(std::uint64_t budget_octets) : budget_(budget_octets) {}

  bool bears(std::uint64_t millibits) const noexcept { return used_ + millibits <= limit(); }
  // What has left has left: also when it exceeds a budget that was lowered meanwhile (rebuilding after a
  // restart).
  void charge(std::uint64_t millibits) noexcept { used_ += millibits; }
  // However much is granted, the limit stays within 64 bits.
  void grant(std::uint64_t octets) noexcept {
    granted_ = octets > Budgets::unlimited - granted_ ? Budgets::unlimited : granted_ + octets;
  }

  std::uint64_t used() const noexcept { return used_; }
  std::uint64_t limit() const noexcept { return (budget_ + granted_) * per_octet; }
  std::uint64_t granted() const noexcept { return granted_; }
  // 80 or 50 if `millibits` more would cross that percentage of the limit, else 0.
  int crosses(std::uint64_t millibits) const noexcept;
  // A changed policy. What was used stays.
  void set_budget(std::uint64_t octets) noexcept { budget_ = octets; }

 private:
  std::uint64_t used_ = 0, budget_ = 0, granted_ = 0;
};

}  // namespace postern
