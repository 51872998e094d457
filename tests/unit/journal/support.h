// What the journal's tests share: a folder, rows, a waiter, a second connection.
#pragma once

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "resolver/journal/journal.h"
#include "tests/support/other_process.h"

namespace postern::test {

// Rows that are there for their number alone: under ThreadSanitizer, where each costs some twenty times as
// much, a quarter of them.
template <class Number>
constexpr Number volume(Number full) {
#ifdef __SANITIZE_THREAD__
  return full / 4;
#else
  return full;
#endif
}

// A fresh folder that goes away. `in_memory`: where the machine keeps files in memory, for tests that would
// only wait for the disk.
class Folder {
 public:
  enum class Where { on_disk, in_memory };
  explicit Folder(Where where = Where::on_disk) {
    const bool memory = where == Where::in_memory && std::filesystem::is_directory("/dev/shm");
    const std::filesystem::path base = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (base / "postern-journal-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data()) ? pattern : "";
    REQUIRE(!path_.empty());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name = "journal.db") const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline Name name(const std::string& text) {
  const auto parsed = Name::parse(text);
  REQUIRE(parsed.has_value());
  return *parsed;
}

inline Asked asked(RowId id, const std::string& text = "www.example.com", SandboxId sandbox = 1) {
  Asked row;
  row.id = id;
  row.time_us = 1'700'000'000'000'000 + id;
  row.monotonic_us = 5'000'000 + id;
  row.sandbox = sandbox;
  row.name = name(text);
  row.type = type::A;
  row.registered_labels = 2;
  row.action = Action::allow;
  return row;
}

inline Journal::Options at(const std::string& path) {
  Journal::Options options;
  options.path = path;
  return options;
}

inline std::unique_ptr<Journal> must_open(const Journal::Options& options) {
  auto journal = Journal::open(options);
  if (!journal) FAIL(journal.error().message);
  return std::move(*journal);
}
inline std::unique_ptr<Journal> must_open(const std::string& path) {
  return must_open(at(path));
}

inline std::string error_of_open(const Journal::Options& options) {
  const auto journal = Journal::open(options);
  return journal ? "" : journal.error().message;
}

// Submits and waits; nothing when it was refused.
inline std::optional<bool> submit_and_wait(Journal& journal, std::vector<const Asked*> rows) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<bool> result;
  const bool taken = journal.submit(std::move(rows), [&](bool committed) {
    const std::lock_guard lock(mutex);
    result = committed;
    changed.notify_all();
  });
  if (!taken) return std::nullopt;
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return result.has_value(); });
  return result;
}
inline std::optional<bool> write_one(Journal& journal, const Asked& row) {
  return submit_and_wait(journal, {&row});
}

// Waits until a claim about the statistics holds; false after a time that only a broken journal needs.
template <class Claim>
bool eventually(const Journal& journal, Claim claim) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!claim(journal.stats())) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the journal's thread needs the processor
  }
  return true;
}

// A second connection, as an analyst's tool has it. Rows come as "a|b|c".
class Sql {
 public:
  explicit Sql(const std::string& path, int flags = SQLITE_OPEN_READWRITE) {
    const int code = sqlite3_open_v2(path.c_str(), &raw_, flags, nullptr);
    REQUIRE(code == SQLITE_OK);
    sqlite3_busy_timeout(raw_, 5000);
  }
  Sql(const Sql&) = delete;
  Sql& operator=(const Sql&) = delete;
  ~Sql() { sqlite3_close(raw_); }

  std::vector<std::string> rows(const std::string& sql) {
    if (sql.find("queries") != std::string::npos) wait_until_listed();
    return rows_now(sql);
  }
  // What is on record shows in the views a moment later, if a writer lives.
  void wait_until_listed() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (one_now("SELECT EXISTS (SELECT 1 FROM unlisted)") != "0" &&
           std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
  }
  std::string one_now(const std::string& sql) {
    const auto all = rows_now(sql);
    REQUIRE(all.size() == 1);
    return all.front();
  }
  std::vector<std::string> rows_now(const std::string& sql) {
    std::vector<std::string> out;
    sqlite3_stmt* statement = nullptr;
    const int prepared = sqlite3_prepare_v2(raw_, sql.c_str(), -1, &statement, nullptr);
    INFO(sqlite3_errmsg(raw_));
    REQUIRE(prepared == SQLITE_OK);
    int code = 0;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
      std::string& row = out.emplace_back();
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        row += (i ? "|" : "") + std::string(text ? text : "NULL");
      }
    }
    INFO(sqlite3_errmsg(raw_));
    CHECK(code == SQLITE_DONE);
    sqlite3_finalize(statement);
    return out;
  }
  std::string one(const std::string& sql) {
    const auto all = rows(sql);
    REQUIRE(all.size() == 1);
    return all.front();
  }

 private:
  sqlite3* raw_ = nullptr;
};

// Work for another process: holds the journal's state of the moment when it is begun until it is joined.
inline int read_old_state(const std::string& path, const Line& line) {
  sqlite3* db = nullptr;
  line.say(sqlite3_open(path.c_str(), &db) == SQLITE_OK &&
           sqlite3_exec(db, "BEGIN; SELECT count(*) FROM asked", nullptr, nullptr, nullptr) == SQLITE_OK);
  (void)line.hear();
  return 0;
}

inline std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A test that needs what this machine does not give: said aloud, and a failure where nothing may be left out.
inline void skipped(const std::string& why) {
  MESSAGE("SKIPPED: " << why);
  const char* must = std::getenv("POSTERN_MUST_WORK");
  CHECK_MESSAGE((must == nullptr || std::string(must) != "1"),
                "SKIPPED although POSTERN_MUST_WORK=1: " << why);
}

}  // namespace postern::test
