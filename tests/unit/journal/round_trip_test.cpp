// What goes into the journal comes out of its views, in order, once it was said to be committed.
#include <algorithm>
#include <future>

#include "resolver/journal/seal_verify.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

TEST_CASE("a query and its outcome read as analysts expect") {
  const Folder folder;
  auto options = at(folder.file());
  options.boot_id = "b00t";
  const auto journal = must_open(options);
  Sandbox sandbox{
      .name = "box", .session = "s1", .user = "ann", .code_sha256 = "abc", .labels = {}, .policy = "strict"};
  const auto id = journal->attach(sandbox, 1'600'000'000'000'001);
  REQUIRE(id.has_value());
  Asked row = asked(journal->reserve(1), "a.b.Example.COM", *id);
  row.time_us = 1'700'000'000'000'042;
  row.type = type::AAAA;
  row.reason = Reason::rule;
  row.rule = journal->intern_rule("policy.yaml:12:7 allow **.example.com");
  row.score = 0.25F;
  row.charge_millibits = 71125;
  row.tcp = true;
  REQUIRE(write_one(*journal, row) == true);
  Sql sql(folder.file());
  const std::string columns =
      "SELECT time, time_us, sandbox, session, user, code_sha256, name, registered_domain, type, action, "
      "reason, rule,"
      " rcode, ede, cached, upstream_us, score, charge_bits, answers, data, policy, transport, monotonic_us, "
      "boot_id"
      " FROM queries";
  CHECK(
      sql.one(columns) ==
      "2023-11-14T22:13:20.000042Z|1700000000000042|box|s1|ann|abc|a.b.example.com|example.com|AAAA|allowed|"
      "rule|"
      "policy.yaml:12:7 allow **.example.com|unknown|NULL|0|NULL|0.25|71.125|NULL||strict|tcp|5000001|b00t");

  Outcome outcome;
  outcome.asked = row.id;
  outcome.time_us = row.time_us + 900;
  outcome.rcode = 0;
  outcome.upstream_us = 812;
  outcome.answers = 2;
  outcome.data = "2001:db8::1 2001:db8::2";
  journal->append(outcome);
  REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return stats.committed_outcomes == 1; }));
  CHECK(sql.one("SELECT action, reason, rule, rcode, ede, upstream_us, answers, data FROM queries") ==
        "allowed|rule|policy.yaml:12:7 allow **.example.com|NOERROR|NULL|812|2|2001:db8::1 2001:db8::2");
}

TEST_CASE(
    "the text of the largest answer is on record whole and sealed as it stands; what is longer says so") {
  const Folder folder;
  std::string all;
  while (all.size() + 40 < max_outcome_data)
    all += "2001:db8:aaaa:bbbb:cccc:dddd:eeee:" + std::to_string(1000 + all.size() % 9000) + " ";
  all.pop_back();
  REQUIRE(all.size() > 90'000);
  {
    const auto journal = must_open(folder.file());
    Asked rows[] = {asked(journal->reserve(1)), asked(journal->reserve(1))};
    REQUIRE(submit_and_wait(*journal, {&rows[0], &rows[1]}) == true);
    journal->append(Outcome{.asked = rows[0].id, .rcode = 0, .data = all});
    journal->append(Outcome{.asked = rows[1].id, .rcode = 0, .data = all + " " + std::string(200, 'x')});
  }
  Sql sql(folder.file());
  CHECK(sql.one("SELECT data FROM outcome ORDER BY asked LIMIT 1") == all);
  CHECK(sql.one(
            "SELECT length(data) <= 98304 AND data LIKE '% ...' FROM outcome ORDER BY asked DESC LIMIT 1") ==
        "1");
  VerifyOptions options;
  options.path = folder.file();
  const auto report = verify_journal(options);
  REQUIRE(report.has_value());
  CHECK(report->records >= 4);
  CHECK(report->findings.empty());
}

TEST_CASE("an answer that inspection refused overrides the verdict; one that passed does not") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Asked rows[] = {asked(journal->reserve(1)), asked(journal->reserve(1))};
  for (Asked& row : rows) {
    row.reason = Reason::list;
    row.rule = journal->intern_rule("list");
  }
  REQUIRE(submit_and_wait(*journal, {&rows[0], &rows[1]}) == true);
  Outcome passed{.asked = rows[0].id, .data = {}}, refused{.asked = rows[1].id, .data = {}};
  passed.rcode = 3;
  refused.action = Action::block_data;
  refused.reason = Reason::answer_address;
  refused.rule = journal->intern_rule("10.0.0.0/8");
  refused.rcode = 0;
  refused.ede = 15;
  journal->append(passed);
  journal->append(refused);
  REQUIRE(submit_and_wait(*journal, {}) == true);
  Sql sql(folder.file());
  CHECK(sql.rows("SELECT action, reason, rule, rcode, ede FROM queries ORDER BY id") ==
        std::vector<std::string>{"allowed|list|list|NXDOMAIN|NULL",
                                 "blocked|answer_address|10.0.0.0/8|NOERROR|15"});
}

TEST_CASE("a second outcome for one query is left out, and so is nothing else") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const Asked row = asked(journal->reserve(1));
  REQUIRE(write_one(*journal, row) == true);
  for (const std::int16_t rcode : {2, 0}) {
    Outcome outcome{.asked = row.id, .data = {}};
    outcome.rcode = rcode;
    journal->append(outcome);
  }
  REQUIRE(submit_and_wait(*journal, {}) == true);
  CHECK(Sql(folder.file()).one("SELECT rcode FROM queries") == "SERVFAIL");
}

TEST_CASE("codes without a name are shown as numbers") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Asked row = asked(journal->reserve(1));
  row.type = 65280;
  row.rcode = 11;
  row.ede = 0;
  row.cached = true;
  REQUIRE(write_one(*journal, row) == true);
  CHECK(Sql(folder.file()).one("SELECT type, rcode, ede, cached FROM queries") == "TYPE65280|RCODE11|0|1");
}

TEST_CASE("scores that are no numbers, negative or huge are tamed, and a charge is kept to the millibit") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::deque<Asked> rows;
  for (const float value : {-1.0F, std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(), 0.0004F, 0.0006F}) {
    rows.push_back(asked(journal->reserve(1)));
    rows.back().score = value;
    rows.back().charge_millibits = std::numeric_limits<std::uint32_t>::max();
  }
  std::vector<const Asked*> batch;
  for (const Asked& row : rows) batch.push_back(&row);
  REQUIRE(submit_and_wait(*journal, batch) == true);
  CHECK(Sql(folder.file()).rows("SELECT score FROM queries ORDER BY id") ==
        std::vector<std::string>{"0.0", "0.0", "1000000000.0", "0.0", "0.001"});
  CHECK(Sql(folder.file()).one("SELECT DISTINCT charge_millibits FROM asked") == "4294967295");
}

TEST_CASE("done(true) means that another connection sees the rows, in the order of their ids and batches") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Sql sql(folder.file());
  constexpr int batches = 200, rows_each = 7;
  std::deque<Asked> rows;
  std::vector<int> order;
  std::promise<void> all;
  for (int b = 0; b < batches; ++b) {
    std::vector<const Asked*> batch;
    for (int i = 0; i < rows_each; ++i) {
      rows.push_back(asked(journal->reserve(1), "n" + std::to_string(b) + ".example.com"));
      batch.push_back(&rows.back());
    }
    const RowId last = rows.back().id;
    REQUIRE(journal->submit(batch, [&, b, last](bool committed) {
      CHECK(committed);
      order.push_back(b);
      CHECK(sql.one("SELECT count(*) FROM asked WHERE id <= " + std::to_string(last)) ==
            std::to_string((b + 1) * rows_each));
      if (b == batches - 1) all.set_value();
    }));
  }
  all.get_future().wait();
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(order.size() == batches);
  CHECK(sql.one("SELECT count(*), count(DISTINCT name) FROM queries") == "1400|200");
  CHECK(sql.rows("SELECT id FROM queries WHERE name <> 'n' || ((id - 1) / 7) || '.example.com' ORDER BY id")
            .empty());
  CHECK(journal->stats().committed_rows == batches * rows_each);
  CHECK(journal->stats().pending_rows == 0);
}

TEST_CASE("an outcome is written without rows to ride with, and an alert at once") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Sandbox sandbox{
      .name = "box", .session = "", .user = "ann", .code_sha256 = "abc", .labels = {}, .policy = ""};
  const auto id = journal->attach(sandbox, 1);
  const Asked row = asked(journal->reserve(1), "x.evil.example", *id);
  REQUIRE(write_one(*journal, row) == true);
  journal->append(Outcome{.asked = row.id, .data = "192.0.2.1"});
  REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return stats.committed_outcomes == 1; }));
  AlertRow alert;
  alert.time_us = 1'700'000'000'500'000;
  alert.sandbox = *id;
  alert.kind = "tunnel";
  alert.zone = "evil.example";
  alert.score = 0.97;
  alert.action = "block-zone";
  alert.evidence = R"({"entropy":0.5})";
  alert.asked = row.id;
  journal->alert(alert);
  REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return stats.committed_alerts == 1; }));
  CHECK(
      Sql(folder.file())
          .one(
              "SELECT time, sandbox, session, kind, zone, score, action, evidence, query_name FROM alerts") ==
      "2023-11-14T22:13:20.500000Z|box|ann/abc|tunnel|evil.example|0.97|block-zone|"
      R"({"entropy":0.5}|x.evil.example)");
}

TEST_CASE("sandboxes keep their row after they end, and labels are JSON whatever they hold") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    Sandbox sandbox{.name = "box",
                    .session = "s",
                    .user = "u",
                    .code_sha256 = "c",
                    .labels = {{"a \"b", "x"}, {"c", "x\\\"y"}, {"k", "line\nbreak"}},
                    .policy = "",
                    .record_protected = false};
    const auto first = journal->attach(sandbox, 1'700'000'000'000'000);
    const auto second = journal->attach(sandbox, 1'700'000'001'000'000);
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK(*first != *second);
    journal->detach(*first, 1'700'000'002'000'000);
    Sql sql(folder.file());
    CHECK(sql.rows("SELECT sandbox, policy, record_protected, state, attached, detached FROM sandboxes ORDER "
                   "BY id") ==
          std::vector<std::string>{
              "box|default|0|detached|2023-11-14T22:13:20.000000Z|2023-11-14T22:13:22.000000Z",
              "box|default|0|attached|2023-11-14T22:13:21.000000Z|NULL"});
    CHECK(sql.one("SELECT json_valid(labels), labels->>'c', labels->>'k' FROM sandboxes WHERE id = 1") ==
          "1|x\\\"y|line\nbreak");
  }
  const auto again = must_open(folder.file());
  CHECK(Sql(folder.file()).rows("SELECT state FROM sandboxes ORDER BY id") ==
        std::vector<std::string>{"detached", "lost"});
}

TEST_CASE("a closed journal holds everything that was handed to it") {
  const Folder folder;
  const Asked row = asked(1);
  bool told = false;
  {
    const auto journal = must_open(folder.file());
    REQUIRE(journal->submit({&row}, [&](bool committed) { told = committed; }));
    journal->append(Outcome{.asked = 1, .data = "192.0.2.7"});
    journal->alert(AlertRow{.kind = "suspect", .zone = "z", .action = "alert", .evidence = "{}"});
  }
  CHECK(told);
  Sql sql(folder.file());
  CHECK(sql.one("SELECT data FROM queries") == "192.0.2.7");
  CHECK(sql.one("SELECT kind FROM alerts") == "suspect");
  CHECK(sql.one("SELECT ended_us > 0 FROM boot") == "1");
}

TEST_CASE("one rule text has one number, also after a restart; no text is number 0") {
  const Folder folder;
  std::int64_t first = 0, second = 0;
  {
    const auto journal = must_open(folder.file());
    CHECK(journal->intern_rule("") == 0);
    first = journal->intern_rule("a");
    second = journal->intern_rule("b");
    CHECK(first != second);
    CHECK(journal->intern_rule("a") == first);
    REQUIRE(submit_and_wait(*journal, {}) == true);
    CHECK(Sql(folder.file()).rows("SELECT id || text FROM rule ORDER BY id") ==
          std::vector<std::string>{"0", std::to_string(first) + "a", std::to_string(second) + "b"});
  }
  const auto journal = must_open(folder.file());
  CHECK(journal->intern_rule("b") == second);
  CHECK(journal->intern_rule("c") > second);
}

TEST_CASE("more rule texts than are kept in memory still have one number each") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::vector<std::int64_t> ids;
  constexpr int texts = 40'000;  // more than twice what is remembered
  for (int i = 0; i < texts; ++i) {
    ids.push_back(journal->intern_rule("rule " + std::to_string(i)));
    if (i % 1000 == 0) REQUIRE(submit_and_wait(*journal, {}) == true);
  }
  REQUIRE(submit_and_wait(*journal, {}) == true);
  for (int i = 0; i < texts; i += 997)
    CHECK(journal->intern_rule("rule " + std::to_string(i)) == ids[static_cast<std::size_t>(i)]);
  REQUIRE(submit_and_wait(*journal, {}) == true);
  CHECK(Sql(folder.file()).one("SELECT count(*), count(DISTINCT text) FROM rule") == "40001|40001");
}

TEST_CASE("ids go on where the last writer stopped, used or not") {
  const Folder folder;
  RowId unused = 0;
  {
    const auto journal = must_open(folder.file());
    const Asked row = asked(journal->reserve(1));
    REQUIRE(write_one(*journal, row) == true);
    unused = journal->reserve(1000);  // never written
    CHECK(unused == row.id + 1);
  }
  const auto journal = must_open(folder.file());
  CHECK(journal->reserve(1) == unused + 1000);
}

TEST_CASE("a batch that uses an id twice fails alone; its neighbours and the outcomes do not pay for it") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const Asked first = asked(1), again = asked(1), second = asked(2);
  // Held back by a lock, so that all three batches come into one transaction.
  Sql blocker(folder.file());
  blocker.rows("BEGIN IMMEDIATE");
  std::promise<bool> results[3];
  REQUIRE(journal->submit({&first}, [&](bool committed) { results[0].set_value(committed); }));
  REQUIRE(journal->submit({&again}, [&](bool committed) { results[1].set_value(committed); }));
  REQUIRE(journal->submit({&second}, [&](bool committed) { results[2].set_value(committed); }));
  journal->append(Outcome{.asked = 2, .data = "x"});
  blocker.rows("ROLLBACK");
  CHECK(results[0].get_future().get());
  CHECK(!results[1].get_future().get());
  CHECK(results[2].get_future().get());
  CHECK(journal->stats().writable);
  REQUIRE(submit_and_wait(*journal, {}) == true);
  CHECK(Sql(folder.file()).rows("SELECT id, data FROM queries ORDER BY id") ==
        std::vector<std::string>{"1|", "2|x"});
}
