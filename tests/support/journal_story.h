// A small incident as journal rows: what docs/COOKBOOK.md asks about. For its test and for the benchmark.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>

#include "resolver/journal/journal.h"

namespace postern::story {

inline constexpr std::int64_t second_us = 1'000'000;
inline constexpr std::int64_t ten_oclock_us = 1'772'445'600 * second_us;  // 2026-03-02 10:00:00 UTC

inline bool write_and_wait(Journal& journal, std::vector<const Asked*> rows) {
  std::mutex mutex;
  std::condition_variable changed;
  int result = -1;
  const bool taken = journal.submit(std::move(rows), [&](bool committed) {
    const std::lock_guard lock(mutex);
    result = committed ? 1 : 0;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  if (taken) changed.wait(lock, [&] { return result >= 0; });
  return result == 1;
}

struct Cast {
  SandboxId build = 0, agent = 0, agent_again = 0, open = 0;
};

class Writer {
 public:
  explicit Writer(Journal& journal) : journal_(journal) {}

  // False: something could not be written.
  bool write() {
    cast_.build = attach("build-1", "ann-build", "ann", "c0ffee", 0);
    cast_.agent = attach("agent-1", "ann-agent", "ann", "bad0c0de", 60);
    cast_.agent_again = attach("agent-2", "bob-agent", "bob", "bad0c0de", 400);
    cast_.open = attach("open-1", "bob-open", "bob", "0de", 500, false);
    const std::int64_t corp = journal_.intern_rule("policy.yaml:3:5 block **.corp.example");
    answered(cast_.build, "mirror.example.com", 1, "198.51.100.7");
    answered(cast_.build, "img.example.net", 2, "198.51.100.8 192.0.2.66");
    for (int i = 0; i < 20; ++i)
      answered(cast_.build, "host-" + std::to_string(i) + ".example.org", 10 + i, "", 3);
    for (const char* name : {"db.corp.example", "wiki.corp.example"}) {
      Asked& row = ask(cast_.build, name, 40, 2);
      row.action = Action::block_name;
      row.reason = Reason::rule;
      row.rule = corp;
      row.rcode = 3;
      row.ede = 15;
    }
    answered(cast_.agent, "tools.example.com", 100, "198.51.100.9", 0, 9000);
    answered(cast_.agent, "cdn.example.net", 200, "192.0.2.66", 0, 30'000);
    for (int i = 0; i < 10; ++i)
      answered(cast_.agent, "aGVsbG8" + std::to_string(i) + ".evil.example", 300 + i, "", 3, 64'000,
               type::TXT);
    Asked& cut = ask(cast_.agent, "aGVsbG8x.evil.example", 310, 2, type::TXT);
    cut.action = Action::block_name;
    cut.reason = Reason::tunnel;
    cut.rcode = 3;
    cut.score = 0.95F;
    answered(cast_.agent_again, "aGVsbG80.evil.example", 420, "", 3, 64'000, type::TXT);
    answered(cast_.agent_again, "sink.evil.example", 420, "192.0.2.66", 0, 20'000);
    outcomes_.back().action = Action::block_data;  // it has left all the same
    outcomes_.back().reason = Reason::answer_address;
    ask(cast_.agent_again, "late.evil.example", 421, 2, type::TXT).charge_millibits = 50'000;  // no outcome
    std::vector<const Asked*> batch;
    for (const Asked& row : rows_) batch.push_back(&row);
    if (!write_and_wait(journal_, batch)) return false;
    for (Outcome& outcome : outcomes_) journal_.append(std::move(outcome));
    journal_.alert(AlertRow{.time_us = cut.time_us,
                            .sandbox = cast_.agent,
                            .kind = "tunnel",
                            .zone = "evil.example",
                            .score = 0.95,
                            .action = "block-zone",
                            .evidence = "{}",
                            .asked = cut.id});
    journal_.detach(cast_.agent, at(320));
    const bool granted = journal_.grant({0, at(600), "ann", "ann-agent", "evil.example", 1024}).has_value();
    return granted && write_and_wait(journal_, {});
  }
  const Cast& cast() const { return cast_; }

 private:
  static std::int64_t at(int seconds) { return ten_oclock_us + seconds * second_us; }

  SandboxId attach(const char* name, const char* session, const char* user, const char* code, int seconds,
                   bool is_protected = true) {
    Sandbox sandbox;
    sandbox.name = name;
    sandbox.session = session;
    sandbox.user = user;
    sandbox.code_sha256 = code;
    sandbox.record_protected = is_protected;
    const auto id = journal_.attach(sandbox, at(seconds));
    return id ? *id : 0;
  }
  Asked& ask(SandboxId sandbox, const std::string& name, int seconds, std::uint8_t registered_labels,
             Type type = type::A) {
    Asked& row = rows_.emplace_back();
    row.id = journal_.reserve(1);
    row.time_us = at(seconds);
    row.monotonic_us = at(seconds) - ten_oclock_us;
    row.sandbox = sandbox;
    row.name = *Name::parse(name);
    row.type = type;
    row.registered_labels = registered_labels;
    row.action = Action::allow;
    return row;
  }
  void answered(SandboxId sandbox, const std::string& name, int seconds, const std::string& data,
                std::int16_t rcode = 0, std::uint32_t charge_millibits = 0, Type type = type::A) {
    Asked& row = ask(sandbox, name, seconds, 2, type);
    row.charge_millibits = charge_millibits;
    Outcome outcome;
    outcome.asked = row.id;
    outcome.time_us = row.time_us + 900;
    outcome.rcode = rcode;
    outcome.upstream_us = 900;
    outcome.answers = data.empty() ? 0 : 1;
    outcome.data = data;
    outcomes_.push_back(std::move(outcome));
  }

  Journal& journal_;
  Cast cast_;
  std::deque<Asked> rows_;
  std::vector<Outcome> outcomes_;
};

// What docs/COOKBOOK.md asks: the headings with their statements.
struct Question {
  std::string heading, sql;
};
inline std::vector<Question> questions(const std::string& markdown) {
  std::vector<Question> all;
  std::string heading;
  for (std::size_t at = 0; at < markdown.size();) {
    const std::size_t end = std::min(markdown.find('\n', at), markdown.size());
    const std::string line = markdown.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("## ")) heading = line.substr(3);
    if (line != "```sql") continue;
    const std::size_t close = markdown.find("\n```", at);
    if (close == std::string::npos) break;
    all.push_back({heading, markdown.substr(at, close - at)});
    at = close;
  }
  return all;
}

}  // namespace postern::story
