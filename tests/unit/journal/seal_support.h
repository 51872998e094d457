// What the tests of seals share: a journal with every kind of record, and what verify says of it.
#pragma once

#include "resolver/journal/seal_verify.h"
#include "tests/unit/journal/support.h"

namespace postern::test {

inline Result<VerifyReport> verify(const std::string& path, VerifyOptions options = {}) {
  options.path = path;
  return verify_journal(options);
}

inline VerifyReport must_verify(const std::string& path, VerifyOptions options = {}) {
  auto report = verify(path, std::move(options));
  if (!report) FAIL(report.error().message);
  return *report;
}

// What people read first: "consistent", "unaltered", or the first finding.
inline std::string verdict(const VerifyReport& report) {
  switch (report.verdict) {
    case VerifyReport::Verdict::consistent:
      return "consistent";
    case VerifyReport::Verdict::unaltered:
      return "unaltered";
    default:
      return report.findings.empty() ? "altered" : report.findings[0].record + " " + report.findings[0].what;
  }
}
inline std::string verdict(const std::string& path, VerifyOptions options = {}) {
  return verdict(must_verify(path, std::move(options)));
}

// `count` rows with outcomes, in batches of 64; ids as reserved. Returns the first id.
inline RowId write_rows(Journal& journal, std::size_t count, SandboxId sandbox = 1) {
  const RowId first = journal.reserve(count);
  std::deque<Asked> rows;
  for (std::size_t i = 0; i < count; ++i) {
    const RowId id = first + static_cast<RowId>(i);
    rows.push_back(asked(id, "n" + std::to_string(id) + ".example.com", sandbox));
    rows.back().rule = journal.intern_rule("policy.yaml:3:5 allow **.example.com");
    rows.back().time_us = 1'700'000'000'000'000 + id * 1000;
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t waiting = 0;
  for (std::size_t i = 0; i < count;) {
    std::vector<const Asked*> batch;
    for (; i < count && batch.size() < 64; ++i) batch.push_back(&rows[i]);
    {
      const std::lock_guard lock(mutex);
      ++waiting;
    }
    REQUIRE(journal.submit(std::move(batch), [&](bool committed) {
      const std::lock_guard lock(mutex);
      if (!committed) std::abort();
      --waiting;
      changed.notify_all();
    }));
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return waiting == 0; });
  // Outcomes come in another order.
  for (std::size_t i = count; i-- > 0;)
    if (i % 3 != 0) {
      Outcome outcome;
      outcome.asked = first + static_cast<RowId>(i);
      outcome.time_us = 1'700'000'000'500'000 + outcome.asked * 1000;
      outcome.rcode = 0;
      outcome.upstream_us = 900;
      outcome.answers = 1;
      outcome.data = "192.0.2." + std::to_string(i % 250);
      journal.append(std::move(outcome));
    }
  return first;
}

inline Sandbox sandbox(const std::string& name) {
  Sandbox who;
  who.name = name;
  who.session = "s-" + name;
  who.user = "u1";
  who.code_sha256 = std::string(64, 'a');
  who.labels = {{"team", "blue"}};
  return who;
}

inline AlertRow alert_row(SandboxId id, RowId asked) {
  AlertRow alert;
  alert.time_us = 1'700'000'000'000'000;
  alert.sandbox = id;
  alert.kind = "tunnel";
  alert.zone = "example.com";
  alert.score = 0.93;
  alert.action = "block-zone";
  alert.evidence = "{\"names\":[\"a.example.com\"]}";
  alert.asked = asked;
  return alert;
}

// Two sandboxes, `rows` queries, alerts, a grant; closed cleanly.
inline void write_story(const std::string& path, std::size_t rows = 3000) {
  const auto journal = must_open(path);
  const auto one = journal->attach(sandbox("one"), 1'700'000'000'000'000);
  const auto two = journal->attach(sandbox("two"), 1'700'000'000'000'001);
  REQUIRE(one.has_value());
  REQUIRE(two.has_value());
  const RowId first = write_rows(*journal, rows, *one);
  journal->alert(alert_row(*one, first + 5));
  journal->alert(alert_row(*two, first + 6));
  LeakGrant grant;
  grant.time_us = 1'700'000'000'000'000;
  grant.user = "u1";
  grant.session = "s-one";
  grant.octets = 4096;
  REQUIRE(journal->grant(grant).has_value());
  journal->detach(*one, 1'700'000'100'000'000);
}

}  // namespace postern::test
