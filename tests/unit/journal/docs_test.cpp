// The examples in docs/SCHEMA.md run, and find something.
#include "resolver/journal/reader.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

std::vector<std::string> sql_blocks(const std::string& markdown) {
  std::vector<std::string> blocks;
  const std::string open = "```sql\n", close = "\n```";
  for (std::size_t at = markdown.find(open); at != std::string::npos; at = markdown.find(open, at)) {
    at += open.size();
    const std::size_t end = markdown.find(close, at);
    REQUIRE(end != std::string::npos);
    blocks.push_back(markdown.substr(at, end - at));
    at = end;
  }
  return blocks;
}

// An alert, a refusal, an answer, twice the same code: something for each question.
void write_story(Journal& journal) {
  for (const char* box : {"build-1", "build-2"}) {
    const Sandbox sandbox{.name = box,
                          .session = std::string("session of ") + box,
                          .user = "ann",
                          .code_sha256 = "c0de",
                          .labels = {},
                          .policy = {}};
    const auto id = journal.attach(sandbox, 1'700'000'000'000'000);
    REQUIRE(id.has_value());
    Asked good = asked(journal.reserve(1), "files.example.net", *id),
          bad = asked(journal.reserve(1), "aGk.evil.example", *id);
    bad.action = Action::block_name;
    bad.reason = Reason::tunnel;
    bad.charge_millibits = 64000;
    REQUIRE(submit_and_wait(journal, {&good, &bad}) == true);
    journal.append(
        Outcome{.asked = good.id,
                .rule = journal.intern_rule("would block: policy.yaml:3:5 observe www.example.net"),
                .data = "192.0.2.65 192.0.2.66"});
    journal.alert(AlertRow{.time_us = bad.time_us + 10,
                           .sandbox = *id,
                           .kind = "tunnel",
                           .zone = "evil.example",
                           .action = "block-zone",
                           .evidence = "{}",
                           .asked = bad.id});
  }
  REQUIRE(submit_and_wait(journal, {}) == true);
}

}  // namespace

TEST_CASE("every example in docs/SCHEMA.md runs and finds something") {
  const Folder folder;
  Journal::Options options = at(folder.file());
  options.hooks = {"exec /hook"};
  const auto journal = must_open(options);
  write_story(*journal);
  const auto blocks = sql_blocks(contents(std::string(POSTERN_SOURCE_DIR) + "/docs/SCHEMA.md"));
  CHECK(blocks.size() >= 5);
  for (const std::string& sql : blocks) {
    INFO(sql);
    const auto table = run_sql(folder.file(), sql, 1000);
    REQUIRE_MESSAGE(table.has_value(), table.error().message);
    CHECK(!table->rows.empty());
  }
}

TEST_CASE("docs/SCHEMA.md names every column of every view") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const std::string page = contents(std::string(POSTERN_SOURCE_DIR) + "/docs/SCHEMA.md");
  Sql sql(folder.file());
  for (const auto& view : sql.rows("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")) {
    std::string columns;
    for (const auto& column : sql.rows("SELECT name FROM pragma_table_info('" + view + "') ORDER BY cid"))
      columns += (columns.empty() ? "" : ", ") + (column == "from" ? "\"from\"" : column);
    INFO(view);
    CHECK(run_sql(folder.file(), "SELECT " + columns + " FROM " + view, 1).has_value());
    CHECK(page.find("| `" + view + "` |") != std::string::npos);
    CHECK(page.find("| `" + columns + "` |") != std::string::npos);
  }
}

TEST_CASE("declared foreign keys hold for everything that the writer wrote") {
  const Folder folder;
  Journal::Options options = at(folder.file());
  options.hooks = {"exec /hook"};
  const auto journal = must_open(options);
  write_story(*journal);
  CHECK(Sql(folder.file()).rows("PRAGMA foreign_key_check").empty());
}
