// Rows of the file as sealed records: what the tables say now, spelled as the writer spelled it.
//
// The one place that knows which table and column a sealed field is read back from: whoever changes the
// tables changes these statements, and no seal breaks. Thread: one.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "resolver/journal/seal_block.h"
#include "resolver/journal/sqlite.h"

namespace postern {

class SealRows {
 public:
  // `connection` must outlive this.
  static Result<SealRows> open(Connection& connection);

  // Rows of `kind` whose id is in [first, last], in order of id, spelled. False from `found`: enough.
  using Found = std::function<bool(std::int64_t id, std::string_view octets)>;
  Result<void> each(SealKind kind, std::int64_t first, std::int64_t last, const Found& found);
  // Their ids alone: much quicker.
  using FoundId = std::function<bool(std::int64_t id)>;
  Result<void> ids(SealKind kind, std::int64_t first, const FoundId& found);
  Result<std::int64_t> highest(SealKind kind);  // 0: none

 private:
  struct PerKind {
    Statement rows, ids, highest;
  };
  explicit SealRows(Connection& connection) : connection_(&connection) {}
  std::string_view spell(SealKind kind, Statement& row);

  std::int64_t boot_offset(std::int64_t asked) const;  // wall clock less monotonic clock at its boot's row

  Connection* connection_;
  std::vector<std::pair<std::int64_t, std::int64_t>> boots_;  // first_asked, that offset
  std::array<PerKind, last_row_kind + 1> by_kind_;
  SealSpelling spelling_;
};

}  // namespace postern
