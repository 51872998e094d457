// leak, grant: what sessions have used of their leak budgets, as bars, and more for one of them.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "resolver/control/commands.h"
#include "rules/budgets.h"
#include "rules/terminal_text.h"

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t shown_zones = 5;  // of a session, where all sessions are shown: the fullest
constexpr int bar_columns = 20;

// "37.5 B", "1.9 KiB".
std::string octets_text(double bits) {
  const double octets = bits / 8;
  char text[32];
  if (octets < 1024)
    std::snprintf(text, sizeof text, "%.1f B", octets);
  else if (octets < 1024 * 1024)
    std::snprintf(text, sizeof text, "%.1f KiB", octets / 1024);
  else
    std::snprintf(text, sizeof text, "%.1f MiB", octets / (1024 * 1024));
  return text;
}

std::string bar(double percent) {
  const int full = std::clamp(static_cast<int>(std::lround(percent * bar_columns / 100)), 0, bar_columns);
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(bar_columns - full), '.') + "]";
}

double percent_of(const Json& ledger) {
  return ledger["percent"].is_number() ? ledger["percent"].get<double>() : 0;
}

bool is_zone(const Json& ledger) {
  const std::string kind = ledger.value("ledger", "");
  return kind == "zone" || kind == "parent";
}

std::vector<std::string> row_of(const Json& ledger, const std::string& session, const std::string& user) {
  const bool bounded = ledger["percent"].is_number();
  return {
      session,
      user,
      ledger.value("ledger", "") +
          (is_zone(ledger) || ledger.value("ledger", "") == "sandbox" ? " " + ledger.value("name", "") : ""),
      octets_text(ledger.value("used_bits", 0.0)),
      bounded ? amount_text(static_cast<std::uint64_t>(ledger["budget_bits"].get<double>())) : "unlimited",
      bounded ? std::to_string(std::lround(percent_of(ledger))) + "%" : "-",
      bounded ? bar(percent_of(ledger)) : ""};
}

}  // namespace

std::string quarantine_note(const std::string& session, const std::string& why, const std::string& sandbox) {
  std::string note = "session " + session + " may not ask any more (" + why + "): ";
  const std::string zone = why.starts_with("zone ") || why.starts_with("parent ")
                               ? why.substr(why.find(' ') + 1)
                           : why == "arpa" ? "arpa"
                                           : "";
  if (why == "answers")
    note += "postern grant " + session + " AMOUNT --answers, then ";
  else if (!zone.empty())
    note += "postern grant " + session + " AMOUNT --zone " + zone + ", then ";
  else if (why == "session")
    note += "postern grant " + session + " AMOUNT, then ";
  return fit_for_terminal(note + "postern thaw " + sandbox);
}

int leak_verb(const LeakFlags& flags) {
  auto reply = ask_json(flags.control, "GET", "/v1/leak");
  if (!reply) return complain(reply.error().message);
  const Json all = Json::parse(*reply, nullptr, false);
  Json wanted = Json::array();
  for (const Json& one : all)
    if (flags.session.empty() || one.value("session", "") == flags.session) wanted.push_back(one);
  if (!flags.session.empty() && wanted.empty())
    return complain("the daemon remembers no session \"" + flags.session +
                    "\"; attach it, or see the view queries");
  if (flags.json) {
    std::cout << wanted.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : wanted) {
    std::vector<Json> ledgers(one["ledgers"].begin(), one["ledgers"].end());
    // What is around the session first, then its zones, the fullest first.
    std::stable_sort(ledgers.begin(), ledgers.end(), [](const Json& a, const Json& b) {
      if (is_zone(a) != is_zone(b)) return is_zone(b);
      return is_zone(a) && percent_of(a) > percent_of(b);
    });
    std::size_t zones = 0;
    for (const Json& ledger : ledgers) {
      if (is_zone(ledger) && ++zones > shown_zones && flags.session.empty()) continue;
      const bool first = &ledger == &ledgers.front();
      rows.push_back(
          row_of(ledger, first ? one.value("session", "") : "", first ? one.value("user", "") : ""));
    }
    if (zones > shown_zones && flags.session.empty())
      rows.push_back({"", "", "and " + std::to_string(zones - shown_zones) + " more", "", "", "", ""});
  }
  print_table({"SESSION", "USER", "LEDGER", "USED", "BUDGET", "", ""}, rows);
  for (const Json& one : wanted)
    if (one.value("quarantined", false))
      std::cout << "\n"
                << quarantine_note(one.value("session", ""), one.value("quarantine", ""), "NAME") << "\n";
  return 0;
}

int grant_verb(const GrantFlags& flags) {
  const auto bits = parse_amount(flags.amount);
  if (!bits) return complain(bits.error().message);
  if (*bits % 8 != 0 || *bits == 0 || *bits >= unlimited_bits)
    return complain("a grant is a number of whole octets, not \"" + flags.amount + "\"");
  const Json body = {{"session", flags.session},
                     {"user", flags.user},
                     {"zone", flags.zone},
                     {"answers", flags.answers},
                     {"octets", *bits / 8}};
  auto reply = ask_json(flags.control, "POST", "/v1/grants",
                        body.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!reply) return complain(reply.error().message);
  std::cout << "granted " << amount_text(*bits) << " to "
            << (flags.answers        ? "the answers of "
                : flags.zone.empty() ? ""
                                     : "zone " + flags.zone + " of ")
            << "session " << fit_for_terminal(flags.session) << "\n";
  return 0;
}

}  // namespace postern
