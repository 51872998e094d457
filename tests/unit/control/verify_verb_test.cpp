// `postern journal verify`: what a file says reaches neither a terminal nor JSON as it stands.
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "resolver/control/commands.h"
#include "resolver/journal/journal.h"

using namespace postern;

namespace {

// A journal with a trigger of that name, closed cleanly; gone with the test.
class JournalWithTrigger {
 public:
  explicit JournalWithTrigger(const std::string& name) {
    char folder[] = "/tmp/postern-verify-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    folder_ = folder;
    Journal::Options options;
    options.path = path();
    REQUIRE(Journal::open(options).has_value());
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path().c_str(), &db) == SQLITE_OK);
    const std::string sql =
        "CREATE TRIGGER \"" + name + "\" AFTER INSERT ON alert_delivery BEGIN SELECT 1; END";
    CHECK(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
  }
  ~JournalWithTrigger() { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/journal.db"; }

 private:
  std::string folder_;
};

std::string said_by_verify(const std::string& path, bool json) {
  VerifyFlags flags;
  flags.db = path;
  flags.json = json;
  std::ostringstream out;
  auto* const before = std::cout.rdbuf(out.rdbuf());
  const int status = journal_verify_verb(flags);
  std::cout.rdbuf(before);
  CHECK(status == 1);
  return out.str();
}

}  // namespace

TEST_CASE("names out of a file are escaped where verify says them") {
  const JournalWithTrigger journal("\x1b[1A\x1b[2Kunaltered\r\xc2\x9b\xff\n");
  const std::string text = said_by_verify(journal.path(), false);
  CHECK(text.find("  trigger \\x1b[1A\\x1b[2Kunaltered\\x0d\\xc2\\x9b\\xff\\x0a was added\n") !=
        std::string::npos);
  for (const std::string& all : {text, said_by_verify(journal.path(), true)})
    for (const char c : all) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
}

TEST_CASE("what verify says as JSON is JSON, whatever octets the file has") {
  const JournalWithTrigger journal("\x1b\xff\xc2");
  const auto json = nlohmann::json::parse(said_by_verify(journal.path(), true));
  CHECK(json["verdict"] == "altered");
  CHECK(json["findings"][0]["record"] == "trigger \x1b\xef\xbf\xbd\xef\xbf\xbd");
}
