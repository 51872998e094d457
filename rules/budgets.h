// Budgets: how much may leave through names, in the operator's words. Values; detect/ledger.h keeps the
// accounts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// Budgets in octets (8 bits) unless the name says otherwise. 0: nothing may leave.
struct Budgets {
  static constexpr std::uint64_t unlimited = 1ull << 50;

  std::uint64_t zone = 256;          // to one registrable domain, private suffix rules; names nobody listed
  std::uint64_t known_zone = 1024;   // to one that holds a known name, listed and unlisted names together
  std::uint64_t parent = 1024;       // to one registrable domain by the ICANN rules; names nobody listed
  std::uint64_t arpa = 256;          // reverse lookups together
  std::uint64_t session = 2048;      // everything
  std::uint64_t answers = 16 << 20;  // octets that come down in answers
  std::uint64_t single_name_bits = 600;  // a new, unknown name dearer than this is refused outright
  // Queries of a session within an hour, whatever became of them: more is no program's ordinary work. An
  // agent's day of installs, git and polling has 680 an hour; a browser's pages come in hundreds.
  std::uint64_t queries = 10'000;
  // Ledgers around the session's: what one attached sandbox, and what all sessions of a user may spend.
  std::uint64_t sandbox = unlimited;
  std::uint64_t user = unlimited;
  // Each day so much more for session, zone, known_zone, parent and arpa, and `answers` once more; 0: never.
  // What was not used adds up: after d days at most budget + d * refill have left.
  std::uint64_t refill = 0;

  // With the refills of so many whole days.
  Budgets after_days(std::uint64_t days) const noexcept;
  bool operator==(const Budgets&) const = default;
  // Nothing that names tell is bounded anywhere.
  bool is_open() const noexcept;
};

// "code", "browse" or "strict". Errors quote the name.
Result<Budgets> profile(std::string_view name);

// The budgets that a policy file can set one by one, by their keys; all in octets.
struct BudgetKey {
  std::string_view key;
  std::uint64_t Budgets::*amount;
};
std::span<const BudgetKey> budget_keys();

// "256", "256B", "2 KiB", "1MiB", "600 bits", "unlimited": an amount in bits. Without a unit: octets. Errors
// quote the text.
Result<std::uint64_t> parse_amount(std::string_view text);
// "10000" or "unlimited": queries in an hour, at least one. Errors quote the text.
Result<std::uint64_t> parse_count(std::string_view text);
inline constexpr std::uint64_t unlimited_bits = Budgets::unlimited * 8;
// The shortest of those spellings: "256 B", "2 KiB", "600 bits" (where it is no whole number of octets),
// "unlimited".
std::string amount_text(std::uint64_t bits);

}  // namespace postern
