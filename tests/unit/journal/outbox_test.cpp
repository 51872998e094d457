// The outbox in the file: rows with their alert, results, removal, what a view says of them.
#include "resolver/journal/outbox.h"

#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr std::int64_t day = 86400LL * 1'000'000, start = 1'700'000'000'000'000;

Journal::Options with_hooks(const std::string& path,
                            std::vector<AlertHook> hooks = {"exec /a", "webhook http://b/"}) {
  Journal::Options options = at(path);
  options.hooks = std::move(hooks);
  return options;
}

AlertRow tunnel(std::int64_t time_us = start) {
  AlertRow row;
  row.time_us = time_us;
  row.kind = "tunnel";
  row.zone = "evil.example";
  row.action = "alert";
  row.evidence = "{}";
  row.severity = "high";
  row.attack = "T1071.004 T1572";
  row.message = R"({"kind":"tunnel"})";
  return row;
}

void all_written(const Journal& journal) {
  REQUIRE(eventually(journal, [](const Journal::Stats& stats) { return stats.waiting_alerts == 0; }));
}

DeliveryResult result(std::int64_t id, DeliveryState state, std::int64_t time_us = start + 5) {
  DeliveryResult one;
  one.id = id;
  one.state = state;
  one.attempts = 1;
  one.time_us = time_us;
  one.next_us = state == DeliveryState::pending ? time_us + 7 : 0;
  one.status = 3;
  one.error = "why";
  return one;
}

}  // namespace

TEST_CASE("an alert is written with a delivery for each hook, all with its id") {
  const Folder folder;
  const auto journal = must_open(with_hooks(folder.file()));
  journal->alert(tunnel());
  all_written(*journal);
  Sql sql(folder.file());
  CHECK(sql.rows("SELECT hook, state, attempts, status, error, ended FROM alert_deliveries ORDER BY id") ==
        std::vector<std::string>{"exec /a|pending|0|NULL||NULL", "webhook http://b/|pending|0|NULL||NULL"});
  CHECK(sql.one("SELECT count(DISTINCT alert_uid) FROM alert_deliveries") == "1");
  CHECK(sql.one("SELECT severity || ' ' || attack FROM alerts") == "high T1071.004 T1572");
  CHECK(sql.one("SELECT count(*) FROM alerts AS l JOIN alert_deliveries AS d ON d.alert_uid = l.uid"
                " JOIN alert_delivery AS t ON t.id = d.id"
                " WHERE length(l.uid) = 35 AND t.body ->> 'id' = l.uid AND t.body ->> 'kind' = 'tunnel'") ==
        "2");
  const auto waiting = journal->pending("exec /a", 10);
  REQUIRE(waiting->size() == 1);
  CHECK(journal->pending("exec /elsewhere", 10)->empty());
}

TEST_CASE("a hook is told what its shape leaves of an alert, its neighbour all, and the row keeps all") {
  const Folder folder;
  const auto less = [](const std::string& object) {
    return object == R"({"kind":"tunnel"})" ? R"({"less":1})" : "{}";
  };
  const auto journal = must_open(with_hooks(folder.file(), {{"exec /less", less}, "exec /all"}));
  journal->alert(tunnel());
  all_written(*journal);
  const auto some = journal->pending("exec /less", 10), all = journal->pending("exec /all", 10);
  REQUIRE((some->size() == 1 && all->size() == 1));
  const std::string id = R"({"id":")" + some->front().uid + "\",";
  CHECK(some->front().body == id + R"("less":1})");
  CHECK(all->front().body == id + R"("kind":"tunnel"})");
  CHECK(Sql(folder.file()).one("SELECT kind || zone FROM alerts") == "tunnelevil.example");
}

TEST_CASE("without hooks an alert is a row and nothing else") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  journal->alert(tunnel());
  all_written(*journal);
  CHECK(Sql(folder.file())
            .one("SELECT (SELECT count(*) FROM alerts) || ' ' || (SELECT count(*) FROM alert_deliveries)") ==
        "1 0");
}

TEST_CASE("a result is written, the body of what is over is gone, and what is over stays as it is") {
  const Folder folder;
  const auto journal = must_open(with_hooks(folder.file()));
  for (int i = 0; i < 2; ++i) journal->alert(tunnel(start + i));
  all_written(*journal);
  const auto waiting = journal->pending("exec /a", 10);
  REQUIRE(waiting->size() == 2);
  journal->settle(result(waiting->at(0).id, DeliveryState::delivered));
  journal->settle(result(waiting->at(1).id, DeliveryState::pending));
  all_written(*journal);
  journal->settle(result(waiting->at(0).id, DeliveryState::pending));  // too late
  all_written(*journal);
  Sql sql(folder.file());
  CHECK(sql.rows("SELECT d.state, d.attempts, d.status, d.error, t.body <> '', d.next_attempt IS NULL,"
                 " d.ended IS NULL FROM alert_deliveries AS d JOIN alert_delivery AS t ON t.id = d.id"
                 " WHERE d.hook = 'exec /a' ORDER BY d.id") ==
        std::vector<std::string>{"delivered|1|3|why|0|1|0", "pending|1|3|why|1|0|1"});
  const auto left = journal->pending("exec /a", 10);
  REQUIRE(left->size() == 1);
  CHECK(left->at(0).next_us == start + 12);
  CHECK(left->at(0).attempts == 1);
}

TEST_CASE("what waits comes soonest first, also after a restart, and no more than asked for") {
  const Folder folder;
  std::vector<std::int64_t> ids;
  {
    const auto journal = must_open(with_hooks(folder.file()));
    for (int i = 0; i < 3; ++i) journal->alert(tunnel(start + i));
    all_written(*journal);
    const auto first = journal->pending("exec /a", 10);
    for (const Delivery& one : *first) ids.push_back(one.id);
    REQUIRE(ids.size() == 3);
    auto later = result(ids[0], DeliveryState::pending);
    later.next_us = start + day;
    journal->settle(later);
  }
  const auto journal = must_open(with_hooks(folder.file()));
  const auto waiting = journal->pending("exec /a", 10);
  REQUIRE(waiting->size() == 3);
  CHECK(waiting->at(0).id == ids[1]);
  CHECK(waiting->at(2).id == ids[0]);
  CHECK(journal->pending("exec /a", 2)->size() == 2);
}

TEST_CASE("what is over is removed after its time, what waits is not, and alerts never are") {
  const Folder folder;
  const auto journal = must_open(with_hooks(folder.file(), {"exec /a"}));
  for (int i = 0; i < 4; ++i) journal->alert(tunnel(start + i));
  all_written(*journal);
  const auto waiting = *journal->pending("exec /a", 10);
  journal->settle(result(waiting[0].id, DeliveryState::delivered, start));
  journal->settle(result(waiting[1].id, DeliveryState::delivered, start + 1));
  all_written(*journal);
  journal->settle(result(waiting[2].id, DeliveryState::failed, start + 1 + OutboxWriter::keep_ended_us));
  all_written(*journal);
  Sql sql(folder.file());
  CHECK(sql.rows("SELECT state FROM alert_deliveries ORDER BY id") ==
        std::vector<std::string>{"delivered", "failed", "pending"});
  CHECK(sql.one("SELECT count(*) FROM alerts") == "4");
}

TEST_CASE("what waits for a hook that is not configured any more is given up after a month") {
  const Folder folder;
  {
    const auto journal = must_open(with_hooks(folder.file(), {"exec /old\"one"}));
    for (int i = 0; i < 2; ++i) journal->alert(tunnel(start + i));
    all_written(*journal);
  }
  const auto journal = must_open(with_hooks(folder.file(), {"exec /a"}));
  journal->alert(tunnel(start));
  all_written(*journal);
  const auto id = journal->pending("exec /a", 1)->at(0).id;
  journal->settle(result(id, DeliveryState::pending, start + OutboxWriter::keep_ended_us + 1));
  all_written(*journal);
  Sql sql(folder.file());
  CHECK(sql.rows("SELECT hook, state, error FROM alert_deliveries ORDER BY id") ==
        std::vector<std::string>{"exec /old\"one|given up|its hook is not configured any more",
                                 "exec /old\"one|pending|", "exec /a|pending|why"});
}

TEST_CASE("alerts that the disk has no room for wait, and no delivery is there without its alert") {
  const Folder folder;
  auto options = with_hooks(folder.file(), {"exec /a"});
  options.max_pages = 60;
  const auto journal = must_open(options);
  AlertRow row = tunnel();
  row.message = R"({"x":")" + std::string(100'000, 'x') + "\"}";
  for (int i = 0; i < 6; ++i) journal->alert(row);
  REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return !stats.writable; }));
  CHECK(journal->stats().waiting_alerts > 0);
  Sql sql(folder.file());
  CHECK(sql.one("SELECT (SELECT count(*) FROM alert) - (SELECT count(*) FROM alert_delivery)") == "0");
}
