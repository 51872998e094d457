// The catalogue against the record, and indexes against their tables.
#include "resolver/journal/seal_catalogue.h"

#include <algorithm>

#include "resolver/journal/name_text.h"
#include "resolver/journal/seal_tables.h"

namespace postern {
namespace {

// Differences of one kind that are looked for: verify keeps no more, and the first is what people need.
constexpr int most_differences = 16;

// A name is told as text, or by the number of a row: the sealed text, spelled of both, would fit other parts
// as well, and the views show only one of them.
enum RowTrouble : std::int64_t { other_name = 0, not_listed = 1, two_names = 2 };
constexpr std::string_view unlisted_sql =
    "SELECT id, trouble FROM (SELECT a.id AS id, CASE"
    "   WHEN a.name_id < 0 OR (a.name_id > 0) = (a.name <> '')"
    "     OR (a.name_id > 0 AND NOT EXISTS (SELECT 1 FROM name AS m WHERE m.id = a.name_id)) THEN 2"
    "   WHEN x.asked IS NULL THEN 1"
    "   WHEN a.name_id > 0 THEN CASE WHEN x.name = a.name_id THEN NULL ELSE 0 END"
    "   WHEN (SELECT n.text FROM name AS n WHERE n.id = x.name) IS a.name THEN NULL ELSE 0 END AS trouble"
    "   FROM asked AS a LEFT JOIN listed AS x ON x.sandbox = a.sandbox AND x.asked = a.id)"
    " WHERE trouble IS NOT NULL ORDER BY id";
// Rows of `listed` less rows of `asked`: each of these has one at most.
constexpr std::string_view listed_surplus_sql =
    "SELECT (SELECT count(*) FROM listed) - (SELECT count(*) FROM asked)";
constexpr std::string_view no_domain_sql = "SELECT count(*) FROM domain WHERE id = 0";
constexpr std::string_view strays_sql =
    "SELECT x.asked, x.sandbox FROM listed AS x WHERE NOT EXISTS"
    " (SELECT 1 FROM asked AS a WHERE a.id = x.asked AND a.sandbox = x.sandbox) ORDER BY x.sandbox, x.asked";
constexpr std::string_view listed_upto_sql =
    "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'listed_upto'";
constexpr std::string_view names_sql =
    "SELECT n.id, n.text, n.reversed, n.domain, d.text, n.first_asked, a.name, a.registered_at"
    " FROM name AS n LEFT JOIN domain AS d ON d.id = n.domain LEFT JOIN asked AS a ON a.id = n.first_asked"
    " ORDER BY n.id";
// A row that was not listed yet has its name as text if it was the first to ask for it.
constexpr std::string_view domains_sql =
    "SELECT d.id, d.text, d.first_asked, d.first_us, a.time_us, n.domain, f.asked FROM domain AS d"
    " LEFT JOIN asked AS a ON a.id = d.first_asked"
    " LEFT JOIN listed AS x ON x.sandbox = a.sandbox AND x.asked = a.id"
    " LEFT JOIN name AS n ON n.id = coalesce(x.name, (SELECT t.id FROM name AS t WHERE t.text = a.name))"
    " LEFT JOIN (SELECT m.domain AS domain, min(y.asked) AS asked"
    "   FROM (SELECT name, min(asked) AS asked FROM listed WHERE asked > ?1 GROUP BY name) AS y"
    "   JOIN name AS m ON m.id = y.name GROUP BY m.domain) AS f ON f.domain = d.id"
    " ORDER BY d.id";
// What the lister puts in the place of a sandbox that is not there (lister_sql.h) is nobody's record: it may
// say nothing but when the query came.
constexpr std::string_view nobody_sql =
    "SELECT id FROM sandbox WHERE session = '' AND (name <> '' OR user <> '' OR code_sha256 <> ''"
    " OR labels <> '{}' OR policy <> '' OR record_protected <> 0 OR attached_us <> detached_us) ORDER BY id";
constexpr std::string_view domain_totals_sql =
    "WITH said AS (SELECT domain, queries, blocked, nxdomain, charge_millibits, sandboxes, last_us"
    "   FROM domain_total),"
    " sums AS (SELECT domain, sum(queries), sum(blocked), sum(nxdomain), sum(charge_millibits),"
    "   count(DISTINCT sandbox), max(day * 86400000000 + first_in_day_us + span_us) FROM tally GROUP BY "
    "domain)"
    " SELECT DISTINCT domain FROM (SELECT * FROM (SELECT * FROM said EXCEPT SELECT * FROM sums)"
    "   UNION ALL SELECT * FROM (SELECT * FROM sums EXCEPT SELECT * FROM said)) ORDER BY domain";
constexpr std::string_view sandbox_totals_sql =
    "WITH said AS (SELECT sandbox, queries, blocked, nxdomain, charge_millibits FROM sandbox_total),"
    " sums AS (SELECT sandbox, sum(queries), sum(blocked), sum(nxdomain), sum(charge_millibits) FROM tally"
    "   GROUP BY sandbox)"
    " SELECT DISTINCT sandbox FROM (SELECT * FROM (SELECT * FROM said EXCEPT SELECT * FROM sums)"
    "   UNION ALL SELECT * FROM (SELECT * FROM sums EXCEPT SELECT * FROM said)) ORDER BY sandbox";

bool is_null(Statement& row, int column) {
  return sqlite3_column_type(row.raw(), column) == SQLITE_NULL;
}

// Runs a statement to its end, or until `use` has had enough.
template <class Use>
Result<void> each_of(Connection& connection, Statement& rows, Use&& use) {
  int code = SQLITE_ROW;
  while ((code = rows.step()) == SQLITE_ROW)
    if (!use()) return {};
  if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read the catalogue of"));
  return {};
}

// Of a name or domain as it is spelled backwards: a dot after each label, others are escaped.
std::size_t labels_of(std::string_view reversed) {
  std::size_t labels = 0;
  for (std::size_t at = 0; at < reversed.size(); ++at) {
    if (reversed[at] == '\\')
      ++at;
    else if (reversed[at] == '.')
      ++labels;
  }
  return labels;
}

bool is_below(std::string_view text, std::string_view domain) {
  return text == domain || (text.size() > domain.size() && text.ends_with(domain) &&
                            text[text.size() - domain.size() - 1] == '.');
}

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

class Comparison {
 public:
  Comparison(Connection& connection, const CatalogueFacts& facts, const CatalogueFound& found)
      : connection_(connection), facts_(facts), found_(found) {}

  Result<void> rows() {
    auto rows = connection_.prepare(unlisted_sql);
    if (!rows) return tl::unexpected(rows.error());
    const auto mark = connection_.integer(listed_upto_sql);
    if (!mark) return tl::unexpected(mark.error());
    const std::int64_t all_upto = std::max(*mark, facts_.listed_upto);
    std::int64_t not_listed = 0;
    auto done = each_of(connection_, *rows, [&] {
      const std::int64_t id = rows->integer(0), trouble = rows->integer(1);
      not_listed += trouble == RowTrouble::not_listed ? 1 : 0;
      if (trouble == RowTrouble::two_names)
        differs("asked ", "asked", id,
                "was changed: its name must be there either as text or by the number of a row of `name`");
      else if (trouble == RowTrouble::other_name)
        differs("asked ", "listed", id, "is in the catalogue under another name: the views show that one");
      else if (id <= all_upto)
        differs("asked ", "listed", id, "is not in the catalogue: the views do not show it");
      else
        found_.unlisted(id);
      return differences_ < most_differences;
    });
    if (!done || differences_ == most_differences) return done;
    const auto surplus = connection_.integer(listed_surplus_sql);
    if (!surplus) return tl::unexpected(surplus.error());
    return *surplus + not_listed == 0 ? Result<void>{} : strays();
  }

  Result<void> names() {
    differences_ = 0;
    auto rows = connection_.prepare(names_sql);
    if (!rows) return tl::unexpected(rows.error());
    return each_of(connection_, *rows, [&] {
      const std::string why = wrong_with_name(*rows);
      if (!why.empty()) differs("name ", "name", rows->integer(0), why);
      return differences_ < most_differences;
    });
  }

  Result<void> domains() {
    differences_ = 0;
    auto rows = connection_.prepare(domains_sql);
    if (!rows) return tl::unexpected(rows.error());
    const auto no_domain = connection_.integer(no_domain_sql);
    if (!no_domain) return tl::unexpected(no_domain.error());
    if (*no_domain == 0) differs("domain ", "domain", 0, "is missing");
    rows->bind(1, facts_.unsealed_before);
    return each_of(connection_, *rows, [&] {
      const std::string why = wrong_with_domain(*rows);
      if (!why.empty()) differs("domain ", "domain", rows->integer(0), why);
      return differences_ < most_differences;
    });
  }

  Result<void> sandboxes() {
    differences_ = 0;
    auto rows = connection_.prepare(nobody_sql);
    if (!rows) return tl::unexpected(rows.error());
    return each_of(connection_, *rows, [&] {
      differs("sandbox ", "sandbox", rows->integer(0),
              "was inserted: without a session it is nobody's, and it says more");
      return differences_ < most_differences;
    });
  }

  Result<void> totals() {
    for (const auto& [what, table, sql] :
         {std::tuple{"the total of domain ", "domain_total", domain_totals_sql},
          {"the total of sandbox ", "sandbox_total", sandbox_totals_sql}}) {
      differences_ = 0;
      auto rows = connection_.prepare(sql);
      if (!rows) return tl::unexpected(rows.error());
      auto done = each_of(connection_, *rows, [&] {
        differs(what, table, rows->integer(0), "is not the sum of its days");
        return differences_ < most_differences;
      });
      if (!done) return done;
    }
    return {};
  }

 private:
  // Rows of the catalogue for no query: one that comes by that number would be hidden behind them.
  Result<void> strays() {
    auto rows = connection_.prepare(strays_sql);
    if (!rows) return tl::unexpected(rows.error());
    return each_of(connection_, *rows, [&] {
      differs("asked ", "listed", rows->integer(0),
              "is in the catalogue, and sandbox " + rows->text(1) + " has no such query");
      return differences_ < most_differences;
    });
  }

  void differs(const char* what, const char* table, std::int64_t id, const std::string& why) {
    ++differences_;
    found_.difference(what + std::to_string(id), table, id, why);
  }

  // A name's registered domain is told by the query that showed it first, which has it as text; that column
  // is not sealed, the name is. Without that query two things are certain whatever list of public suffixes
  // was in force (rules/public_suffix.cpp, `registered`): a name of two labels has a domain, of two labels at
  // least. In the names of secrets that were hidden, one label less (path/pipeline_guard.cpp).
  std::string wrong_with_name(Statement& row) const {
    if (row.integer(0) <= 0) return "has a number that no name has";
    const std::string text = row.text(1), domain = row.text(4);
    if (row.text(2) != reversed_labels(text))
      return "is " + in_quotes(text) + ", and backwards " + in_quotes(row.text(2)) +
             ": who searches by it is misled";
    if (is_null(row, 4)) return "is counted for domain \"" + row.text(3) + "\", which is not there";
    if (!domain.empty() && !is_below(text, domain))
      return "is counted for domain " + in_quotes(domain) + ", and is not below it";
    const std::string for_domain = domain.empty() ? "no domain" : "domain " + in_quotes(domain);
    const std::size_t labels = labels_of(row.text(2)), of_domain = labels_of(reversed_labels(domain));
    const std::size_t hidden = text.starts_with("[secret:") ? 1 : 0;
    if (labels >= 2 && of_domain + hidden < 2)
      return "is counted for " + for_domain + ": a name like " + in_quotes(text) + " has a longer one";
    const std::int64_t first = row.integer(5);
    if (first > 0 && first <= facts_.unsealed_before) return "";  // nobody vouches for that query
    if (is_null(row, 6))
      return facts_.may_be_gone(first)
                 ? ""
                 : "was first asked by query " + std::to_string(first) + ": there is none";
    const std::string asked = row.text(6);
    if (asked != text)
      return "was first asked by query " + std::to_string(first) + ", which asked for another name";
    const auto at = static_cast<std::size_t>(
        std::clamp<std::int64_t>(row.integer(7), 1, static_cast<std::int64_t>(asked.size()) + 1) - 1);
    if (asked.substr(at) != domain)
      return "is counted for " + for_domain + ", and the query that showed it first says " +
             (at == asked.size() ? "none" : in_quotes(std::string_view(asked).substr(at)));
    return "";
  }

  std::string wrong_with_domain(Statement& row) const {
    const std::int64_t first = row.integer(2);
    if (row.integer(0) < 0) return "has a number that no domain has";
    if (row.integer(0) == 0)
      return row.text(1).empty() && first == 0 && row.integer(3) == 0 ? "" : "stands for none, and says more";
    const std::string is =
        "is " + in_quotes(row.text(1)) + ", said to be first asked by query " + std::to_string(first);
    if (first > 0 && first <= facts_.unsealed_before) return "";  // nobody vouches for that query
    if (!is_null(row, 6) && row.integer(6) < first)
      return is + ": query " + std::to_string(row.integer(6)) + " was before it";
    if (is_null(row, 4)) return facts_.may_be_gone(first) ? "" : is + ": there is none";
    if (is_null(row, 5) || row.integer(5) != row.integer(0)) return is + ", which asked for another domain";
    if (row.integer(4) != row.integer(3)) return is + ", at another time than it was";
    return "";
  }

  Connection& connection_;
  const CatalogueFacts& facts_;
  const CatalogueFound& found_;
  int differences_ = 0;  // of this kind
};

}  // namespace

Result<void> differing_catalogue(Connection& connection, const CatalogueFacts& facts,
                                 const CatalogueFound& found) {
  Comparison comparison(connection, facts, found);
  for (const auto part : {&Comparison::rows, &Comparison::names, &Comparison::domains, &Comparison::sandboxes,
                          &Comparison::totals})
    if (auto done = (comparison.*part)(); !done) return done;
  return {};
}

Result<void> differing_indexes(Connection& connection, const CatalogueFound& found,
                               const std::function<void(const std::string& table)>& doing) {
  // Not those that the file's schema says it has: it may have been told that one is none.
  const auto tables = own_tables();
  if (!tables) return tl::unexpected(tables.error());
  for (const std::string& table : *tables) {
    if (doing) doing(table);
    auto check = connection.prepare("PRAGMA integrity_check(\"" + table + "\")");
    if (!check) return tl::unexpected(check.error());
    std::string first;
    int more = -1;
    auto done = each_of(connection, *check, [&] {
      if (check->text(0) == "ok") return true;
      if (++more == 0) first = check->text(0);
      return true;
    });
    if (!done) return done;
    if (more < 0) continue;
    std::replace(first.begin(), first.end(), '\n', ' ');
    found.difference("table " + table, table, 0,
                     "or an index of it does not hold what it must: " + first +
                         (more > 0 ? ", and " + std::to_string(more) + " more" : ""));
  }
  return {};
}

}  // namespace postern
