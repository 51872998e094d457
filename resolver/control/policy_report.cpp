// What `postern explain` and `postern policy` print: explanations, outlines, failed expectations,
// differences.
#include "resolver/control/policy_report.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "resolver/path/wire.h"
#include "rules/list.h"
#include "rules/list_text.h"
#include "rules/quote.h"  // qualified below: <iomanip>, through json.hpp, brings std::quoted

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t max_notes = 20;          // of `policy check`: more says no more
constexpr std::size_t max_listed = 1'000'000;  // names in a --names file: each takes 256 octets here
constexpr std::size_t excerpt_columns = 100;   // of a quoted line

std::string count_text(std::size_t count, const std::string& noun, const std::string& plural = {}) {
  return std::to_string(count) + " " + (count == 1 ? noun : plural.empty() ? noun + "s" : plural);
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string why_text(const Verdict& verdict) {
  // policy.cpp, refuse_name: RFC 8020.
  const bool below_is_open = verdict.action == Action::block_data && verdict.reason != Reason::type;
  const std::string and_why_empty =
      below_is_open ? "; empty, since NXDOMAIN would deny what is allowed below it" : "";
  switch (verdict.reason) {
    case Reason::rule:
      return "a rule of the policy spoke" + and_why_empty;
    case Reason::list:
      return "an entry of a list spoke" + and_why_empty;
    case Reason::policy_default:
      return "no rule speaks of it" + and_why_empty;
    case Reason::type:
      return "the name is permitted, this type is not";
    case Reason::name_form:
      return "the name holds octets that host names do not have";
    case Reason::special_use:
      return "it is a special name, which Postern answers by itself";
    case Reason::single_label:
      return "a name without a dot is not forwarded";
    case Reason::local_data:
      return "the policy has local data for it";
    default:
      return std::string(reason_text(verdict.reason));
  }
}

std::string soa_text(const Record& soa) {
  return "SOA of " + soa.owner.text() + ", forgotten after " + std::to_string(soa.ttl) + " s";
}

std::string source_text(const Policy& policy, const std::string& source) {
  return policy.name() +
         (source.empty() || policy.outline().built_in ? ", built in" : " of " + one_line_of(source));
}

// One line for the list, one for each cause for which lines of it were skipped.
std::string list_text(const ListOutline& one) {
  const ListReport& report = one.list->report();
  std::string out = "    list " + one_line_of(one.request.file) + ": " +
                    std::string(list_format_text(report.format)) + ", " +
                    count_text(report.entries, "entry", "entries");
  if (report.ranges > 0) out += " and " + count_text(report.ranges, "address range");
  out += " in " + count_text(report.lines, "line");
  if (one.request.allows) out += ", allow";
  if (one.observes) out += ", observed";
  if (report.skipped.empty()) return out + "\n";
  out += "; " + std::to_string(report.skipped_lines()) + " skipped\n";
  for (const SkippedLines& cause : report.skipped) {
    out += "      " + std::to_string(cause.lines) + " " + cause.cause;
    for (const std::string& line : cause.first)
      out += (&line == &cause.first.front() ? ": " : ", ") + one_line_of(line);
    out += cause.lines > cause.first.size() ? ", ...\n" : "\n";
  }
  return out;
}

}  // namespace

std::string one_line_of(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

ExpectedReply expected_reply(const Policy& policy, const Explanation& explanation) {
  const Verdict& verdict = explanation.verdict;
  const Name& name = explanation.query.name;
  ExpectedReply reply;
  const auto negative = [&](Rcode rcode) {
    reply.rcode = static_cast<int>(rcode);
    reply.soa = Record{name.parent(), type::SOA, wire::refusal_ttl, {}};
  };
  switch (verdict.action) {
    case Action::allow:
      reply.from_upstream = true;
      break;
    case Action::block_name:
    case Action::block_data:
      negative(verdict.action == Action::block_name ? Rcode::nxdomain : Rcode::noerror);
      if (policy.explains()) {
        reply.ede = Ede::blocked;
        // As the path says it: an explanation's rule also has the list's line.
        const std::string_view rule = policy.rule_text(verdict.rule);
        reply.ede_text = rule.empty() ? explanation.rule : std::string(rule);
        reply.ede_text.resize(std::min(reply.ede_text.size(), wire::ede_text_octets));
      }
      break;
    case Action::drop:
      reply.none = true;
      break;
    case Action::refuse:
      reply.rcode = static_cast<int>(Rcode::refused);
      break;
    case Action::local:
      if (verdict.local == nullptr) {
        negative(Rcode::nxdomain);
        break;
      }
      reply.rcode = verdict.local->rcode;
      reply.answer = verdict.local->answer;
      for (Record& record : reply.answer)
        if (record.owner.is_root()) record.owner = name;  // "this name", see Verdict::local
      if (!verdict.local->authority.empty()) reply.soa = verdict.local->authority.front();
      break;
  }
  return reply;
}

std::string explain_text(const Policy& policy, const Explanation& explanation, const std::string& source) {
  const Verdict& verdict = explanation.verdict;
  std::string out = explanation.query.name.text() + " " + type_text(explanation.query.type) + ": ";
  if (verdict.observed)
    out += "allowed, and recorded as would-block";
  else if (verdict.action == Action::block_name || verdict.action == Action::block_data)
    out += "blocked (" + verdict_text(verdict) + ")";
  else
    out += verdict_text(verdict);
  out += "\n  rule    " + one_line_of(explanation.rule);
  out += "\n  reason  " + why_text(verdict);
  out += "\n  policy  " + source_text(policy, source) + "\n";

  if (!explanation.overruled.empty()) {
    out += "overruled\n";
    std::size_t width = 0;
    constexpr std::size_t widest = 70;
    for (const Overruled& one : explanation.overruled)
      width = std::max(width, std::min(widest, one.rule.size()));
    for (const Overruled& one : explanation.overruled)
      out += "  " + padded(one_line_of(one.rule), width) + "  " + one.why + "\n";
    if (explanation.more_overruled > 0)
      out += "  and " + std::to_string(explanation.more_overruled) + " more\n";
  }

  const ExpectedReply reply = expected_reply(policy, explanation);
  out += "the client receives\n";
  if (reply.from_upstream) {
    out += explanation.upstream.empty()
               ? "  what the upstream answers"
               : "  what the upstream servers of the group \"" + explanation.upstream + "\" answer";
    out += ", while the session's budget lasts\n";
    out += "  an empty answer instead, if that holds an internal address or an explicitly blocked target\n";
    if (!explanation.excepted.empty()) {
      out += "  internal addresses that it may hold:";
      for (const std::string& range : explanation.excepted) out += " " + range;
      out += "\n";
    }
    return out;
  }
  if (reply.none) return out + "  nothing: the query is dropped\n";
  if (verdict.reason == Reason::policy_default && !verdict.observed)
    out +=
        "  unless an SRV, MX, SVCB or HTTPS answer names it to the sandbox: then what the upstream answers\n";
  out += "  " + rcode_text(reply.rcode) + (reply.answer.empty() ? ", no records\n" : "\n");
  for (const Record& record : reply.answer)
    out += "  " + record.owner.text() + " " + std::to_string(record.ttl) + " " + type_text(record.type) +
           " " + data_text(record) + "\n";
  if (reply.soa) out += "  " + soa_text(*reply.soa) + "\n";
  if (reply.ede != Ede::none)
    out += "  with EDNS: extended error " + std::to_string(static_cast<int>(reply.ede)) + " (Blocked) " +
           postern::quoted(reply.ede_text) + "\n";
  return out;
}

std::string explain_json(const Policy& policy, const Explanation& explanation, const std::string& source) {
  const Verdict& verdict = explanation.verdict;
  const ExpectedReply reply = expected_reply(policy, explanation);
  Json overruled = Json::array();
  for (const Overruled& one : explanation.overruled)
    overruled.push_back({{"rule", one.rule}, {"why", one.why}});
  Json client = {{"from", reply.from_upstream ? "upstream" : reply.none ? "nobody" : "postern"}};
  if (reply.none) {
    client["rcode"] = nullptr;
  } else if (reply.from_upstream) {
    client["upstream_group"] = explanation.upstream.empty() ? Json() : Json(explanation.upstream);
    client["excepted_ranges"] = explanation.excepted;
  } else {
    client["rcode"] = rcode_text(reply.rcode);
    client["answer"] = Json::array();
    for (const Record& record : reply.answer)
      client["answer"].push_back({{"owner", record.owner.text()},
                                  {"ttl", record.ttl},
                                  {"type", type_text(record.type)},
                                  {"data", data_text(record)}});
    client["soa_owner"] = reply.soa ? Json(reply.soa->owner.text()) : Json();
    client["ede"] = reply.ede == Ede::none
                        ? Json()
                        : Json({{"code", static_cast<int>(reply.ede)}, {"text", reply.ede_text}});
  }
  const Json out = {{"name", explanation.query.name.text()},
                    {"type", type_text(explanation.query.type)},
                    {"policy", policy.name()},
                    {"file", source},
                    {"verdict", action_text(verdict.action)},
                    {"observed", verdict.observed},
                    {"reason", reason_text(verdict.reason)},
                    {"rule", explanation.rule},
                    {"overruled", overruled},
                    {"more_overruled", explanation.more_overruled},
                    {"client", client}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string check_text(const PolicySet& policies, const std::string& file) {
  std::string body, notes;
  std::size_t count = 0, noted = 0, width = 0;
  for (const std::string& name : policies.names()) width = std::max(width, name.size());
  std::map<std::pair<const List*, bool>, std::string> told;  // and whether it is observed -> the policy
  for (const std::string& name : policies.names()) {
    const PolicyOutline outline = policies.find(name)->outline();
    if (outline.built_in) continue;
    ++count;
    body += "  " + padded(name, width) + "  default " + outline.settings.front().second;
    const auto add = [&](std::size_t number, const std::string& noun, const std::string& plural = {}) {
      if (number > 0) body += ", " + count_text(number, noun, plural);
    };
    body += ", " + count_text(outline.allow_rules + outline.block_rules + outline.observe_rules, "rule");
    if (outline.allow_rules + outline.block_rules + outline.observe_rules > 0) {
      body += " (" + std::to_string(outline.allow_rules) + " allow, " + std::to_string(outline.block_rules) +
              " block";
      if (outline.observe_rules > 0) body += ", " + std::to_string(outline.observe_rules) + " observe";
      body += ")";
    }
    if (!outline.included.empty()) {
      body += ", includes";
      for (std::size_t i = 0; i < outline.included.size(); ++i)
        body += (i == 0 ? " " : ", ") + outline.included[i];
    }
    add(outline.hosts, "hosts entry", "hosts entries");
    add(outline.zones, "zone");
    if (outline.zones > 0) body += " (" + count_text(outline.zone_records, "record") + ")";
    add(outline.forwards.size(), "forwarded zone");
    add(outline.exceptions, "answer exception");
    add(outline.expectations.size(), "expectation");
    for (const auto& [key, value] : outline.settings)
      if (key == "mode" && value == "observe") body += "; observes only: nothing of it is refused";
    body += "\n";
    for (const ListOutline& one : outline.lists) {
      // What a policy has from another needs no second account of its lines.
      const auto [known, is_new] = told.try_emplace({one.list.get(), one.observes}, name);
      body += is_new ? list_text(one)
                     : "    list " + one_line_of(one.request.file) + ": as in policy " + known->second + "\n";
    }
    for (const ForwardedZone& one : outline.forwards)
      body += "    " + one.zone.text() + " is asked of the upstream group " + one.group + "\n";
    for (const SilentRule& one : outline.silent) {
      if (++noted > max_notes) continue;
      notes += "note: policy " + name + ": " + one_line_of(one.rule) +
               " never decides: " + one_line_of(one.because) +
               (one.contradicted ? " is just as specific, and a tie blocks\n" : " says the same\n");
    }
  }
  for (const std::string& name : policies.names())
    for (const std::string& key : policies.find(name)->outline().unlimited)
      notes +=
          "note: policy " + name + ": budgets: " + key + " is unlimited: nothing bounds what leaves there\n";
  if (noted > max_notes)
    notes += "note: and " + std::to_string(noted - max_notes) + " more rules that never decide\n";
  return one_line_of(file) + ": ok, " + count_text(count, "policy", "policies") + "\n" + body + notes;
}

std::string test_text(const TestReport& report, const std::string& file) {
  std::string out;
  for (const Unmet& one : report.unmet) {
    const Verdict& verdict = one.explanation.verdict;
    out += one_line_of(one.expectation.place) + ": policy " + one.policy + ": " +
           one.expectation.query.name.text() + " " + type_text(one.expectation.query.type) + " should be " +
           (one.expectation.block ? "blocked" : "allowed") + ", is " + verdict_text(verdict) + "\n    by " +
           one_line_of(one.explanation.rule) + "\n";
  }
  if (report.expectations == 0)
    return one_line_of(file) + ": nothing was tested: no policy of it has an `expect:`\n";
  const std::string total = count_text(report.expectations, "expectation");
  if (report.unmet.empty())
    return one_line_of(file) + ": ok, " + total + (report.expectations == 1 ? " holds\n" : " hold\n");
  return out + one_line_of(file) + ": " + std::to_string(report.unmet.size()) + " of " + total + " failed\n";
}

Result<Name> parse_asked_name(const std::string& text) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot read name " + postern::quoted(text) + ": " + why);
  };
  if (text.starts_with("*")) return bad("it is a pattern; ask for one of the names that it matches");
  if (text.find("://") != std::string::npos) return bad("it is a URL; give the name alone");
  if (text.find_first_of("/: \t\r\n") != std::string::npos)
    return bad(Address::parse(text) ? "it is an address; ask for the name of a host"
                                    : "give the name alone, without port, path or white space");
  Result<Name> name = Name::parse(text);
  if (!name) return name;
  const bool unicode =
      std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (unicode) return bad("write names in Unicode as A-labels (xn--...)");
  if (Address::parse(text))
    return bad("it is an address; ask for the name of a host (" + postern::quoted(text + ".") +
               " is the name that looks like it)");
  return name;
}

Result<std::vector<Name>> parse_name_list(const std::string& text, const std::string& file) {
  std::vector<Name> names;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    line.resize(std::min(line.find('#'), line.size()));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) continue;
    line = line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
    const std::string place = file + ":" + std::to_string(number) + ": ";
    const Result<Name> name = parse_asked_name(line);
    if (!name) return failure(place + name.error().message);
    if (names.size() >= max_listed)
      return failure(place + "there are more than " + std::to_string(max_listed) + " names");
    names.push_back(*name);
  }
  return names;
}

std::string excerpt(const std::string& text, const std::string& file, const std::string& message) {
  if (!message.starts_with(file + ":")) return {};
  const char* const end = message.data() + message.size();
  std::size_t line = 0, column = 0;
  const auto [colon, line_error] = std::from_chars(message.data() + file.size() + 1, end, line);
  if (line_error != std::errc{} || colon == end || *colon != ':') return {};
  const auto [rest, column_error] = std::from_chars(colon + 1, end, column);
  if (column_error != std::errc{} || rest == end || *rest != ':' || line == 0 || column == 0) return {};

  std::size_t at = 0;
  for (std::size_t i = 1; i < line; ++i) {
    at = text.find('\n', at);
    if (at == std::string::npos) return {};
    ++at;
  }
  std::string shown = text.substr(at, std::min(text.find('\n', at), text.size()) - at);
  if (shown.ends_with('\r')) shown.pop_back();
  if (column > shown.size() + 1) return {};
  if (column > excerpt_columns) {  // a long line is shown from a little before the place
    const std::size_t cut = column - excerpt_columns / 2;
    shown = shown.substr(cut);
    column -= cut;
  }
  shown.resize(std::min(shown.size(), excerpt_columns));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';  // so that the mark stands under its column
  const std::string number = std::to_string(line);
  return "  " + number + " | " + one_line_of(shown) + "\n  " + std::string(number.size(), ' ') + " | " +
         std::string(column - 1, ' ') + "^\n";
}

}  // namespace postern
