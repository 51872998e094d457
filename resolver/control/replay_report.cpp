// What `postern replay` prints, and the sum over a recording's clients.
#include "resolver/control/replay_report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Bits with a tenth: what is below is the quantiser's.
double tenths(double value) {
  return static_cast<double>(static_cast<std::int64_t>(value * 10 + 0.5)) / 10;
}
double thousandths(double value) {
  return static_cast<double>(static_cast<std::int64_t>(value * 1000 + 0.5)) / 1000;
}

Json position(std::uint64_t at) {
  return at == 0 ? Json(nullptr) : Json(at);
}

std::string clock_text(Instant time) {
  const std::time_t seconds = static_cast<std::time_t>(time.count() / 1'000'000);
  if (seconds < 1'000'000'000) return std::to_string(seconds) + " s";  // a sequence number, not a date
  std::tm broken{};
  gmtime_r(&seconds, &broken);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &broken);
  return text;
}

std::string bytes_text(double bits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", bits / 8);
  return text;
}

}  // namespace

std::optional<SessionReplay::Step> Replay::ask(const RecordedQuery& query) {
  std::chrono::microseconds time = query.time + shift_;
  if (now_.count() >= 0 && time + step_back < now_) {
    shift_ += now_ - time;
    time = now_;
    ++steps_back_;
  }
  now_ = std::max(now_, time);
  auto session = sessions_.find(query.client);
  if (session == sessions_.end()) {
    if (sessions_.size() >= max_clients) return std::nullopt;
    session = sessions_.try_emplace(std::string(query.client), rules_).first;
  }
  ++queries_;
  return session->second.ask(now_, query.query, query.rcode);
}

void Replay::finish() {
  for (auto& [client, session] : sessions_) session.advance(now_);
}

std::vector<ReplayRow> replay_rows(const Replay& replay) {
  std::vector<ReplayRow> rows;
  for (const auto& [client, session] : replay.sessions())
    for (std::size_t i = 0; i < session.zones(); ++i)
      rows.push_back({&client, session.zone(i), &session.report(i)});
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ReplayRow& a, const ReplayRow& b) {  // by client already
                     if (a.report->charged != b.report->charged) return a.report->charged > b.report->charged;
                     return a.report->queries > b.report->queries;
                   });
  return rows;
}

ReplayTotals replay_totals(const Replay& replay) {
  ReplayTotals totals;
  totals.clients = replay.sessions().size();
  for (const auto& [client, session] : replay.sessions()) {
    const double used = static_cast<double>(session.meter().session().used()) / 1000;
    totals.charged_bits += used;
    totals.largest_session_bits = std::max(totals.largest_session_bits, used);
    totals.sessions_exhausted += session.exhausted();
    totals.sessions_over_cap += session.over_cap();
    for (std::size_t i = 0; i < session.zones(); ++i) {
      const ZoneReport& report = session.report(i);
      totals.queries += report.queries;
      totals.forwarded += report.forwarded;
      totals.refreshed += report.refreshed;
      totals.cached += report.cached;
      totals.refused += report.refused;
      totals.cut += report.cut;
      ++totals.zones;
      totals.zones_forward += report.forwarded > 0;
      totals.zones_cut += report.cut_at_query != 0;
      totals.zones_alerted += report.first_alert_query != 0;
      totals.largest_zone_bits =
          std::max(totals.largest_zone_bits, static_cast<double>(report.charged) / 1000);
    }
  }
  return totals;
}

std::string replay_json(const ReplayRow& row) {
  const ZoneReport& report = *row.report;
  return line_of({{"client", *row.client},
                  {"zone", row.zone.text()},
                  {"queries", report.queries},
                  {"forwarded", report.forwarded},
                  {"refreshed", report.refreshed},
                  {"charged_bits", tenths(static_cast<double>(report.charged) / 1000)},
                  {"cut_at_query", position(report.cut_at_query)},
                  {"cut_at_time", report.cut_at_query == 0
                                      ? Json(nullptr)
                                      : Json(static_cast<double>(report.cut_at_time.count()) / 1e6)},
                  {"first_alert_query", position(report.first_alert_query)},
                  {"score", thousandths(report.score)},
                  {"level", level_text(report.level)},
                  {"why", report.why()}});
}

std::string replay_json(const ReplayTotals& totals, const Skipped& skipped) {
  Json passed = Json::object();
  for (const auto& cause : skipped.causes()) passed[cause.text] = cause.count;
  return line_of({{"total",
                   {{"queries", totals.queries},
                    {"clients", totals.clients},
                    {"zones", totals.zones},
                    {"forward_zones", totals.zones_forward},
                    {"forwarded", totals.forwarded},
                    {"refreshed", totals.refreshed},
                    {"cached", totals.cached},
                    {"refused_by_policy", totals.refused},
                    {"cut", totals.cut},
                    {"zones_cut", totals.zones_cut},
                    {"zones_alerted", totals.zones_alerted},
                    {"sessions_exhausted", totals.sessions_exhausted},
                    {"sessions_over_cap", totals.sessions_over_cap},
                    {"charged_bits", tenths(totals.charged_bits)},
                    {"largest_zone_bits", tenths(totals.largest_zone_bits)},
                    {"largest_session_bits", tenths(totals.largest_session_bits)},
                    {"unreadable", skipped.faults()},
                    {"skipped", passed}}}});
}

std::string with_commas(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::vector<std::string> replay_columns() {
  return {"CLIENT", "ZONE",     "QUERIES", "FORWARDED", "BYTES", "CUT AT",
          "TIME",   "ALERT AT", "SCORE",   "LEVEL",     "WHY"};
}

std::vector<std::string> replay_cells(const ReplayRow& row) {
  const ZoneReport& report = *row.report;
  const auto at = [](std::uint64_t query) { return query == 0 ? std::string("-") : with_commas(query); };
  char score[16];
  std::snprintf(score, sizeof score, "%.2f", report.score);
  return {*row.client,
          row.zone.text(),
          with_commas(report.queries),
          with_commas(report.forwarded),
          bytes_text(static_cast<double>(report.charged) / 1000),
          at(report.cut_at_query),
          report.cut_at_query == 0 ? "-" : clock_text(report.cut_at_time),
          at(report.first_alert_query),
          score,
          std::string(level_text(report.level)),
          report.why()};
}

std::string replay_summary(const ReplayTotals& totals, const Skipped& skipped) {
  std::string text = with_commas(totals.queries) + " queries of " + with_commas(totals.clients) +
                     " clients to " + with_commas(totals.zones) + " zones: " + with_commas(totals.forwarded) +
                     " forwarded (" + with_commas(totals.refreshed) + " by the refresh timer), " +
                     with_commas(totals.cached) + " cached, " + with_commas(totals.refused) +
                     " refused by policy, " + with_commas(totals.cut) + " cut\n";
  text += with_commas(totals.zones_cut) + " zones cut, " + with_commas(totals.zones_alerted) + " alerted, " +
          with_commas(totals.sessions_exhausted) + " sessions out of budget, " +
          with_commas(totals.sessions_over_cap) + " over the cap of queries; most charged: a zone " +
          bytes_text(totals.largest_zone_bits) + " bytes, a session " +
          bytes_text(totals.largest_session_bits) + " bytes\n";
  for (const auto& cause : skipped.causes()) {
    text += (cause.kind == Skipped::Kind::fault ? "not read: " : "passed over: ") + with_commas(cause.count) +
            " " + cause.text + "\n";
    for (const std::string& one : cause.first) text += "  " + one + "\n";
  }
  return text;
}

}  // namespace postern
