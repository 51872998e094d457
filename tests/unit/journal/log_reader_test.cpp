// The journal as a stream: pages, filters, and what is late.
#include "resolver/journal/log_reader.h"

#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr std::int64_t epoch_us = 1'700'000'000'000'000;  // of test::asked

std::unique_ptr<LogReader> must_read(const std::string& path, const LogFilter& filter = {},
                                     bool follow = false) {
  auto reader = LogReader::open(path, filter, follow);
  if (!reader) FAIL(reader.error().message);
  return std::move(*reader);
}

// Everything there is by now: ids of queries, and `!ID` for alerts.
std::string all(LogReader& reader, std::int64_t now_us = epoch_us + 1'000'000'000) {
  std::string out;
  for (;;) {
    const auto page = reader.next(now_us);
    if (!page) FAIL(page.error().message);
    for (const LoggedQuery& query : page->queries) out += std::to_string(query.id) + " ";
    for (const LoggedAlert& alert : page->alerts) out += "!" + std::to_string(alert.id) + " ";
    if (page->end) return out;
  }
}

Sandbox sandbox(const std::string& name, const std::string& session, const std::string& user) {
  Sandbox who;
  who.name = name;
  who.session = session;
  who.user = user;
  return who;
}

// Queries 1 to `count`.
void write_queries(Journal& journal, int count) {
  std::deque<Asked> rows;
  std::vector<const Asked*> pointers;
  for (int i = 1; i <= count; ++i) {
    rows.push_back(asked(i));
    pointers.push_back(&rows.back());
  }
  REQUIRE(submit_and_wait(journal, pointers) == true);
}

// Zeroes a page in the middle of the table of queries; what is in the log goes into the file first.
void zero_a_leaf(const std::string& path) {
  Sql sql(path);
  sql.rows_now("PRAGMA wal_checkpoint(TRUNCATE)");
  const auto leaves =
      sql.rows_now("SELECT pgoffset FROM dbstat WHERE name = 'asked' AND pagetype = 'leaf' ORDER BY path");
  REQUIRE(leaves.size() >= 5);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(std::stoll(leaves[leaves.size() / 2]));
  file << std::string(4096, '\0');
}

}  // namespace

TEST_CASE("a stream gives each row once, in order, in pages of bounded size") {
  Folder folder;
  auto journal = must_open(folder.file());
  write_queries(*journal, 2500);
  auto reader = must_read(folder.file());
  std::int64_t expected = 1;
  std::size_t pages = 0;
  for (bool end = false; !end;) {
    const auto page = reader->next(0);
    REQUIRE(page.has_value());
    CHECK(page->queries.size() <= LogReader::page_rows);
    for (const LoggedQuery& query : page->queries) CHECK(query.id == expected++);
    end = page->end;
    ++pages;
  }
  CHECK(expected == 2501);
  CHECK(pages >= 3);
}

TEST_CASE("filters hold for queries and alerts, and their neighbours stay out") {
  Folder folder;
  auto journal = must_open(folder.file());
  const auto one = journal->attach(sandbox("one", "s1", "ada"), 1);
  const auto two = journal->attach(sandbox("two", "s2", "bob"), 2);
  REQUIRE(one.has_value());
  REQUIRE(two.has_value());
  const std::pair<const char*, SandboxId> names[] = {{"www.example.com", *one}, {"example.com", *one},
                                                     {"wwwexample.com", *one},  {"a_b.example.com", *two},
                                                     {"axb.example.com", *two}, {"example.com.test", *two}};
  RowId id = 0;
  for (const auto& [text, who] : names) {
    Asked row = asked(++id, text, who);
    if (id == 2) row.action = Action::block_name;
    REQUIRE(write_one(*journal, row) == true);
  }
  AlertRow alert;
  alert.time_us = epoch_us + 3;
  alert.sandbox = *two;
  alert.kind = "tunnel";
  alert.zone = "example.com";
  alert.action = "block-zone";
  alert.evidence = "{}";
  alert.asked = 4;
  journal->alert(alert);
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 1; }));

  const auto with = [&](auto set) {
    LogFilter filter;
    set(filter);
    return all(*must_read(folder.file(), filter));
  };
  CHECK(with([](LogFilter&) {}) == "1 2 3 4 5 6 !1 ");
  CHECK(with([](LogFilter& f) { f.domain = "example.com"; }) == "1 2 4 5 !1 ");
  CHECK(with([](LogFilter& f) { f.domain = "a_b.example.com"; }) == "4 !1 ");
  CHECK(with([](LogFilter& f) { f.session = "s1"; }) == "1 2 3 ");
  CHECK(with([](LogFilter& f) { f.sandbox = "two"; }) == "4 5 6 !1 ");
  CHECK(with([](LogFilter& f) { f.user = "carol"; }).empty());
  CHECK(with([](LogFilter& f) { f.blocked = true; }) == "2 !1 ");
  CHECK(with([](LogFilter& f) { f.since_us = epoch_us + 3; }) == "3 4 5 6 !1 ");
  CHECK(with([](LogFilter& f) { f.since_us = epoch_us + 4; }) == "4 5 6 ");
  CHECK(with([](LogFilter& f) { f.until_us = epoch_us + 3; }) == "1 2 ");
  CHECK(with([](LogFilter& f) { f.since_us = epoch_us + 100; }).empty());

  auto followed = must_read(folder.file(), {}, true);
  CHECK(all(*followed) == "1 2 3 4 5 6 !1 ");
  CHECK(all(*followed).empty());
}

TEST_CASE("a row that is followed comes once its outcome is known, or when that has taken too long") {
  Folder folder;
  auto journal = must_open(folder.file());
  LogFilter filter;
  filter.since_us = epoch_us;
  auto reader = must_read(folder.file(), filter, true);
  const std::int64_t now = epoch_us + 10;
  CHECK(all(*reader, now).empty());
  REQUIRE(write_one(*journal, asked(1)) == true);
  CHECK(all(*reader, now).empty());
  Asked blocked = asked(2);
  blocked.action = Action::block_name;
  blocked.rcode = 3;
  REQUIRE(write_one(*journal, blocked) == true);
  CHECK(all(*reader, now) == "2 ");
  Outcome outcome;
  outcome.asked = 1;
  outcome.rcode = 0;
  journal->append(outcome);
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_outcomes == 1; }));
  CHECK(all(*reader, now) == "1 ");
  REQUIRE(write_one(*journal, asked(3)) == true);
  CHECK(all(*reader, epoch_us + 3 + LogReader::settle_us - 1).empty());
  CHECK(all(*reader, epoch_us + 3 + LogReader::settle_us) == "3 ");
  CHECK(all(*reader, epoch_us + 2 * LogReader::settle_us).empty());
}

TEST_CASE("a row that is committed after a later one still comes while it is followed") {
  Folder folder;
  auto journal = must_open(folder.file());
  auto reader = must_read(folder.file(), {}, true);
  const auto answered = [](RowId id) {
    Asked row = asked(id);
    row.rcode = 0;
    return row;
  };
  const std::int64_t now = epoch_us + 10;
  REQUIRE(write_one(*journal, answered(2)) == true);
  REQUIRE(write_one(*journal, answered(6)) == true);
  CHECK(all(*reader, now) == "2 6 ");
  REQUIRE(write_one(*journal, answered(4)) == true);
  CHECK(all(*reader, now) == "4 ");
  REQUIRE(write_one(*journal, answered(5)) == true);
  REQUIRE(write_one(*journal, answered(3)) == true);
  CHECK(all(*reader, now) == "3 5 ");
  CHECK(all(*reader, now).empty());
}

TEST_CASE("a stream of a file that is no journal is refused with its path") {
  Folder folder;
  CHECK(LogReader::open(folder.file(), {}, false).error().message.find(folder.file()) != std::string::npos);
  std::ofstream(folder.file()) << "not a database at all, but long enough to be looked at";
  CHECK(LogReader::open(folder.file(), {}, false).error().message.find(folder.file()) != std::string::npos);
}

TEST_CASE("alerts whose times and ids are crossed all come, each once, also where a page ends between them") {
  Folder folder;
  auto journal = must_open(folder.file());
  write_queries(*journal, 2500);
  const auto raise = [&](std::int64_t after_us) {
    AlertRow alert;
    alert.time_us = epoch_us + after_us;
    alert.kind = "tunnel";
    alert.action = "alert";
    alert.evidence = "{}";
    journal->alert(alert);
  };
  for (const int after : {1400, 10, 2600, 2400, 1001, 1000}) raise(after);
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 6; }));
  for (const bool follow : {false, true}) {
    auto reader = must_read(folder.file(), {}, follow);
    std::string pages;
    for (bool end = false; !end;) {
      const auto page = reader->next(epoch_us + 1'000'000'000);
      REQUIRE(page.has_value());
      for (const LoggedAlert& alert : page->alerts) pages += std::to_string(alert.time_us - epoch_us) + " ";
      pages += "/ ";
      end = page->end;
    }
    const char* const expected =
        follow ? "10 1000 / 1001 1400 / 2400 / 2600 / " : "10 1000 / 1001 1400 / 2400 2600 / ";
    CHECK(pages == expected);
    if (!follow) continue;
    raise(20);  // what is written late comes late
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 7; }));
    CHECK(all(*reader) == "!7 ");
  }
}

TEST_CASE("more alerts than a page takes all come, those far ahead of the queries too") {
  Folder folder;
  auto journal = must_open(folder.file());
  write_queries(*journal, 2 * LogReader::page_rows);
  constexpr int many = 2 * LogReader::page_rows;  // the reader's room ahead, twice
  AlertRow alert;
  alert.kind = "tunnel";
  alert.action = "alert";
  alert.evidence = "{}";
  for (int i = 0; i < many; ++i) {
    alert.time_us = epoch_us + 10'000 - i;
    journal->alert(alert);
  }
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == many; }));
  auto reader = must_read(folder.file());
  std::set<std::int64_t> ids;
  std::size_t given = 0;
  for (bool end = false; !end;) {
    const auto page = reader->next(0);
    REQUIRE(page.has_value());
    CHECK(page->alerts.size() <= LogReader::page_rows);
    for (const LoggedAlert& one : page->alerts) ids.insert(one.id);
    given += page->alerts.size();
    end = page->end;
  }
  CHECK(ids.size() == many);
  CHECK(given == many);
}

TEST_CASE("of alerts, what was refused is those that acted or whose query was refused") {
  Folder folder;
  auto journal = must_open(folder.file());
  for (RowId id = 1; id <= 2; ++id) {
    Asked row = asked(id);
    if (id == 2) row.action = Action::block_name;
    REQUIRE(write_one(*journal, row) == true);
  }
  const std::pair<const char*, RowId> told[] = {{"alert", 1}, {"alert", 2}, {"block-zone", 1}, {"alert", 0}};
  for (const auto& [action, id] : told) {
    AlertRow alert;
    alert.time_us = epoch_us + 3;
    alert.kind = "tunnel";
    alert.action = action;
    alert.evidence = "{}";
    alert.asked = id;
    journal->alert(alert);
  }
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 4; }));
  LogFilter blocked;
  blocked.blocked = true;
  CHECK(all(*must_read(folder.file(), blocked)) == "2 !2 !3 ");
}

TEST_CASE("a record has what puts it in order after a step of the clock") {
  Folder folder;
  auto journal = must_open(folder.file());
  REQUIRE(write_one(*journal, asked(1)) == true);
  const auto page = must_read(folder.file())->next(0);
  REQUIRE((page.has_value() && page->queries.size() == 1));
  Sql sql(folder.file());
  const LoggedQuery& query = page->queries[0];
  CHECK(std::to_string(query.monotonic_us) == sql.one("SELECT monotonic_us FROM on_record"));
  CHECK(query.boot_id == sql.one("SELECT boot_id FROM on_record"));
  CHECK(query.boot_id.size() == 36);
  CHECK(query.process.empty());
}

TEST_CASE("a journal of before version 4 is refused with what brings it up to date") {
  Folder folder;
  must_open(folder.file());
  Sql sql(folder.file());
  sql.rows("DROP VIEW on_record");
  sql.rows("PRAGMA user_version = 3");
  const auto reader = LogReader::open(folder.file(), {}, false);
  REQUIRE(!reader.has_value());
  CHECK(reader.error().message.find("\"" + folder.file() + "\": it is of schema version 3 and") !=
        std::string::npos);
}

TEST_CASE("a stream of a damaged journal ends with what is wrong, and no row of it comes twice") {
  for (const bool follow : {false, true}) {
    Folder folder;
    {
      auto journal = must_open(folder.file());
      write_queries(*journal, 2500);
    }
    zero_a_leaf(folder.file());
    auto reader = must_read(folder.file(), {}, follow);
    std::set<std::int64_t> ids;
    std::size_t given = 0;
    std::string error;
    for (int pages = 0; error.empty() && pages < 100; ++pages) {
      const auto page = reader->next(epoch_us + 1'000'000'000);
      if (!page) error = page.error().message;
      for (const LoggedQuery& query : page ? page->queries : std::vector<LoggedQuery>()) {
        ids.insert(query.id);
        ++given;
      }
    }
    CHECK(error == "cannot read journal \"" + folder.file() +
                       "\": database disk image is malformed (SQLite error 11)");
    CHECK(given == ids.size());
  }
}

TEST_CASE(
    "what is written while a journal is followed comes whatever its time, of the past what was asked for") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const auto write = [&](RowId id, std::int64_t time_us) {
    Asked row = asked(id);
    row.time_us = time_us;
    row.rcode = 0;
    REQUIRE(write_one(*journal, row) == true);
    AlertRow alert{.time_us = time_us, .kind = "tunnel", .zone = {}, .action = "alert", .evidence = "{}"};
    journal->alert(alert);
    REQUIRE(
        eventually(*journal, [&](const auto& stats) { return std::cmp_equal(stats.committed_alerts, id); }));
  };
  constexpr std::int64_t hour_us = 3'600'000'000;
  const std::int64_t now = epoch_us;
  write(1, now - hour_us);
  write(2, now - 60'000'000);
  LogFilter since;
  since.since_us = now - 120'000'000;
  LogFilter from_now;
  from_now.since_us = now;
  from_now.past = LogFilter::Past::left_out;
  auto new_ones = must_read(folder.file(), from_now, true), some = must_read(folder.file(), since, true);
  CHECK(all(*new_ones, now).empty());
  write(3, now - 2 * hour_us);  // the clock was set back
  CHECK(all(*new_ones, now - 2 * hour_us) == "3 !3 ");
  CHECK(all(*some, now - 2 * hour_us) == "2 3 !3 !2 ");
  write(4, now + hour_us);
  write(5, now);
  for (LogReader* reader : {new_ones.get(), some.get()}) CHECK(all(*reader, now) == "4 5 !5 !4 ");
  CHECK(all(*must_read(folder.file(), since)) == "2 4 5 !2 !5 !4 ");  // not followed: by time alone
}

TEST_CASE("a row without an outcome is not waited for longer after the clock was set back") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  auto reader = must_read(folder.file(), {}, true);
  const std::int64_t back_us = epoch_us - 3'600'000'000;
  CHECK(all(*reader, epoch_us).empty());
  REQUIRE(write_one(*journal, asked(1)) == true);
  CHECK(all(*reader, epoch_us + 1).empty());
  CHECK(all(*reader, back_us).empty());
  CHECK(all(*reader, back_us + LogReader::settle_us - 1).empty());
  CHECK(all(*reader, back_us + LogReader::settle_us) == "1 ");
}

TEST_CASE(
    "a newly observed domain is told as one, whether its name had a number or its row is listed by then") {
  constexpr std::int64_t day_us = 86'400'000'000;
  const Folder folder;
  auto journal = must_open(folder.file());
  auto follower = must_read(folder.file(), {}, true);
  const auto told = [](LogReader& reader) {
    std::string out;
    const auto page = reader.next(epoch_us + 4 * day_us);
    REQUIRE_MESSAGE(page.has_value(), page.error().message);
    for (const LoggedQuery& query : page->queries)
      out += !query.newly_observed_domain ? "?" : *query.newly_observed_domain ? "1" : "0";
    return out;
  };
  const auto write = [&](RowId id, const char* text, std::int64_t time_us) {
    Asked row = asked(id, text);
    row.time_us = time_us;
    if (row.name.labels() == 1) row.registered_labels = 0;
    REQUIRE(write_one(*journal, row) == true);
  };
  write(1, "www.example.com", epoch_us);
  CHECK(told(*follower) == "1");
  CHECK(told(*must_read(folder.file())) == "1");
  Sql(folder.file()).wait_until_listed();
  write(2, "ftp.example.com", epoch_us + day_us);
  write(3, "old.example.com", epoch_us + day_us + 1);
  write(4, "single", epoch_us + day_us + 1);  // no domain, so no new one
  CHECK(told(*follower) == "100");
  CHECK(told(*must_read(folder.file())) == "1100");
  journal.reset();
  Sql sql(folder.file());
  for (const char* lost :
       {"DELETE FROM listed", "DELETE FROM name WHERE id > 0", "DELETE FROM domain WHERE id > 0",
        "UPDATE meta SET value = '0' WHERE key = 'listed_upto'"})
    sql.rows_now(lost);
  CHECK(told(*must_read(folder.file())) == "???0");  // days lie between those that nobody has listed
  sql.rows_now("UPDATE asked SET time_us = time_us - 1 WHERE id > 2");
  CHECK(told(*must_read(folder.file())) == "1110");
}

TEST_CASE(
    "a dot that a label holds is no border of a domain's, in what is read at once and what is followed") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  LogFilter filter;
  filter.domain = "evil.com";
  filter.since_us = epoch_us;
  auto follower = must_read(folder.file(), filter, true);
  CHECK(all(*follower).empty());  // what comes now is read as it comes
  RowId id = 0;
  for (const char* text : {"evil.com", "a\\.evil.com", "a\\\\.evil.com", "a\\\\\\.evil.com", "b.a\\.evil.com",
                           "a\\.b.evil.com"}) {
    Asked row = asked(++id, text);
    row.rcode = 0;
    REQUIRE(write_one(*journal, row) == true);
    AlertRow alert{
        .time_us = epoch_us + id, .kind = "tunnel", .zone = {}, .action = "alert", .evidence = "{}"};
    if (id % 2 == 0)
      alert.zone = text;
    else
      alert.asked = id;  // by its query's name
    journal->alert(alert);
  }
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 6; }));
  const auto once = must_read(folder.file(), filter);
  for (LogReader* reader : {once.get(), follower.get()}) CHECK(all(*reader) == "1 3 6 !1 !3 !6 ");
}

TEST_CASE(
    "an alert has of its query what became of it and whose domain it is, nothing where that is not told") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  for (RowId id = 1; id <= 2; ++id) {
    Asked row = asked(id);
    if (id == 2) row.action = Action::block_name;
    REQUIRE(write_one(*journal, row) == true);
  }
  for (const RowId id : {1, 2, 0, 9}) {  // 9: its query is gone
    AlertRow alert{
        .time_us = epoch_us + 3, .kind = "tunnel", .zone = ".", .action = "alert", .evidence = "{}"};
    alert.asked = id;
    journal->alert(alert);
  }
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 4; }));
  const auto page = must_read(folder.file())->next(0);
  REQUIRE((page.has_value() && page->alerts.size() == 4));
  std::string told;
  for (const LoggedAlert& alert : page->alerts)
    told += alert.query_action + ":" + alert.query_registered_domain + " ";
  CHECK(told == "allowed:example.com blocked:example.com : : ");
}

TEST_CASE("each record says which journal it is of, nothing where the file was never sealed") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    REQUIRE(write_one(*journal, asked(1)) == true);
    AlertRow alert{
        .time_us = epoch_us + 1, .kind = "tunnel", .zone = {}, .action = "alert", .evidence = "{}"};
    journal->alert(alert);
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 1; }));
  }
  Sql sql(folder.file());
  const std::string id = sql.one("SELECT value FROM meta WHERE key = 'journal_id'");
  REQUIRE(id.size() == 32);
  for (const std::string& expected : {id.substr(0, 12), std::string()}) {
    const auto page = must_read(folder.file())->next(0);
    REQUIRE((page.has_value() && page->queries.size() == 1 && page->alerts.size() == 1));
    CHECK(page->queries[0].journal == expected);
    CHECK(page->alerts[0].journal == expected);
    sql.rows_now("DELETE FROM meta WHERE key = 'journal_id'");
  }
}
