// journal verify, journal key: is the record what was written, and who vouches for it.
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "resolver/control/commands.h"
#include "resolver/journal/seal_verify.h"
#include "resolver/sandbox/broker_seal.h"
#include "rules/hex.h"
#include "rules/quote.h"

namespace postern {
namespace {

// Lines of a file of heads that are looked at: ten seconds apart, three years' worth.
constexpr std::size_t most_lines = 10'000'000;
// Octets of a line; a signed head has about 450, and a log's own words before it.
constexpr std::size_t longest_line = 64 * 1024;

// The heads in a file; lines without one (a log's others) are passed over, and counted if they begin like
// one.
struct Heads {
  std::vector<SignedHead> heads;
  std::size_t unreadable = 0;
};
Result<Heads> read_heads(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) return failure("cannot read the signed heads in \"" + path + "\": " + std::strerror(errno));
  }
  std::istream& in = path == "-" ? std::cin : file;
  Heads all;
  std::string line;
  for (std::size_t lines = 0; std::getline(in, line); ++lines) {
    if (lines == most_lines)
      return failure("cannot read the signed heads in \"" + path + "\": too many lines");
    if (line.size() > longest_line) line.resize(longest_line);
    if (line.find("\"postern\":\"head\"") == std::string::npos) continue;
    if (auto head = read_signed_head(line))
      all.heads.push_back(*head);
    else
      ++all.unreadable;
  }
  if (in.bad()) return failure("cannot read the signed heads in \"" + path + "\": " + std::strerror(errno));
  return all;
}

std::string_view word_of(VerifyReport::Verdict verdict) {
  switch (verdict) {
    case VerifyReport::Verdict::consistent:
      return "consistent";
    case VerifyReport::Verdict::unaltered:
      return "unaltered";
    default:
      return "altered";
  }
}

nlohmann::ordered_json as_json(const std::string& path, const VerifyReport& report, std::size_t unreadable) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const auto& one : report.findings) {
    nlohmann::ordered_json item{{"record", one.record}, {"what", one.what}};
    if (!one.table.empty()) item["table"] = one.table;
    if (one.id != 0) item["id"] = one.id;
    if (one.block != 0) item["block"] = one.block;
    findings.push_back(std::move(item));
  }
  nlohmann::ordered_json json{{"file", path},
                              {"journal", hex_text(report.journal)},
                              {"verdict", word_of(report.verdict)},
                              {"findings", std::move(findings)},
                              {"findings_total", report.all_findings},
                              {"blocks", report.blocks},
                              {"last_block", report.last_block},
                              {"records", report.records},
                              {"pruned", report.pruned},
                              {"pruned_unvouched", report.pruned_unvouched},
                              {"front_unvouched", report.front_unvouched},
                              {"unsealed_before", report.unsealed_before},
                              {"recovered", report.recovered},
                              {"unsealed", report.unsealed},
                              {"unlisted", report.unlisted},
                              {"closed", report.closed}};
  if (!report.newer_words.empty()) json["newer_words"] = report.newer_words;
  if (report.signer)
    json["signed"] = {{"key", hex_text(*report.signer)},
                      {"fingerprint", fingerprint(*report.signer)},
                      {"block", report.signed_block},
                      {"records", report.signed_records},
                      {"time", iso_time(report.signed_us)}};
  if (report.heads_used > 0 || report.heads_bad > 0)
    json["heads"] = {{"used", report.heads_used},
                     {"other_journals", report.heads_of_others},
                     {"bad", report.heads_bad},
                     {"unreadable", unreadable}};
  if (report.heads_later > 0)
    json["later_heads"] = {{"count", report.heads_later}, {"last", iso_time(report.last_later_us)}};
  if (report.head_block > 0)
    json["vouched"] = {{"block", report.head_block},
                       {"records", report.head_records},
                       {"last", report.head_last_record},
                       {"time", iso_time(report.head_us)}};
  return json;
}

void say(const std::string& path, const VerifyReport& report, std::size_t unreadable) {
  const auto line = [](const std::string& text) { std::cout << text << "\n"; };
  switch (report.verdict) {
    case VerifyReport::Verdict::altered: {
      line(path + ": ALTERED");
      for (const auto& one : report.findings)
        line("  " + printable(one.record + " " + one.what) +
             (one.block != 0 && one.table != "seal" ? " (block " + std::to_string(one.block) + ")" : ""));
      const auto more = report.all_findings - static_cast<std::int64_t>(report.findings.size());
      if (more > 0) line(fmt::format("  and {} more", more));
      break;
    }
    case VerifyReport::Verdict::unaltered:
      line(fmt::format("{}: unaltered up to record {}{} (head of {})", path, report.head_records,
                       report.head_last_record.empty() ? "" : ", " + report.head_last_record,
                       iso_time(report.head_us)));
      break;
    default:
      line(path + ": consistent");
  }
  if (report.heads_later > 0)
    line(fmt::format(
        "  {} later heads exist, the last of {}: whether this copy was made before them or cut off"
        " since cannot be told",
        report.heads_later, iso_time(report.last_later_us)));
  line(fmt::format("  {} records in {} blocks{}", report.records, report.blocks,
                   report.closed ? ", closed cleanly" : ""));
  if (report.signer)
    line(fmt::format("  signed up to block {} ({}) by key {}", report.signed_block,
                     iso_time(report.signed_us), fingerprint(*report.signer)));
  else
    line("  no block is signed");
  if (report.verdict == VerifyReport::Verdict::unaltered && report.last_block > report.head_block)
    line(
        fmt::format("  blocks {} to {} came after that head: consistent, and nobody outside vouches for them",
                    report.head_block + 1, report.last_block));
  if (report.pruned_unvouched > 0)
    line(
        fmt::format("  {} records that the heads given cover, {} the first, are gone: that retention removed "
                    "them says only what "
                    "no signed head stands for",
                    report.pruned_unvouched, report.first_unvouched));
  if (report.front_unvouched > 0)
    line(fmt::format(
        "  blocks up to {} are gone: that retention removed them says only what no signed head stands for",
        report.front_unvouched));
  if (report.heads_used > 0 && report.head_block == 0 && report.verdict == VerifyReport::Verdict::consistent)
    line("  the heads given are of blocks that are gone: keep newer ones");
  if (report.verdict == VerifyReport::Verdict::consistent && report.heads_used == 0)
    line("  that nobody has rewritten it as a whole, heads from outside can tell (--heads)");
  if (report.recovered > 0)
    line(fmt::format(
        "  {} records were sealed only at the start after a kill (last: block {}); in between nobody vouched "
        "for them",
        report.recovered, report.last_recovered_block));
  if (report.unsealed > 0)
    line(fmt::format("  {} records, from {} on, are not sealed yet", report.unsealed, report.first_unsealed));
  if (report.unlisted > 0)
    line(fmt::format(
        "  {} queries, from asked {} on, are not in the catalogue yet: `queries` does not show them",
        report.unlisted, report.first_unlisted));
  if (report.unsealed_before > 0)
    line(fmt::format("  {} records are older than the seals", report.unsealed_before));
  if (report.pruned > 0)
    line(fmt::format("  {} records were removed by retention, and said so", report.pruned));
  for (const std::string& word : report.newer_words)
    line("  a word that this Postern does not know, a newer one's or added: " + printable(word));
  if (report.heads_bad > 0)
    line(fmt::format("  {} of the heads given for this journal are not signed by the key: not used",
                     report.heads_bad));
  if (unreadable > 0) line(fmt::format("  {} lines with a head could not be read", unreadable));
}

}  // namespace

int journal_verify_verb(const VerifyFlags& flags) {
  VerifyOptions options;
  options.path = flags.db.empty() ? default_state_folder() + "/journal.db" : flags.db;
  options.copy = flags.copy;
  if (!flags.key.empty()) {
    auto key = read_public_key(flags.key);
    if (!key) return complain(key.error().message);
    options.key = *key;
  }
  std::size_t unreadable = 0;
  if (!flags.heads.empty()) {
    auto heads = read_heads(flags.heads);
    if (!heads) return complain(heads.error().message);
    options.with_heads = true;
    options.heads = std::move(heads->heads);
    unreadable = heads->unreadable;
  }
  const bool show = isatty(STDERR_FILENO) == 1 && !flags.json;
  if (show) {
    options.progress = [](std::int64_t done, std::int64_t all) {
      std::fprintf(stderr, "\r%lld of %lld records", static_cast<long long>(done),
                   static_cast<long long>(all));
    };
    options.checking = [](const std::string& what) {
      std::fprintf(stderr, "\r\033[Kall records, now %s", what.c_str());
    };
  }
  auto report = verify_journal(options);
  if (show) std::fputs("\r\033[K", stderr);
  // What SQLite says of a damaged file has names out of it. JSON: escaped, and what is no UTF-8 replaced.
  if (!report) return complain(printable(report.error().message));
  if (flags.json)
    std::cout << as_json(options.path, *report, unreadable)
                     .dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  else
    say(options.path, *report, unreadable);
  return report->verdict == VerifyReport::Verdict::altered ? 1 : 0;
}

int journal_key_verb(const std::string& file) {
  std::string path = file.empty() ? default_seal_folder() + "/key" : file;
  if (!path.ends_with(".pub")) path += ".pub";
  auto key = read_public_key(path);
  if (!key) return complain(key.error().message);
  std::cout << "public key   " << hex_text(*key) << "\nfingerprint  " << fingerprint(*key) << "\n";
  return 0;
}

}  // namespace postern
