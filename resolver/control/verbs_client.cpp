// attach, detach, ls, status, reload, sql: verbs that ask the daemon or read the journal.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "resolver/control/client.h"
#include "resolver/control/commands.h"
#include "resolver/control/config.h"
#include "resolver/control/secret_source.h"
#include "resolver/control/sql_output.h"
#include "resolver/control/sql_prompt.h"
#include "resolver/journal/reader.h"
#include "rules/quote.h"
#include "rules/sandbox_check.h"
#include "rules/terminal_text.h"

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

// The daemon's answer, or an error from it or on the way to it.
Result<Json> ask(const std::string& control, const std::string& method, const std::string& target,
                 const std::string& body = {}) {
  auto reply = ask_daemon(control, method, target, body);
  if (!reply) return tl::unexpected(reply.error());
  Json json = Json::parse(reply->body, nullptr, false);
  if (reply->status >= 400) {
    const bool has_error = json.is_object() && json.contains("error") && json["error"].is_string();
    const std::string why = has_error ? json["error"].get<std::string>() : "";
    return failure(why.empty() ? "the daemon answered " + std::to_string(reply->status) : why);
  }
  if (json.is_discarded()) return failure("the daemon's answer is not JSON");
  return json;
}

std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 0;
}

std::string utc_text(std::int64_t unix_us) {
  const std::time_t seconds = unix_us / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// How much of its session's leak budget a sandbox's session has used.
std::string leak_percent(const Json& sandbox) {
  const double budget = sandbox.value("leak_budget_bits", 0.0), used = sandbox.value("leak_bits", 0.0);
  if (budget >= static_cast<double>(unlimited_bits)) return "-";
  return std::to_string(budget > 0 ? std::lround(used * 100 / budget) : 100) + "%";
}

// " (3.8 years old)" from a year on: names of newer suffixes share their parents' budgets.
std::string suffix_list_age(const Json& status) {
  const double days = status.value("public_suffix_list_days", 0.0);
  if (days < 365) return "";
  char text[32];
  std::snprintf(text, sizeof text, " (%.1f years old)", days / 365.25);
  return text;
}

// What of the journal is kept, how far it is, and what went.
std::string journal_kept(const Json& journal) {
  const auto number = [&](const char* key) { return journal.value(key, std::int64_t{0}); };
  const Retention keep{number("keep_queries_us"), number("keep_alerts_us"), number("keep_octets")};
  std::string text = "journal keeps " + keep_text(keep) + "; in use " + size_text(number("used_octets"));
  if (const auto oldest = number("oldest_us"); oldest > 0) text += ", queries since " + utc_text(oldest);
  if (const auto rows = number("pruned_rows"); rows > 0)
    text += "; since the start " + std::to_string(rows) + " queries were removed, the last at " +
            utc_text(number("last_prune_us"));
  return text;
}

// What is wrong with the journal, or was; empty: nothing.
std::vector<std::string> journal_notes(const Json& journal) {
  const auto number = [&](const char* key) { return journal.value(key, std::int64_t{0}); };
  std::vector<std::string> notes;
  if (!journal.value("writable", true))
    notes.push_back("the journal cannot be written since " + utc_text(number("outage_since_us")) + ": " +
                    journal.value("last_error", ""));
  constexpr std::int64_t stalled_us = 2'000'000;  // as long as a query waits (pipeline.h)
  if (const auto waits_us = number("oldest_pending_us");
      journal.value("writable", true) && waits_us > stalled_us)
    notes.push_back("the journal's disk has not answered for " + std::to_string(waits_us / 1'000'000) + " s");
  if (journal.value("wal_held", false)) {
    const std::int64_t reader = number("wal_reader");
    notes.push_back("the journal's log has " + std::to_string(number("wal_octets") >> 20) +
                    " MiB and cannot start over: " +
                    (reader > 0 ? "process " + std::to_string(reader) : "a process elsewhere") +
                    " reads an old state of it");
  }
  if (const auto unrecorded = number("answered_unrecorded"); unrecorded > 0)
    notes.push_back(std::to_string(unrecorded) + " queries were answered without a record (audit: relaxed)");
  if (const std::string why = journal.value("prune_error", ""); !why.empty())
    notes.push_back("retention removes nothing: " + why);
  if (journal.value("rest_too_large", false))
    notes.push_back("the journal is larger than journal_keep allows, and nothing more of it may go");
  if (const std::string why = journal.value("held_seals", ""); !why.empty())
    notes.push_back("journal: " + why + "; see postern journal verify");
  if (const std::string aside = journal.value("set_aside", ""); !aside.empty())
    notes.push_back("a damaged journal was set aside: " + aside);
  return notes;
}

}  // namespace

Result<std::string> ask_json(const std::string& control, const std::string& method, const std::string& target,
                             const std::string& body) {
  auto reply = ask(control, method, target, body);
  if (!reply) return tl::unexpected(reply.error());
  return dump(*reply);
}

int complain(const std::string& message) {
  std::cerr << "postern: " << escaped(message) << "\n";
  return status_failed;
}

Result<std::map<std::string, std::string>> parse_labels(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> labels;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      return failure("a label must be KEY=VALUE, not " + quoted(text));
    labels[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return labels;
}

void print_table(const std::vector<std::string>& columns, const std::vector<std::vector<std::string>>& rows) {
  constexpr std::size_t widest = 60;
  std::vector<std::size_t> widths;
  for (const std::string& column : columns) widths.push_back(columns_of(fit_for_terminal(column)));
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], std::min(widest, columns_of(fit_for_terminal(row[i]))));
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  const std::size_t limit = terminal ? terminal_width() : 0;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (std::size_t i = 0; i < cells.size() && i < widths.size(); ++i) {
      std::string cell = fit_for_terminal(cells[i]);
      if (terminal) cell = cut_to_columns(std::move(cell), widths[i]);
      if (i > 0) out += "  ";
      out += i + 1 < cells.size() ? in_columns(std::move(cell), widths[i]) : cell;
    }
    return limit > 0 ? cut_to_columns(std::move(out), limit) : out;
  };
  std::cout << (terminal ? "\033[1m" : "") << line(columns) << (terminal ? "\033[0m" : "") << "\n";
  for (const auto& row : rows) std::cout << line(row) << "\n";
}

int attach_verb(const AttachFlags& flags) {
  auto labels = parse_labels(flags.labels);
  if (!labels) return complain(labels.error().message);
  Sandbox who;
  who.name = flags.name;
  who.session = flags.session;
  who.user = flags.user;
  who.code_sha256 = flags.code_hash;
  who.labels = std::move(*labels);
  if (auto fine = check_sandbox(who); !fine) return complain(fine.error().message);  // as it is, before JSON
  auto secrets = read_secrets(flags.secret_env, flags.secret_file);
  if (!secrets) return complain(secrets.error().message);
  Json body = {{"name", who.name},     {"session", who.session},
               {"user", who.user},     {"code_sha256", who.code_sha256},
               {"labels", who.labels}, {"policy", flags.policy}};
  if (!secrets->empty()) body["secrets"] = secrets_json(*secrets);
  if (flags.pid > 0) body["pid"] = flags.pid;
  if (!flags.netns.empty()) body["netns"] = flags.netns;
  auto reply = ask(flags.control, "POST", "/v1/sandboxes", dump(body));
  if (!reply) return complain(reply.error().message);
  std::cout << "attached " << flags.name << "\n";
  return 0;
}

int detach_verb(const std::string& control, const std::string& name) {
  auto reply = ask(control, "DELETE", "/v1/sandboxes/" + name);
  if (!reply) return complain(reply.error().message);
  std::cout << "detached " << name << " after " << (*reply)["counters"].value("queries", 0) << " queries\n";
  return 0;
}

int thaw_verb(const std::string& control, const std::string& name) {
  auto reply = ask(control, "POST", "/v1/sandboxes/" + name + "/thaw");
  if (!reply) return complain(reply.error().message);
  std::cout << name << " goes on\n";
  return 0;
}

int ls_verb(const std::string& control, bool json) {
  auto reply = ask(control, "GET", "/v1/sandboxes");
  if (!reply) return complain(reply.error().message);
  if (json) {
    std::cout << dump(*reply) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : *reply) {
    const Json& counters = one["counters"];
    const auto count = [&](const char* key) { return std::to_string(counters.value(key, std::uint64_t{0})); };
    rows.push_back({one.value("name", ""), one.value("session", ""), one.value("user", ""),
                    one.value("policy", ""), count("queries"), count("blocked"), count("cached"),
                    count("failed"), leak_percent(one), count("alerts"),
                    !one.value("acted", std::string()).empty() ? one.value("acted", std::string())
                    : one.value("quarantined", false)
                        ? "quarantined (" + one.value("quarantine", "") + ")"
                        : std::to_string(one.value("blocked_zones", 0)) + " zones blocked"});
  }
  print_table({"SANDBOX", "SESSION", "USER", "POLICY", "QUERIES", "BLOCKED", "CACHED", "FAILED", "LEAK",
               "ALERTS", "STATE"},
              rows);
  for (const Json& one : *reply)
    if (one.value("quarantined", false))
      std::cout << "\n"
                << quarantine_note(one.value("session", ""), one.value("quarantine", ""),
                                   one.value("name", ""))
                << "\n";
  auto status = ask(control, "GET", "/v1/status");
  if (status) {
    const Json& journal = (*status)["journal"];
    std::cout << "\npublic suffix list of " << status->value("public_suffix_list", "")
              << suffix_list_age(*status) << "\n";
    if (const std::string error = status->value("policy_error", ""); !error.empty())
      std::cout << "\npolicy not reloaded, the old one is in force: " << fit_for_terminal(error) << "\n";
    std::cout << journal_kept(journal) << "\n";
    for (const std::string& line : journal_notes(journal))
      std::cout << "\n" << fit_for_terminal(line) << "\n";
  }
  return 0;
}

int status_verb(const std::string& control) {
  auto reply = ask(control, "GET", "/v1/status");
  if (!reply) return complain(reply.error().message);
  std::cout << dump(*reply) << "\n";
  return 0;
}

int reload_verb(const std::string& control) {
  auto reply = ask(control, "POST", "/v1/reload");
  if (!reply) return complain(reply.error().message);
  std::cout << "policy reloaded\n";
  return 0;
}

namespace {

int answer(const std::vector<std::string>& dbs, const std::string& statement, const SqlFlags& flags) {
  auto table = run_sql(dbs, statement, static_cast<std::size_t>(flags.limit), sql_time_limit, flags.wait);
  if (!table) return complain(table.error().message);
  if (flags.json) {
    std::cout << sql_json(*table) << "\n";
  } else if (flags.csv) {
    std::cout << sql_csv(*table);
  } else {
    print_table(table->columns, table->rows);
  }
  if (table->cut_off) std::cerr << "postern: cut off after " << flags.limit << " rows (--limit)\n";
  for (const Lack& lack : table->lacks) complain(lack_note(lack));
  return 0;
}

}  // namespace

int sql_verb(const SqlFlags& flags) {
  std::vector<std::string> dbs = flags.dbs;
  if (dbs.empty()) dbs.push_back(default_state_folder() + "/journal.db");
  const auto run = [&](const std::string& statement) { return answer(dbs, statement, flags); };
  return flags.statement ? run(*flags.statement) : sql_prompt(dbs, run);
}

}  // namespace postern
