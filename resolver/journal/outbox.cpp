// The outbox: the statements that add, settle, remove and find deliveries.
#include "resolver/journal/outbox.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "rules/hex.h"

namespace postern {
namespace {

constexpr std::string_view insert_delivery =
    "INSERT INTO alert_delivery (alert, hook, body, state, attempts, created_us, next_us, ended_us, status,"
    " error) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5, ?6, -1, ?7)";
constexpr std::string_view update_delivery =
    "UPDATE alert_delivery SET state = ?2, attempts = ?3, next_us = ?4, ended_us = ?5, status = ?6,"
    " error = ?7, body = CASE WHEN ?2 = 0 THEN body ELSE '' END WHERE id = ?1 AND state = 0";
constexpr std::string_view count_pending =
    "SELECT count(*) FROM alert_delivery WHERE state = 0 AND hook = ?1";
constexpr std::string_view expire_orphans =
    "UPDATE alert_delivery SET state = 3, ended_us = ?1, body = '', error = 'its hook is not configured any "
    "more'"
    " WHERE id IN (SELECT id FROM alert_delivery INDEXED BY alert_delivery_pending WHERE state = 0"
    " AND hook NOT IN (SELECT value FROM json_each(?4)) AND created_us < ?2 - ?3 ORDER BY id LIMIT ?5)";
constexpr std::string_view forget_by_age =
    "DELETE FROM alert_delivery WHERE id IN (SELECT id FROM alert_delivery WHERE state <> 0 AND ended_us < ?1"
    " ORDER BY ended_us LIMIT ?2)";
constexpr std::string_view forget_by_number =
    "DELETE FROM alert_delivery WHERE id IN (SELECT id FROM alert_delivery WHERE state <> 0"
    " AND id <= (SELECT max(id) FROM alert_delivery) - ?1 ORDER BY id LIMIT ?2)";
constexpr std::string_view select_pending =
    "SELECT d.id, l.uid, d.body, d.attempts, d.created_us, d.next_us FROM alert_delivery AS d"
    " JOIN alert AS l ON l.id = d.alert WHERE d.state = 0 AND d.hook = ?1 ORDER BY d.next_us, d.id LIMIT ?2";

constexpr std::string_view outbox_is_full = "too many alerts waited for this hook";

// What a hook is sent: the alert's object with its id in front.
std::string with_id(const std::string& uid, const std::string& object) {
  std::string body = "{\"id\":\"" + uid + "\"";
  if (object.size() > 2)
    body += "," + object.substr(1);  // not "{}"
  else
    body += "}";
  return body;
}

}  // namespace

Result<std::unique_ptr<OutboxWriter>> OutboxWriter::create(Connection& connection, OutboxLimits limits) {
  std::unique_ptr<OutboxWriter> writer(new OutboxWriter);
  writer->limits_ = std::move(limits);
  writer->hooks_json_ = "[";
  for (const auto& [hook, shape] : writer->limits_.hooks) {
    writer->hooks_json_ += writer->hooks_json_.size() > 1 ? ",\"" : "\"";
    for (const char c : hook) {
      if (c == '"' || c == '\\') writer->hooks_json_ += '\\';
      writer->hooks_json_ += c;
    }
    writer->hooks_json_ += '"';
  }
  writer->hooks_json_ += "]";
  const std::pair<Statement*, std::string_view> statements[] = {
      {&writer->insert_, insert_delivery},   {&writer->update_, update_delivery},
      {&writer->count_, count_pending},      {&writer->expire_, expire_orphans},
      {&writer->forget_old_, forget_by_age}, {&writer->forget_many_, forget_by_number}};
  for (const auto& [statement, sql] : statements) {
    auto prepared = connection.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return writer;
}

void OutboxWriter::begin() {
  counted_ = tidied_ = false;  // what was counted may have been rolled back
  dropped_ = 0;
}

int OutboxWriter::count() {
  waiting_.assign(limits_.hooks.size(), 0);
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    count_.bind(1, std::string_view(limits_.hooks[i].name));
    const int code = count_.step();
    if (code == SQLITE_ROW) waiting_[i] = static_cast<std::size_t>(count_.integer(0));
    count_.reset();
    if (code != SQLITE_ROW) return code;
  }
  counted_ = true;
  return SQLITE_OK;
}

int OutboxWriter::add(std::int64_t alert, const AlertRow& row) {
  if (limits_.hooks.empty()) return SQLITE_OK;
  if (!counted_)
    if (const int code = count(); code != SQLITE_OK) return code;
  const std::string object = row.message.empty() ? "{}" : row.message;
  for (std::size_t i = 0; i < limits_.hooks.size(); ++i) {
    const AlertHook& hook = limits_.hooks[i];
    const bool full = waiting_[i] >= limits_.max_pending;
    const std::string body =
        full ? std::string() : with_id(row.uid, hook.shape ? hook.shape(object) : object);
    insert_.bind(1, alert);
    insert_.bind(2, std::string_view(hook.name));
    insert_.bind(3, std::string_view(body));
    insert_.bind(4, static_cast<std::int64_t>(full ? DeliveryState::dropped : DeliveryState::pending));
    insert_.bind(5, row.time_us);
    insert_.bind(6, full ? row.time_us : 0);
    insert_.bind(7, full ? outbox_is_full : std::string_view());
    if (const int code = insert_.run(); code != SQLITE_OK) return code;
    ++(full ? dropped_ : waiting_[i]);
  }
  return dropped_ > 0 ? tidy(row.time_us) : SQLITE_OK;
}

int OutboxWriter::settle(std::span<const DeliveryResult> results) {
  for (const DeliveryResult& result : results) {
    const bool over = result.state != DeliveryState::pending;
    update_.bind(1, result.id);
    update_.bind(2, static_cast<std::int64_t>(result.state));
    update_.bind(3, std::int64_t{result.attempts});
    update_.bind(4, result.next_us);
    update_.bind(5, over ? result.time_us : 0);
    update_.bind(6, std::int64_t{result.status});
    update_.bind(7, std::string_view(result.error));
    if (const int code = update_.run(); code != SQLITE_OK) return code;
  }
  return results.empty() ? SQLITE_OK : tidy(results.back().time_us);
}

// Commits wait for it: once a transaction, however many alerts it has.
int OutboxWriter::tidy(std::int64_t now_us) {
  if (std::exchange(tidied_, true)) return SQLITE_OK;
  if (now_us - orphans_looked_us_ >= orphans_looked_every_us || now_us < orphans_looked_us_) {
    expire_.bind(1, now_us);
    expire_.bind(2, now_us);
    expire_.bind(3, keep_ended_us);
    expire_.bind(4, std::string_view(hooks_json_));
    expire_.bind(5, std::int64_t{most_removed});
    if (const int code = expire_.run(); code != SQLITE_OK) return code;
    orphans_looked_us_ = now_us;
  }
  forget_old_.bind(1, now_us - keep_ended_us);
  forget_old_.bind(2, std::int64_t{most_removed});
  if (const int code = forget_old_.run(); code != SQLITE_OK) return code;
  forget_many_.bind(1, most_rows);
  forget_many_.bind(2, std::int64_t{most_removed});
  return forget_many_.run();
}

Result<std::unique_ptr<OutboxReader>> OutboxReader::open(Connection connection) {
  std::unique_ptr<OutboxReader> reader(new OutboxReader);
  if (auto done = reader->use(std::move(connection)); !done) return tl::unexpected(done.error());
  return reader;
}

Result<void> OutboxReader::use(Connection connection) {
  const std::lock_guard lock(mutex_);
  auto prepared = connection.prepare(select_pending);
  if (!prepared) return tl::unexpected(prepared.error());
  pending_ = std::move(*prepared);
  connection_ = std::move(connection);
  return {};
}

void OutboxReader::release() {
  const std::lock_guard lock(mutex_);
  pending_ = Statement();
  connection_ = Connection();
}

Result<std::vector<Delivery>> OutboxReader::pending(const std::string& hook, std::size_t most) {
  const std::lock_guard lock(mutex_);
  if (connection_.raw() == nullptr) return failure("cannot read the journal: its file is being replaced");
  std::vector<Delivery> found;
  pending_.bind(1, std::string_view(hook));
  pending_.bind(2, static_cast<std::int64_t>(most));
  int code = SQLITE_ROW;
  while ((code = pending_.step()) == SQLITE_ROW) {
    found.push_back({pending_.integer(0), pending_.text(1), pending_.text(2),
                     static_cast<std::uint32_t>(pending_.integer(3)), pending_.integer(4),
                     pending_.integer(5)});
  }
  pending_.reset();
  if (code != SQLITE_DONE)
    return tl::unexpected(connection_.failed("cannot read what hooks are to be told in"));
  return found;
}

std::string fresh_alert_uid() {
  std::uint8_t octets[16] = {};
  POSTERN_CHECK(getrandom(octets, sizeof octets, 0) == static_cast<ssize_t>(sizeof octets));  // never for 16
  return "al_" + hex_text(octets);
}

}  // namespace postern
