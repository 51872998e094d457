// docs/COOKBOOK.md: each statement gives the answer that the story holds, and finds it by an index.
#include <map>

#include "resolver/journal/reader.h"
#include "tests/support/journal_story.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

using Rows = std::vector<std::string>;

std::vector<story::Question> cookbook() {
  return story::questions(contents(std::string(POSTERN_SOURCE_DIR) + "/docs/COOKBOOK.md"));
}

// Times are cut to seconds of that morning, so that a row can be read here.
Rows answer(std::span<const std::string> paths, const std::string& sql) {
  const auto table = run_sql(paths, sql, 10'000);
  REQUIRE_MESSAGE(table.has_value(), table.error().message);
  Rows rows;
  for (const auto& row : table->rows) {
    std::string& line = rows.emplace_back();
    for (const std::string& cell : row) {
      const bool time = cell.starts_with("2026-03-02T");
      line += (line.empty() && &cell == &row.front() ? "" : "|") + (time ? cell.substr(11, 8) : cell);
    }
  }
  return rows;
}
Rows answer(const std::string& path, const std::string& sql) {
  return answer({&path, 1}, sql);
}

Rows tunnel_names() {
  Rows rows;
  for (int i = 0; i < 10; ++i)
    rows.push_back("10:05:0" + std::to_string(i) + "|aGVsbG8" + std::to_string(i) + ".evil.example");
  for (std::string& row : rows) {
    for (char& c : row) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    row += "|TXT|64.0|NXDOMAIN";
  }
  return rows;
}

const std::map<std::string, Rows>& expected() {
  static const std::map<std::string, Rows> all = {
      {"When did it start?", {"10:05:00|agent-1|ann-agent|ann|agvsbg80.evil.example"}},
      {"Which sessions and users talked to that domain?",
       {"ann|ann-agent|11|1772445900000000|1772445910000000",
        "bob|bob-agent|3|1772446020000000|1772446021000000"}},
      {"What left, and how many bits?", {"ann-agent|10|10|640.0", "bob-agent|3|3|134.0"}},
      {"Which names carried it, in order?", tunnel_names()},
      {"What else did that code do?", {"evil.example|14|2|2", "example.com|1|0|1", "example.net|1|0|1"}},
      {"Where else did the same code run?",
       {"agent-1|ann-agent|ann|10:01:00|detached", "agent-2|bob-agent|bob|10:06:40|attached"}},
      {"Who else asked for this domain?", {"agent-2|bob-agent|bob"}},
      {"When was a domain first and last seen?", {"10:05:00|10:07:01|13|14|2|774.0"}},
      {"Which domains were new on a day?",
       {"example.com|10:00:01|2|9.0", "example.net|10:00:02|2|30.0", "example.org|10:00:10|20|0.0",
        "corp.example|10:00:40|2|0.0", "evil.example|10:05:00|14|774.0"}},
      {"Which query tipped the alert?", {"1|10:05:10|agent-1|tunnel|evil.example|agvsbg8x.evil.example|0.0"}},
      {"What was refused, and by which rule?",
       {"policy.yaml:3:5 block **.corp.example|rule|2|db.corp.example"}},
      {"Which names of a session cost most?",
       {"agvsbg80.evil.example|1|64.0", "agvsbg81.evil.example|1|64.0", "agvsbg82.evil.example|1|64.0"}},
      {"Which sessions leaked most?",
       {"ann|ann-agent|679.0|13", "bob|bob-agent|134.0|3", "ann|ann-build|0.0|24"}},
      {"Who asks for names that do not exist?", {"2026-03-02|build-1|example.org|20|20"}},
      {"Who was told this address?",
       {"3|10:00:02|build-1|ann|img.example.net|198.51.100.8 192.0.2.66",
        "27|10:03:20|agent-1|ann|cdn.example.net|192.0.2.66"}},
      {"What was asked in a span of time, by whom?", {"agent-1|evil.example|11"}},
      {"Which types does a session ask for?", {"TXT|11", "A|2"}},
      {"Whose record could the sandbox have altered?", {"open-1|bob-open|bob|10:08:20|attached"}},
      {"What became of nothing? Forwarded queries without an outcome",
       {"10:07:01|agent-2|late.evil.example"}},
      {"When could nothing be written, and what was asked meanwhile?", {"10:15:00|10:15:05|7|2|disk full"}},
      {"Who was granted more, and what for?", {"10:10:00|ann|ann-agent|evil.example|1024"}},
      {"Which domains are asked most?", {"example.org|20|1", "evil.example|14|2", "corp.example|2|1"}},
  };
  return all;
}

}  // namespace

TEST_CASE("every question of docs/COOKBOOK.md has the answer that the story holds") {
  const Folder folder;
  must_open(folder.file()).reset();  // a first boot, so that there is a time when nobody wrote
  const auto journal = must_open(folder.file());
  REQUIRE(story::Writer(*journal).write());
  Sql(folder.file()).wait_until_listed();
  // Sums of outcomes come with the end of a run.
  REQUIRE(eventually(*journal, [&](const Journal::Stats&) {
    return Sql(folder.file()).one("SELECT coalesce(sum(nxdomain), 0) FROM tally") == "31";
  }));
  Sql(folder.file())
      .rows_now(
          "INSERT INTO gap (from_us, until_us, refused, answered, why)"
          " VALUES (1772446500000000, 1772446505000000, 7, 2, 'disk full')");
  const auto questions = cookbook();
  CHECK(questions.size() >= 20);
  std::set<std::string> asked_for;
  for (const auto& [heading, sql] : questions) {
    INFO(heading);
    const Rows rows = answer(folder.file(), sql);
    asked_for.insert(heading);
    if (heading == "What happened around an alert?") {
      REQUIRE(rows.size() == 11);
      CHECK(rows.back() == "38|10:05:10|agvsbg8x.evil.example|TXT|blocked|0.95");
    } else if (heading == "When did nobody write?") {
      REQUIRE(rows.size() == 2);
      CHECK(rows[0].starts_with("ended|"));
      CHECK(rows[0].ends_with("|0"));
      CHECK(rows[1].starts_with("open|"));
    } else {
      REQUIRE(expected().count(heading) == 1);
      std::string shown;
      for (const std::string& row : rows) shown += row + "\n";
      CHECK_MESSAGE(rows == expected().at(heading), shown);
    }
  }
  for (const auto& [heading, rows] : expected()) CHECK_MESSAGE(asked_for.count(heading) == 1, heading);
}

TEST_CASE("over two files, every question of docs/COOKBOOK.md has what each gives alone, together") {
  const Folder folder;
  const std::string small = folder.file("small.db"), large = folder.file("large.db");
  {
    // Ids begin at 1 here, too; names, sandboxes and times are others, and its sums are the smallest.
    const auto journal = must_open(small);
    const auto box = journal->attach(
        {.name = "box-9", .session = "carl-x", .user = "carl", .code_sha256 = "", .labels = {}, .policy = {}},
        1);
    REQUIRE(box.has_value());
    std::deque<Asked> rows;
    for (int i = 0; i < 60; ++i)
      rows.push_back(asked(journal->reserve(1), "n" + std::to_string(i % 2) + ".calm.test", *box));
    for (const Asked& row : rows) REQUIRE(write_one(*journal, row) == true);
    journal->append(Outcome{.asked = rows.back().id, .data = "192.0.2.66"});
    for (const std::size_t tipped : {0, 37})  // the story's alert is tipped by query 38
      journal->alert(AlertRow{.time_us = rows[tipped].time_us,
                              .sandbox = *box,
                              .kind = "rate",
                              .zone = "calm.test",
                              .action = "alert",
                              .evidence = "{}",
                              .asked = rows[tipped].id});
    REQUIRE(journal->grant({0, 5, "carl", "carl-x", "calm.test", 7}).has_value());
    REQUIRE(submit_and_wait(*journal, {}) == true);
  }
  {
    must_open(large).reset();
    const auto journal = must_open(large);
    REQUIRE(story::Writer(*journal).write());
  }
  const std::string paths[] = {small, large};  // the story is the one whose ids are moved
  const std::string moved = std::to_string(std::int64_t{1} << 48);
  std::size_t both_have_some = 0;
  for (const auto& [heading, sql] : cookbook()) {
    INFO(heading);
    Rows alone = answer(small, sql), story = answer(large, sql), together = answer(paths, sql);
    both_have_some += !alone.empty() && !story.empty();
    // Where the answer begins with an id.
    if (sql.starts_with("SELECT q.id") || sql.starts_with("SELECT a.id"))
      for (std::string& row : story) {
        const std::size_t bar = row.find('|');
        row = std::to_string(std::stoll(row.substr(0, bar)) + std::stoll(moved)) + row.substr(bar);
      }
    const std::size_t at = sql.find("\nLIMIT ");  // that of the whole
    const std::size_t limit = at == std::string::npos ? SIZE_MAX : std::stoul(sql.substr(at + 7));
    if (heading == "When did it start?" || heading == "Which sessions leaked most?") {
      CHECK(together == story);  // cut off, and the small file has nothing of it
      continue;
    }
    if (heading == "Which domains are asked most?") {  // calm.test is on top
      CHECK(together.size() == limit);
      CHECK(together[0] == alone[0]);
      CHECK(together[1] == story[0]);
      continue;
    }
    alone.insert(alone.end(), story.begin(), story.end());
    REQUIRE(alone.size() <= limit);
    std::sort(alone.begin(), alone.end());
    std::sort(together.begin(), together.end());
    std::string shown;
    for (const std::string& row : together) shown += row + "\n";
    CHECK_MESSAGE(together == alone, shown);
  }
  CHECK(both_have_some >= 5);
  // In order of time, whatever the order of the files: calm.test was asked for years before.
  const std::string turned[] = {large, small};
  for (const auto& [heading, sql] : cookbook()) {
    if (heading != "Which query tipped the alert?") continue;
    const Rows rows = answer(turned, sql);
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].find("calm.test") != std::string::npos);
    CHECK(rows[2].find("evil.example") != std::string::npos);
  }
}

TEST_CASE("after a kill nobody wrote since the last query on record") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    for (const std::int64_t ago : {80, 60}) {
      Asked row = asked(journal->reserve(1));
      row.time_us = std::chrono::duration_cast<std::chrono::microseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count() -
                    ago * 1'000'000;
      REQUIRE(write_one(*journal, row) == true);
    }
  }
  Sql(folder.file()).rows_now("UPDATE boot SET started_us = started_us - 100000000, ended_us = 0");
  const auto journal = must_open(folder.file());
  for (const auto& [heading, sql] : cookbook()) {
    if (heading != "When did nobody write?") continue;
    const Rows rows = answer(folder.file(), sql);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].starts_with("killed|"));
    CHECK((rows[0].ends_with("|60") || rows[0].ends_with("|61")));
  }
}

TEST_CASE("whatever an analyst starts from, an index leads to it; nothing reads all queries") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::vector<std::string> statements;
  for (const auto& question : cookbook()) statements.push_back(question.sql);
  for (const char* where :
       {"session = 's'", "user = 'u'", "sandbox = 'b'", "code_sha256 = 'c'", "name = 'n'", "id = 7",
        "registered_domain = 'd'", "name_reversed GLOB 'com.example.*'", "time_us BETWEEN 1 AND 2",
        "session IN (SELECT session FROM alerts)", "registered_domain = 'd' AND time_us > 5"})
    statements.push_back(std::string("SELECT action, count(*) FROM queries WHERE ") + where +
                         " GROUP BY action");
  statements.push_back("SELECT * FROM queries ORDER BY id DESC LIMIT 20");
  for (const std::string& statement : statements) {
    INFO(statement);
    std::string sql = statement.substr(0, statement.find(';')), plan;
    for (const std::string& step : Sql(folder.file()).rows_now("EXPLAIN QUERY PLAN " + sql))
      plan += step + "\n";
    const bool last_ones = sql.find("ORDER BY id DESC LIMIT 20") != std::string::npos;
    for (const char* table : {"SCAN x", "SCAN a\n", "SCAN a ", "SCAN o"}) {
      if (last_ones && std::string(table).starts_with("SCAN a")) continue;
      CHECK_MESSAGE(plan.find(table) == std::string::npos, plan);
    }
  }
}

TEST_CASE("what is asked about everything is answered from sums, not from the days") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::size_t wide = 0;
  for (const auto& [heading, sql] : cookbook()) {
    if (sql.find("FROM domains") == std::string::npos && sql.find("FROM sessions") == std::string::npos)
      continue;
    ++wide;
    INFO(heading);
    std::string plan;
    for (const std::string& step :
         Sql(folder.file()).rows_now("EXPLAIN QUERY PLAN " + sql.substr(0, sql.find(';'))))
      plan += step + "\n";
    CHECK_MESSAGE(plan.find("SEARCH t USING INTEGER PRIMARY KEY") != std::string::npos, plan);
    CHECK_MESSAGE(plan.find("SCAN t") == std::string::npos, plan);
    CHECK_MESSAGE(plan.find("tally") == std::string::npos, plan);
    CHECK_MESSAGE(plan.find("SEARCH t USING PRIMARY KEY") == std::string::npos, plan);  // of `tally`
  }
  CHECK(wide >= 4);
  // Grouping `usage` as a whole would read it: the check above can fail.
  std::string plan;
  for (const std::string& step : Sql(folder.file())
                                     .rows_now("EXPLAIN QUERY PLAN SELECT session, sum(queries) FROM usage"
                                               " GROUP BY session"))
    plan += step + "\n";
  CHECK(plan.find("INTEGER PRIMARY KEY (rowid=?)") != std::string::npos);
  CHECK(plan.find("SEARCH t USING INTEGER PRIMARY KEY") == std::string::npos);
}
