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

}  // namespace

TEST_CASE("a stream gives each row once, in order, in pages of bounded size") {
  Folder folder;
  auto journal = must_open(folder.file());
  std::deque<Asked> rows;
  std::vector<const Asked*> pointers;
  for (int i = 1; i <= 2500; ++i) {
    rows.push_back(asked(i));
    pointers.push_back(&rows.back());
  }
  REQUIRE(submit_and_wait(*journal, pointers) == true);
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
