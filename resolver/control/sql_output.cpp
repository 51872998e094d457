// What `postern sql` prints for programs: cells by their kind.
#include "resolver/control/sql_output.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

// SQLite's text of a number, with 15 digits of a real one.
Json json_number(const std::string& text) {
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto read = std::from_chars(text.data(), end, whole); read.ec == std::errc() && read.ptr == end)
    return whole;
  double real = 0;
  const auto read = std::from_chars(text.data(), end, real);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(real)) return nullptr;
  return real;
}

Json json_cell(CellKind kind, const std::string& text) {
  switch (kind) {
    case CellKind::null:
      return nullptr;
    case CellKind::number:
      return json_number(text);
    default:
      return text;
  }
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string out;
  for (const std::string& text : cells) {
    if (&text != &cells.front()) out += ',';
    if (text.find_first_of(",\"\r\n") == std::string::npos) {
      out += text;
      continue;
    }
    out += '"';
    for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    out += '"';
  }
  return out + "\r\n";
}

}  // namespace

std::string sql_json(const Table& table) {
  // An object has each key once: the second column of a name is "name_2", as far as none is called that.
  std::vector<std::string> keys;
  for (const std::string& column : table.columns) {
    std::string key = column;
    for (int n = 2;
         std::find(keys.begin(), keys.end(), key) != keys.end() ||
         (n > 2 && std::find(table.columns.begin(), table.columns.end(), key) != table.columns.end());
         ++n)
      key = column + "_" + std::to_string(n);
    keys.push_back(std::move(key));
  }
  Json rows = Json::array();
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    Json object = Json::object();
    for (std::size_t j = 0; j < table.columns.size(); ++j)
      object[keys[j]] = json_cell(table.kinds[i][j], table.rows[i][j]);
    rows.push_back(std::move(object));
  }
  return rows.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string sql_csv(const Table& table) {
  std::string out = csv_line(table.columns);
  for (const auto& row : table.rows) out += csv_line(row);
  return out;
}

std::string lack_note(const Lack& lack) {
  const std::string file = "\"" + lack.path + "\": ";
  const std::string count = lack.queries < 0    ? "many queries"
                            : lack.queries == 1 ? "1 query"
                                                : std::to_string(lack.queries) + " queries";
  const std::string sums = "usage, domains, sessions and resolutions lack " + count;
  // A busy writer's nobody has counted: there they are added only where they were waited for.
  const std::string elsewhere =
      std::string("; the view queries has them") +
      (lack.why == Lack::Why::still_listing && lack.queries < 0 ? " with --wait" : "");
  switch (lack.why) {
    case Lack::Why::many_are_asking:
      return file +
             "many are asking just now: queries of the last seconds may not be in this yet (--wait waits for "
             "them)";
    case Lack::Why::still_listing:
      if (lack.queries < 0 && !lack.sums_only)
        return file +
               "its Postern has not listed all of it yet: queries, older ones too, are missing from this "
               "(the "
               "view queries has them with --wait)";
      return file + sums + " that its Postern has not listed yet" + elsewhere;
    case Lack::Why::nobody_lists:
      return file + sums + ", for no Postern is there to list them" + elsewhere +
             ". A Postern that is started on the file lists them, and so does `postern journal vacuum` on a "
             "copy "
             "of it (postern journal backup)";
    default:
      return file + sums + " that are not listed yet" + elsewhere +
             ". Whether a Postern is listing them cannot be told, for its .lock cannot be opened";
  }
}

}  // namespace postern
