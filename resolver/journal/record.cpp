// One transaction of records: rows in memory as tables, and the statements that copy them into the file.
#include "resolver/journal/record.h"

#include <cmath>

#include "resolver/journal/name_text.h"
#include "resolver/journal/outage.h"
#include "resolver/journal/row_source.h"
#include "resolver/journal/seal_writer.h"

namespace postern {
namespace {

class AskedSource final : public RowSource {
 public:
  std::span<const AskedBatch> batches;
  NameBook* names = nullptr;
  std::int64_t boot_offset_us = 0;     // wall clock less monotonic clock at the boot's row
  std::vector<NameBook::Known> known;  // of each row, in order

  // All names of the batches in two passes: the book is asked when its lines have come from memory.
  void look_up_names() {
    texts_.clear();
    spelled_.clear();
    known.clear();
    NameText text;
    for (const AskedBatch& batch : batches)
      for (const Asked* row : batch.rows) {
        text.set(row->name, row->registered_labels);
        const std::size_t hash = NameBook::hash(text.text());
        names->fetch(hash);
        spelled_.push_back({texts_.size(), text.text().size(), text.registered_at(), hash});
        texts_ += text.text();
      }
    for (std::size_t i = 0; i < spelled_.size(); ++i)
      known.push_back(names->find(text_of(i), spelled_[i].hash));
  }
  // In presentation form.
  std::string_view text_of(std::size_t i) const {
    return std::string_view(texts_).substr(spelled_[i].begin, spelled_[i].size);
  }

  void rewind() override {
    batch_ = row_ = at_ = 0;
    settle();
  }
  bool at_end() const override { return batch_ == batches.size(); }
  void next() override {
    ++row_;
    ++at_;
    settle();
  }
  const char* declaration() const override {
    return "CREATE TABLE pending_asked (id, time_us, monotonic_us, sandbox, name, registered_at, type, "
           "action, reason,"
           " rule, rcode, ede, flags, score_milli, charge_millibits, name_id)";
  }
  void column(sqlite3_context* out, int index) const override {
    const Asked& row = *batches[batch_].rows[row_];
    switch (index) {
      case 0:
        return sqlite3_result_int64(out, row.id);
      case 1:
        return sqlite3_result_int64(out, row.time_us);
      case 2:
        return sqlite3_result_int64(out, row.monotonic_us - (row.time_us - boot_offset_us));
      case 3:
        return sqlite3_result_int64(out, row.sandbox);
      case 4:
        if (known[at_].id != 0) return sqlite3_result_text(out, "", 0, SQLITE_STATIC);
        return sqlite3_result_text(out, text_of(at_).data(), static_cast<int>(text_of(at_).size()),
                                   SQLITE_STATIC);
      case 5:
        return sqlite3_result_int64(out, known[at_].id != 0 ? 0 : spelled_[at_].registered_at);
      case 6:
        return sqlite3_result_int64(out, row.type);
      case 7:
        return sqlite3_result_int64(out, static_cast<int>(row.action));
      case 8:
        return sqlite3_result_int64(out, static_cast<int>(row.reason));
      case 9:
        return sqlite3_result_int64(out, row.rule);
      case 10:
        return sqlite3_result_int64(out, row.rcode);
      case 11:
        return sqlite3_result_int64(out, row.ede);
      case 12:
        return sqlite3_result_int64(out, flags_of(row) | 8);
      case 13:
        return sqlite3_result_int64(out, thousandths(row.score));
      case 14:
        return sqlite3_result_int64(out, row.charge_millibits);
      default:
        return sqlite3_result_int64(out, known[at_].id);
    }
  }

 private:
  struct Spelled {
    std::size_t begin = 0, size = 0;  // in texts_
    std::int64_t registered_at = 0;
    std::size_t hash = 0;
  };
  void settle() {  // onto a row that exists, or the end
    while (batch_ < batches.size() && row_ == batches[batch_].rows.size()) {
      ++batch_;
      row_ = 0;
    }
  }

  std::size_t batch_ = 0, row_ = 0, at_ = 0;  // at_: in all batches
  std::string texts_;
  std::vector<Spelled> spelled_;
};

class OutcomeSource final : public RowSource {
 public:
  std::span<const Outcome> outcomes;

  void rewind() override { row_ = 0; }
  bool at_end() const override { return row_ == outcomes.size(); }
  void next() override { ++row_; }
  const char* declaration() const override {
    return "CREATE TABLE pending_outcome (asked, time_us, action, reason, rule, rcode, ede, upstream_us, "
           "answers, data, octets)";
  }
  void column(sqlite3_context* out, int index) const override {
    const Outcome& row = outcomes[row_];
    switch (index) {
      case 0:
        return sqlite3_result_int64(out, row.asked);
      case 1:
        return sqlite3_result_int64(out, row.time_us);
      case 2:
        return sqlite3_result_int64(out, static_cast<int>(row.action));
      case 3:
        return sqlite3_result_int64(out, static_cast<int>(row.reason));
      case 4:
        return sqlite3_result_int64(out, row.rule);
      case 5:
        return sqlite3_result_int64(out, row.rcode);
      case 6:
        return sqlite3_result_int64(out, row.ede);
      case 7:
        return sqlite3_result_int64(out, row.upstream_us);
      case 8:
        return sqlite3_result_int64(out, row.answers);
      case 9:
        return sqlite3_result_text(out, row.data.data(), static_cast<int>(row.data.size()), SQLITE_STATIC);
      default:
        return sqlite3_result_int64(out, row.octets);
    }
  }

 private:
  std::size_t row_ = 0;
};

// OR ROLLBACK: the whole transaction goes anyway, and SQLite then keeps no journal per statement.
constexpr std::string_view insert_asked =
    "INSERT OR ROLLBACK INTO asked (id, time_us, monotonic_us, sandbox, name, registered_at, type, action, "
    "reason, rule,"
    " rcode, ede, flags, score_milli, charge_millibits, name_id)"
    " SELECT id, time_us, monotonic_us, sandbox, name, registered_at, type, action, reason, rule,"
    " rcode, ede, flags, score_milli, charge_millibits, name_id FROM pending_asked";
constexpr std::string_view insert_outcome =
    "INSERT OR IGNORE INTO outcome (asked, time_us, action, reason, rule, rcode, ede, upstream_us, answers, "
    "data, octets)"
    " SELECT asked, time_us, action, reason, rule, rcode, ede, upstream_us, answers, data, octets FROM "
    "pending_outcome";
constexpr std::string_view insert_alert =
    "INSERT INTO alert (time_us, sandbox, kind, zone, score, action, evidence, asked, uid, severity, attack,"
    " first_us, last_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
constexpr std::string_view insert_rule = "INSERT INTO rule (id, text) VALUES (?1, ?2)";
constexpr std::string_view insert_sandbox =
    "INSERT INTO sandbox (boot, name, session, user, code_sha256, labels, policy, record_protected, "
    "attached_us,"
    " detached_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)";
constexpr std::string_view end_sandbox =
    "UPDATE sandbox SET detached_us = ?2 WHERE id = ?1 AND detached_us = 0";
constexpr std::string_view write_snapshot =
    "INSERT INTO leak_snapshot (user, session, upto, grants_upto, time_us, octets)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    " ON CONFLICT (user, session) DO UPDATE SET upto = excluded.upto, grants_upto = excluded.grants_upto,"
    " time_us = excluded.time_us, octets = excluded.octets";
constexpr std::string_view insert_grant =
    "INSERT INTO leak_grant (time_us, user, session, zone, octets) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr std::string_view write_probe =
    "INSERT INTO meta (key, value) VALUES ('probe', ?1) ON CONFLICT (key) DO UPDATE SET value = "
    "excluded.value";

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (octet < 0x20) {
      out += "\\u00";
      out += hex[octet >> 4];
      out += hex[octet & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string labels_json(const std::map<std::string, std::string>& labels) {
  std::string out = "{";
  for (const auto& [key, value] : labels) {
    if (out.size() > 1) out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
  }
  return out += '}';
}

// What one statement has inserted: OR IGNORE leaves out a second outcome, which must not be sealed either.
class Inserted {
 public:
  explicit Inserted(sqlite3* raw) : raw_(raw) {
    sqlite3_update_hook(
        raw_,
        [](void* ids, int, const char*, const char*, sqlite3_int64 id) {
          static_cast<std::vector<std::int64_t>*>(ids)->push_back(id);
        },
        &ids_);
  }
  Inserted(const Inserted&) = delete;
  Inserted& operator=(const Inserted&) = delete;
  ~Inserted() { sqlite3_update_hook(raw_, nullptr, nullptr); }
  // Asked in the order of insertion, for each row that was offered.
  bool next_is(std::int64_t id) {
    if (at_ == ids_.size() || ids_[at_] != id) return false;
    ++at_;
    return true;
  }

 private:
  sqlite3* raw_;
  std::vector<std::int64_t> ids_;
  std::size_t at_ = 0;
};

}  // namespace

std::int64_t thousandths(float value) {
  constexpr float largest = 1e9F;  // far beyond any charge, and exact
  if (!(value > 0)) return 0;      // also not-a-number
  return std::llround(static_cast<double>(value < largest ? value : largest) * 1000.0);
}

struct RecordWriter::State {
  explicit State(Connection& c) : connection(c) {}
  Connection& connection;
  SealWriter* seal = nullptr;
  AskedSource asked_source;
  OutcomeSource outcome_source;
  Statement begin, commit, rollback, asked, outcome, alert, rule, sandbox, end, snapshot, grant, probe;
  std::unique_ptr<OutboxWriter> outbox;
};

RecordWriter::RecordWriter() = default;
RecordWriter::~RecordWriter() = default;

Result<std::unique_ptr<RecordWriter>> RecordWriter::create(Connection& connection, OutboxLimits outbox,
                                                           NameBook& names, std::int64_t boot_offset_us,
                                                           SealWriter* seal) {
  std::unique_ptr<RecordWriter> writer(new RecordWriter);
  writer->state_ = std::make_unique<State>(connection);
  State& state = *writer->state_;
  state.asked_source.names = &names;
  state.asked_source.boot_offset_us = boot_offset_us;
  state.seal = seal;
  for (const auto& [name, source] : {std::pair<const char*, RowSource*>{"pending_asked", &state.asked_source},
                                     {"pending_outcome", &state.outcome_source}})
    if (auto offered = offer_rows(connection, name, *source); !offered)
      return tl::unexpected(offered.error());
  const std::pair<Statement*, std::string_view> statements[] = {
      {&state.begin, "BEGIN IMMEDIATE"}, {&state.commit, "COMMIT"},        {&state.rollback, "ROLLBACK"},
      {&state.asked, insert_asked},      {&state.outcome, insert_outcome}, {&state.alert, insert_alert},
      {&state.rule, insert_rule},        {&state.sandbox, insert_sandbox}, {&state.end, end_sandbox},
      {&state.snapshot, write_snapshot}, {&state.grant, insert_grant},     {&state.probe, write_probe},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = connection.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  auto prepared = OutboxWriter::create(connection, std::move(outbox));
  if (!prepared) return tl::unexpected(prepared.error());
  state.outbox = std::move(*prepared);
  return writer;
}

std::uint64_t RecordWriter::dropped_deliveries() const {
  return state_->outbox->dropped();
}

std::span<const NameBook::Known> RecordWriter::known() const {
  return state_->asked_source.known;
}

int RecordWriter::write(const Work& work) {
  if (!are_in_time(work)) return SQLITE_CONSTRAINT;
  int code = state_->begin.run();
  if (code == SQLITE_OK) code = inside(work);
  return finish(code);
}

bool RecordWriter::are_in_time(const Work& work) {
  const RowId finished = state_->seal ? state_->seal->finished() : 0;
  for (const AskedBatch& batch : work.batches)
    for (const Asked* row : batch.rows)
      if (row->id <= finished) {
        error_ = "cannot write query " + std::to_string(row->id) + ": its number was drawn more than " +
                 std::to_string(FinishedRows::after.count()) + " s ago, and it is sealed that none up to " +
                 std::to_string(finished) + " comes any more";
        return false;
      }
  return true;
}

void RecordWriter::seal_asked(const Work& work) {
  std::size_t at = 0;
  for (const AskedBatch& batch : work.batches)
    for (const Asked* row : batch.rows) state_->seal->asked(*row, state_->asked_source.text_of(at++));
}

int RecordWriter::inside(const Work& work) {
  State& state = *state_;
  state.outbox->begin();
  for (const NewRule& rule : work.rules) {
    state.rule.bind(1, rule.id);
    state.rule.bind(2, std::string_view(rule.text));
    if (const int code = state.rule.run(); code != SQLITE_OK) return code;
    if (state.seal) state.seal->rule(rule.id, rule.text);
  }
  if (!work.batches.empty()) {
    state.asked_source.batches = work.batches;
    state.asked_source.look_up_names();
    if (const int code = state.asked.run(); code != SQLITE_OK) return code;
    if (state.seal) seal_asked(work);
  }
  if (!work.outcomes.empty()) {
    state.outcome_source.outcomes = work.outcomes;
    Inserted inserted(state.connection.raw());
    if (const int code = state.outcome.run(); code != SQLITE_OK) return code;
    if (state.seal)
      for (const Outcome& outcome : work.outcomes)
        if (inserted.next_is(outcome.asked)) state.seal->outcome(outcome);
  }
  for (const AlertRow& alert : work.alerts) {
    state.alert.bind(1, alert.time_us);
    state.alert.bind(2, alert.sandbox);
    state.alert.bind(3, std::string_view(alert.kind));
    state.alert.bind(4, std::string_view(alert.zone));
    state.alert.bind(5, std::isfinite(alert.score) ? alert.score : 0.0);  // SQLite reads NaN as NULL
    state.alert.bind(6, std::string_view(alert.action));
    state.alert.bind(7, std::string_view(alert.evidence));
    state.alert.bind(8, alert.asked);
    state.alert.bind(9, std::string_view(alert.uid));
    state.alert.bind(10, std::string_view(alert.severity));
    state.alert.bind(11, std::string_view(alert.attack));
    state.alert.bind(12, alert.first_us);
    state.alert.bind(13, alert.last_us);
    if (const int code = state.alert.run(); code != SQLITE_OK) return code;
    const std::int64_t id = sqlite3_last_insert_rowid(state.connection.raw());
    if (const int code = state.outbox->add(id, alert); code != SQLITE_OK) return code;
    if (state.seal) state.seal->alert(id, alert);
  }
  if (const int code = state.outbox->settle(work.deliveries); code != SQLITE_OK) return code;
  for (const SandboxEnd& end : work.ends) {
    state.end.bind(1, end.sandbox);
    state.end.bind(2, end.time_us);
    if (const int code = state.end.run(); code != SQLITE_OK) return code;
    const bool ended = sqlite3_changes(state.connection.raw()) == 1;
    if (state.seal && ended && end.time_us != 0) state.seal->detached(end.sandbox, end.time_us);
  }
  for (const LeakSnapshot& snapshot : work.snapshots) {
    state.snapshot.bind(1, std::string_view(snapshot.user));
    state.snapshot.bind(2, std::string_view(snapshot.session));
    state.snapshot.bind(3, snapshot.upto);
    state.snapshot.bind(4, snapshot.grants_upto);
    state.snapshot.bind(5, snapshot.time_us);
    state.snapshot.bind_octets(6, snapshot.octets);
    if (const int code = state.snapshot.run(); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

int RecordWriter::close(std::int64_t boot, std::int64_t ended_us, const char* update, bool all_listed) {
  int code = state_->begin.run();
  if (code == SQLITE_OK) code = state_->connection.exec(update);
  if (code == SQLITE_OK && state_->seal) {
    state_->seal->boot_end(boot, ended_us);
    code =
        state_->seal->seal(SealWriter::When::now, all_listed ? seal_closing : seal_closing | seal_unlisted);
  }
  return finish(code);
}

int RecordWriter::finish(int code) {
  if (code == SQLITE_OK && state_->seal) code = state_->seal->seal(SealWriter::When::if_due);
  if (code == SQLITE_OK) code = state_->commit.run();
  if (state_->seal) code == SQLITE_OK ? state_->seal->committed() : state_->seal->rolled_back();
  if (code == SQLITE_OK) return SQLITE_OK;
  error_ = state_->connection.failed("cannot write").message;  // before ROLLBACK replaces it
  if (sqlite3_get_autocommit(state_->connection.raw()) == 0) state_->rollback.run();
  return code;
}

int RecordWriter::probe() {
  const std::string large(probe_octets, '.');
  for (const std::string_view value : {std::string_view(large), std::string_view()}) {
    int code = state_->begin.run();
    if (code == SQLITE_OK) {
      state_->probe.bind(1, value);
      code = state_->probe.run();
    }
    if (finish(code) != SQLITE_OK) return code != SQLITE_OK ? code : SQLITE_IOERR;
  }
  return SQLITE_OK;
}

Result<SandboxId> RecordWriter::attach(const Sandbox& sandbox, std::int64_t boot, std::int64_t time_us) {
  const std::string session = session_text(sandbox);
  const std::string labels = labels_json(sandbox.labels);
  const std::string policy = sandbox.policy.empty() ? "default" : sandbox.policy;
  int code = state_->begin.run();
  if (code == SQLITE_OK) {
    Statement& insert = state_->sandbox;
    insert.bind(1, boot);
    insert.bind(2, std::string_view(sandbox.name));
    insert.bind(3, std::string_view(session));
    insert.bind(4, std::string_view(sandbox.user));
    insert.bind(5, std::string_view(sandbox.code_sha256));
    insert.bind(6, std::string_view(labels));
    insert.bind(7, std::string_view(policy));
    insert.bind(8, std::int64_t{sandbox.record_protected});
    insert.bind(9, time_us);
    code = insert.run();
  }
  const SandboxId id = sqlite3_last_insert_rowid(state_->connection.raw());
  if (code == SQLITE_OK && state_->seal)
    state_->seal->sandbox({id, boot, sandbox.name, session, sandbox.user, sandbox.code_sha256, labels, policy,
                           sandbox.record_protected, time_us});
  if (finish(code) != SQLITE_OK) return failure("cannot attach sandbox \"" + sandbox.name + "\": " + error_);
  return id;
}

Result<std::int64_t> RecordWriter::grant(const LeakGrant& grant) {
  int code = state_->begin.run();
  if (code == SQLITE_OK) {
    Statement& insert = state_->grant;
    insert.bind(1, grant.time_us);
    insert.bind(2, std::string_view(grant.user));
    insert.bind(3, std::string_view(grant.session));
    insert.bind(4, std::string_view(grant.zone));
    insert.bind(5, static_cast<std::int64_t>(grant.octets));
    code = insert.run();
  }
  const std::int64_t id = sqlite3_last_insert_rowid(state_->connection.raw());
  if (code == SQLITE_OK && state_->seal) state_->seal->grant(id, grant);
  if (finish(code) != SQLITE_OK)
    return failure("cannot grant anything to session \"" + grant.session + "\": " + error_);
  return id;
}

int RecordWriter::gap(const Gap& gap) {
  int code = state_->begin.run();
  if (code == SQLITE_OK) code = write_gap(state_->connection, gap);
  if (code == SQLITE_OK && state_->seal)
    state_->seal->gap({sqlite3_last_insert_rowid(state_->connection.raw()), gap.from_us, gap.until_us,
                       static_cast<std::int64_t>(gap.refused), static_cast<std::int64_t>(gap.answered),
                       gap.why});
  return finish(code);
}

}  // namespace postern
