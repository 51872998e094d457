// The outbox: one durable row for each alert and hook, written with the alert, until it is told or given up.
//
// An alert is never lost for its hooks' sake: its own row is written whatever becomes of the telling. Rows
// that are over lose their body and are kept for `keep_ended`, at most `most_rows` of all; removal works in
// small steps, with the results.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "resolver/journal/journal.h"
#include "resolver/journal/sqlite.h"

namespace postern {

struct OutboxLimits {
  std::vector<AlertHook> hooks;
  std::size_t max_pending = 10'000;  // for each hook
};

// The writer's part: within its transaction, on the journal's thread.
class OutboxWriter {
 public:
  // What is over is kept so long: a month in which somebody asks who was told. Whatever waits for a hook
  // that is not configured any more is given up after the same time.
  static constexpr std::int64_t keep_ended_us = 30LL * 86400 * 1'000'000;
  // Rows of the table, some 150 octets each once they are over: beyond, the oldest of those go.
  static constexpr std::int64_t most_rows = 100'000;
  // Rows removed, and given up, by one transaction.
  static constexpr int most_removed = 64;
  static constexpr std::int64_t orphans_looked_every_us = 60'000'000;

  // `connection` must outlive this.
  static Result<std::unique_ptr<OutboxWriter>> create(Connection& connection, OutboxLimits limits);

  // Codes are SQLite's. `begin` at the start of a transaction, which may be a second try.
  void begin();
  int add(std::int64_t alert, const AlertRow& row);
  int settle(std::span<const DeliveryResult> results);
  std::uint64_t dropped() const { return dropped_; }  // by this transaction

 private:
  OutboxWriter() = default;
  int tidy(std::int64_t now_us);
  int count();

  OutboxLimits limits_;
  std::string hooks_json_;
  Statement insert_, update_, count_, expire_, forget_old_, forget_many_;
  std::vector<std::size_t> waiting_;       // for each hook; known once `counted_`
  bool counted_ = false, tidied_ = false;  // in this transaction
  std::int64_t orphans_looked_us_ = 0;  // when it was last looked for deliveries whose hook is not configured
  std::uint64_t dropped_ = 0;
};

// What waits: read on a connection of its own. Thread: any, one at a time.
class OutboxReader {
 public:
  static Result<std::unique_ptr<OutboxReader>> open(Connection connection);
  // Another connection, or none for a while: then nothing can be read.
  Result<void> use(Connection connection);
  void release();
  // Soonest first. Errors: the file cannot be read.
  Result<std::vector<Delivery>> pending(const std::string& hook, std::size_t most);

 private:
  OutboxReader() = default;
  std::mutex mutex_;
  Connection connection_;
  Statement pending_;
};

// "al_" and 32 digits of hex: nobody else draws the same, and a receiver knows an alert again by it.
std::string fresh_alert_uid();

}  // namespace postern
