// Tables for programs: what SQLite has as a number stays one, and NULL is not an empty text.
#include "resolver/control/sql_output.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "resolver/journal/journal.h"

using namespace postern;
using nlohmann::json;

namespace {

// Of an empty journal: the statement brings its own values.
Table sql_table(const std::string& sql) {
  std::string folder = (std::filesystem::temp_directory_path() / "postern-sql-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  Journal::Options options;
  options.path = folder + "/journal.db";
  const bool opened = Journal::open(options).has_value();
  auto answer = run_sql(options.path, sql, 10);
  std::filesystem::remove_all(folder);
  REQUIRE(opened);
  REQUIRE_MESSAGE(answer.has_value(), answer.error().message);
  return std::move(*answer);
}

}  // namespace

TEST_CASE("in JSON a number is a number, NULL is null, and a text of digits stays a text") {
  const Table all = sql_table(
      "SELECT 7 AS whole, -9223372036854775808 AS least, 0.25 AS real, 3.0 AS round, NULL AS none, '' AS "
      "empty,"
      " '7' AS digits, x'3132' AS octets, 9e999 AS endless, 'a\"b' AS quoted");
  const json rows = json::parse(sql_json(all));
  CHECK(rows == json::parse(R"([{"whole": 7, "least": -9223372036854775808, "real": 0.25, "round": 3.0,
      "none": null, "empty": "", "digits": "7", "octets": "12", "endless": null, "quoted": "a\"b"}])"));
  CHECK(rows[0]["whole"].is_number_integer());
  CHECK(rows[0]["round"].is_number_float());
  CHECK(json::parse(sql_json(sql_table("SELECT 1 WHERE 0"))) == json::array());
}

TEST_CASE("in JSON two columns of one name both have their value") {
  const Table twins = sql_table("SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS a, 5 AS a_2");
  CHECK(sql_json(twins) ==
        "[\n  {\n    \"a\": 1,\n    \"a_3\": 2,\n    \"b\": 3,\n    \"a_4\": 4,\n    \"a_2\": 5\n  }\n]");
}

TEST_CASE("in CSV only what needs quotes has them") {
  CHECK(sql_csv(sql_table("SELECT 7 AS whole, NULL AS \"no,thing\", 'a\"b' AS quoted, 'x' AS plain")) ==
        "whole,\"no,thing\",quoted,plain\r\n7,,\"a\"\"b\",x\r\n");
}

TEST_CASE("what an answer lacks is said with the file, the number, and what can be done") {
  using Why = Lack::Why;
  const auto note = [](Why why, std::int64_t queries, bool sums_only) {
    return lack_note({.path = "/a.db", .why = why, .queries = queries, .sums_only = sums_only});
  };
  CHECK(
      note(Why::many_are_asking, -1, true) ==
      "\"/a.db\": many are asking just now: queries of the last seconds may not be in this yet (--wait waits "
      "for them)");
  CHECK(note(Why::many_are_asking, -1, false) == note(Why::many_are_asking, -1, true));
  CHECK(note(Why::nobody_lists, 12000, true) ==
        "\"/a.db\": usage, domains, sessions and resolutions lack 12000 queries, for no Postern is there to "
        "list "
        "them; the view queries has them. A Postern that is started on the file lists them, and so does "
        "`postern "
        "journal vacuum` on a copy of it (postern journal backup)");
  CHECK(note(Why::nobody_lists, 1, true).find(" lack 1 query, for") != std::string::npos);
  CHECK(note(Why::nobody_lists, -1, true).find(" lack many queries, for") != std::string::npos);
  CHECK(note(Why::still_listing, 7, true) ==
        "\"/a.db\": usage, domains, sessions and resolutions lack 7 queries that its Postern has not listed "
        "yet; "
        "the view queries has them");
  CHECK(
      note(Why::still_listing, -1, true) ==
      "\"/a.db\": usage, domains, sessions and resolutions lack many queries that its Postern has not listed "
      "yet; the view queries has them with --wait");
  CHECK(note(Why::still_listing, -1, false) ==
        "\"/a.db\": its Postern has not listed all of it yet: queries, older ones too, are missing from this "
        "(the view queries has them with --wait)");
  CHECK(
      note(Why::not_known, 2, true) ==
      "\"/a.db\": usage, domains, sessions and resolutions lack 2 queries that are not listed yet; the view "
      "queries has them. Whether a Postern is listing them cannot be told, for its .lock cannot be opened");
}
