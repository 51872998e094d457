// The journal as a stream: queries and alerts in the order of their ids, page by page, also while it grows.
//
// Every page is a read transaction of its own, so that however long a stream is, the writer's log can start
// over behind it. Thread: one. Memory: a page, and in `follow` the short list of what is not settled yet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/result.h"

namespace postern {

inline bool is_refusal(const std::string& action) {
  return action == "blocked" || action == "refused" || action == "dropped";
}

// One row of the view `queries`; -1 stands for "unknown" or "none".
struct LoggedQuery {
  std::string journal;  // the first digits of its file's id, meta.journal_id; empty: it was never sealed
  std::int64_t id = 0, time_us = 0;
  std::string sandbox, session, user, code_sha256;
  std::string name, registered_domain, type;
  std::string action, reason, rule, rcode;
  std::int64_t ede = -1;
  bool cached = false, refresh = false;
  std::int64_t upstream_us = -1;
  double score = 0, charge_bits = 0;
  std::int64_t answers = -1;
  std::string data;  // addresses and targets, space separated; " ..." at its end: it was cut
  std::string policy, transport;
  std::string name_reversed;
  std::optional<bool> newly_observed_domain;  // nothing: not listed yet, and what is may be days old
  std::int64_t monotonic_us = -1;  // CLOCK_BOOTTIME: with `boot_id` the order, whoever sets the clock
  std::string boot_id;             // empty: not known
  std::string process, code_line;  // empty: not known

  bool refused() const { return is_refusal(action); }
  // Of another class no more than that is on record.
  bool is_of_class_in() const { return reason != "query_class"; }
};

// One row of the view `alerts`; query_id 0: none.
struct LoggedAlert {
  std::string journal;  // as of a query
  std::int64_t id = 0, time_us = 0;
  std::string sandbox, session, user, code_sha256;
  std::string kind, zone, action;
  double score = 0;
  std::string evidence;  // JSON object
  std::int64_t query_id = 0;
  std::string query_name, query_registered_domain;
  std::string query_action;      // empty: no query, or not on record any more
  std::string uid;               // what hooks know it by; these three are empty in rows of an older schema
  std::string severity, attack;  // low to critical; technique ids of MITRE ATT&CK, space separated
  std::int64_t first_us = 0, last_us = 0;

  bool acted() const { return action != "alert"; }
  bool refused() const { return acted() || is_refusal(query_action); }  // by it, or its query was
};

// Empty texts match everything; times in microseconds since 1970, `until` not included.
struct LogFilter {
  std::string sandbox, session, user;
  std::string domain;    // this name and all below it: presentation form, lower case, no final dot
  bool blocked = false;  // what was refused, and alerts by which or at which something was
  std::int64_t since_us = 0;
  std::int64_t until_us = INT64_MAX;
  // In `follow` the times are those of the past alone: what is written after the journal was opened comes
  // whatever its time, as a clock may be set back. It is told by its id.
  enum class Past : std::uint8_t { by_time, left_out };
  Past past = Past::by_time;
};

class LogReader {
 public:
  static constexpr int page_rows = 1000;      // of one transaction, at most
  static constexpr int window_rows = 50'000;  // looked through in one transaction when few of them match
  // How long a row may be late or its outcome unknown in `follow` before it is taken as it is: the path waits
  // 2 s for a commit and up to 4 s for upstreams.
  static constexpr std::int64_t settle_us = 6'000'000;
  static constexpr std::size_t journal_digits = 12;   // 48 random bits; std::string holds them in itself
  static constexpr std::size_t max_unsettled = 4096;  // ranges; beyond it the oldest is taken as it is

  // `follow`: rows are given once they are settled, those that are committed out of order later.
  // Errors: no such file, not a journal, a newer one; each names the path.
  static Result<std::unique_ptr<LogReader>> open(const std::string& path, LogFilter filter, bool follow);
  virtual ~LogReader() = default;

  struct Page {
    std::vector<LoggedQuery> queries;
    std::vector<LoggedAlert> alerts;
    bool end = false;  // there is no more, for now
  };
  // What comes next. `now_us`: Unix time, for what is settled. Alerts come with the page that reaches their
  // time, and each comes: one that is found later than its time comes late. Errors name the path, and nothing
  // is passed over: what failed is read again.
  virtual Result<Page> next(std::int64_t now_us) = 0;
  // Has the file become another journal in its place (meta.journal_id)? Errors: what `next` would say.
  virtual Result<bool> is_another() = 0;
};

}  // namespace postern
