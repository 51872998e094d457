// The past of a session: the statements that find it.
#include "resolver/journal/past.h"

#include <charconv>

namespace postern {
namespace {

constexpr std::string_view select_snapshot =
    "SELECT upto, grants_upto, time_us, octets FROM leak_snapshot WHERE user = ?1 AND session = ?2";
constexpr std::string_view select_grants =
    "SELECT id, time_us, zone, octets FROM leak_grant WHERE user = ?1 AND session = ?2 AND id > ?3 ORDER BY "
    "id";
// The last term is the partial index's own, word for word: without it SQLite would read the whole table.
constexpr std::string_view select_forwards =
    "SELECT a.id, CASE WHEN a.name = '' THEN (SELECT n.text FROM name AS n WHERE n.id = a.name_id) ELSE "
    "a.name"
    " END, a.type, a.charge_millibits, a.flags & 4, coalesce(o.octets, -1) FROM asked AS a"
    " LEFT JOIN outcome AS o ON o.asked = a.id"
    " WHERE a.sandbox IN (SELECT id FROM sandbox WHERE session = ?2 AND user = ?1) AND a.id > ?3"
    " AND (charge_millibits > 0 OR flags & 4 <> 0) ORDER BY a.id";
constexpr std::string_view select_spent =
    "SELECT coalesce(sum(a.charge_millibits), 0) FROM asked AS a"
    " WHERE a.sandbox IN (SELECT id FROM sandbox WHERE user = ?1) AND a.id > ?2"
    " AND (charge_millibits > 0 OR flags & 4 <> 0)";
constexpr std::string_view select_began =
    "SELECT coalesce(min(attached_us), 0) FROM sandbox WHERE session = ?2 AND user = ?1";
// Retention removes a charged row only when a snapshot holds its charge: without one, rows are not all.
constexpr std::string_view select_pruned =
    "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'pruned_until_us'";
constexpr std::string_view select_users =
    "SELECT DISTINCT user FROM sandbox WHERE session = ?1 ORDER BY user";

}  // namespace

Result<std::unique_ptr<PastReader>> PastReader::open(Connection connection) {
  std::unique_ptr<PastReader> reader(new PastReader);
  if (auto done = reader->use(std::move(connection)); !done) return tl::unexpected(done.error());
  return reader;
}

Result<void> PastReader::use(Connection connection) {
  const std::lock_guard lock(mutex_);
  const std::pair<Statement*, std::string_view> statements[] = {
      {&snapshot_, select_snapshot}, {&grants_, select_grants}, {&forwards_, select_forwards},
      {&spent_, select_spent},       {&users_, select_users},   {&began_, select_began},
      {&pruned_, select_pruned}};
  for (const auto& [statement, sql] : statements) {
    auto prepared = connection.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  connection_ = std::move(connection);
  return {};
}

void PastReader::release() {
  const std::lock_guard lock(mutex_);
  for (Statement* statement : {&snapshot_, &grants_, &forwards_, &spent_, &users_, &began_, &pruned_})
    *statement = Statement();
  connection_ = Connection();
}

Result<SessionPast> PastReader::past(const std::string& user, const std::string& session, bool from_rows) {
  const std::lock_guard lock(mutex_);
  if (connection_.raw() == nullptr) return failure("cannot read the journal: its file is being replaced");
  SessionPast past;
  const auto failed = [&] {
    return tl::unexpected(connection_.failed("cannot read what session \"" + session + "\" has spent in"));
  };
  // Runs a statement to its end; whatever happens, it holds no snapshot of the file afterwards.
  const auto rows = [](Statement& statement, auto&& use) {
    int code = SQLITE_ROW;
    while ((code = statement.step()) == SQLITE_ROW) use();
    statement.reset();
    return code == SQLITE_DONE;
  };
  const auto read_snapshot = [&](std::string_view of, LeakSnapshot& to) {
    snapshot_.bind(1, std::string_view(user));
    snapshot_.bind(2, of);
    return rows(snapshot_, [&] {
      to.user = user;
      to.session = of;
      to.upto = snapshot_.integer(0);
      to.grants_upto = snapshot_.integer(1);
      to.time_us = snapshot_.integer(2);
      to.octets = snapshot_.octets(3);
    });
  };
  if (!from_rows && !read_snapshot(session, past.snapshot)) return failed();

  grants_.bind(1, std::string_view(user));
  grants_.bind(2, std::string_view(session));
  grants_.bind(3, past.snapshot.grants_upto);
  if (!rows(grants_, [&] {
        past.grants.push_back({grants_.integer(0), grants_.integer(1), user, session, grants_.text(2),
                               static_cast<std::uint64_t>(grants_.integer(3))});
      }))
    return failed();

  std::string no_name;
  forwards_.bind(1, std::string_view(user));
  forwards_.bind(2, std::string_view(session));
  forwards_.bind(3, past.snapshot.upto);
  if (!rows(forwards_, [&] {
        auto name = Name::parse(forwards_.text(1));
        if (!name) return void(no_name = forwards_.text(1));
        past.forwards.push_back({forwards_.integer(0), *name, static_cast<Type>(forwards_.integer(2)),
                                 static_cast<std::uint32_t>(forwards_.integer(3)), forwards_.integer(4) != 0,
                                 forwards_.integer(5)});
      }))
    return failed();
  if (!no_name.empty())
    return failure("cannot read what session \"" + session + "\" has spent: \"" + no_name + "\" is no name");

  LeakSnapshot spent;
  if (!read_snapshot("", spent)) return failed();
  std::from_chars(spent.octets.data(), spent.octets.data() + spent.octets.size(), past.user_millibits);
  spent_.bind(1, std::string_view(user));
  spent_.bind(2, spent.upto);
  if (!rows(spent_, [&] { past.user_millibits += static_cast<std::uint64_t>(spent_.integer(0)); }))
    return failed();
  began_.bind(1, std::string_view(user));
  began_.bind(2, std::string_view(session));
  if (!rows(began_, [&] { past.began_us = began_.integer(0); })) return failed();
  std::int64_t pruned_until_us = 0;
  if (from_rows && !rows(pruned_, [&] { pruned_until_us = pruned_.integer(0); })) return failed();
  if (from_rows && past.began_us <= pruned_until_us && past.began_us > 0)
    return failure(
        "cannot read what session \"" + session +
        "\" has spent: its snapshot is of no use, and retention has removed queries since it began");
  return past;
}

Result<std::vector<std::string>> PastReader::users_of(const std::string& session) {
  const std::lock_guard lock(mutex_);
  if (connection_.raw() == nullptr) return failure("cannot read the journal: its file is being replaced");
  std::vector<std::string> users;
  users_.bind(1, std::string_view(session));
  int code = SQLITE_ROW;
  while ((code = users_.step()) == SQLITE_ROW) users.push_back(users_.text(0));
  users_.reset();
  if (code != SQLITE_DONE)
    return tl::unexpected(connection_.failed("cannot look for session \"" + session + "\" in"));
  return users;
}

}  // namespace postern
