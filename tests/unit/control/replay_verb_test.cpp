// `postern replay` as a whole: files in, a report out, and its exit statuses.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "resolver/control/commands.h"

using namespace postern;

namespace {

// A file that is gone with the test.
class File {
 public:
  explicit File(const std::string& text) {
    char path[] = "/tmp/postern-replay-XXXXXX";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    ::close(fd);
    path_ = path;
    std::ofstream(path_) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Ran {
  int status = 0;
  std::string out, err;
};
Ran run(const ReplayFlags& flags) {
  std::ostringstream out, err;
  auto* old_out = std::cout.rdbuf(out.rdbuf());
  auto* old_err = std::cerr.rdbuf(err.rdbuf());
  Ran ran;
  ran.status = replay_verb(flags);
  std::cout.rdbuf(old_out);
  std::cerr.rdbuf(old_err);
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

std::vector<nlohmann::json> lines(const std::string& text) {
  std::vector<nlohmann::json> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

}  // namespace

TEST_CASE("a recording over two files is one: sessions and caches go on") {
  const File first("0\tc\ta.example.org\tA\n1\tc\tb.example.org\tA\n"),
      second("2\tc\ta.example.org\tA\n3\td\ta.example.org\tA\n");
  ReplayFlags flags;
  flags.files = {first.path(), second.path()};
  flags.json = true;
  const Ran ran = run(flags);
  CHECK(ran.status == 0);
  const auto rows = lines(ran.out);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0]["client"] == "c");
  CHECK(rows[0]["queries"] == 3);
  CHECK(rows[0]["forwarded"] == 2);
  CHECK(rows[1]["client"] == "d");
  CHECK(rows[2]["total"]["queries"] == 4);
}

TEST_CASE("the assumed TTL, the profile and the policy's own budgets are taken") {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    std::string letters;  // numbers alone would be cheap
    for (int rest = 7919 * (i + 1); rest > 0; rest /= 26) letters += static_cast<char>('a' + rest % 26);
    text += std::to_string(i) + "\tc\tname-" + letters + ".example.org\tA\n";
  }
  const File recording(text + "100\tc\tname-a.example.org\tA\n"), policy("budgets: {zone: 32B}\n");
  ReplayFlags flags;
  flags.files = {recording.path()};
  flags.json = true;
  flags.meter_only = true;
  flags.assume_ttl = 100;
  const auto charged = [&] { return lines(run(flags).out).at(0); };
  const auto code = charged();
  CHECK(code["charged_bits"] > 48 * 8);
  CHECK(code["charged_bits"] <= 256 * 8);
  flags.profile = "strict";
  CHECK(charged()["charged_bits"] <= 48 * 8);
  CHECK(charged()["cut_at_query"] < code["cut_at_query"]);
  flags.profile.clear();
  flags.policy = policy.path();
  CHECK(charged()["charged_bits"] <= 32 * 8);
  CHECK(charged()["why"].get<std::string>().find("zone budget: ") == 0);
}

TEST_CASE("a policy's lists are read from beside it, as `explain` reads them") {
  const File recording("0\tc\tads.example.org\tA\n1\tc\twww.example.org\tA\n"), list("ads.example.org\n");
  const std::string beside = std::filesystem::path(list.path()).filename();
  const File policy("lists: [" + beside + "]\n"), bad("lists: [no-such-list-here.txt]\n");
  ReplayFlags flags;
  flags.files = {recording.path()};
  flags.policy = policy.path();
  flags.json = true;
  const Ran ran = run(flags);
  CHECK(ran.err.empty());
  REQUIRE(ran.status == 0);
  const auto rows = lines(ran.out);
  CHECK(rows.back()["total"]["refused_by_policy"] == 1);
  CHECK(rows.back()["total"]["forwarded"] == 1);
  flags.policy = bad.path();
  const Ran failed = run(flags);
  CHECK(failed.status == 125);
  CHECK(failed.err.find("no-such-list-here.txt") != std::string::npos);
}

TEST_CASE("zones are those of the public suffix list that is named") {
  const File recording("0\tc\ta.one.example\tA\n1\tc\ta.two.example\tA\n");
  const File list("// ===BEGIN ICANN DOMAINS===\nexample\n// ===END ICANN DOMAINS===\n"),
      deeper("// ===BEGIN ICANN DOMAINS===\nexample\none.example\ntwo.example\n// ===END ICANN DOMAINS===\n");
  ReplayFlags flags;
  flags.files = {recording.path()};
  flags.json = true;
  const auto has_zone = [&](const char* zone) {
    const auto rows = lines(run(flags).out);
    return std::any_of(rows.begin(), rows.end(),
                       [&](const auto& row) { return row.contains("zone") && row["zone"] == zone; });
  };
  flags.public_suffix_list = list.path();
  CHECK(has_zone("one.example"));
  CHECK_FALSE(has_zone("a.one.example"));
  flags.public_suffix_list = deeper.path();
  CHECK(has_zone("a.one.example"));
  CHECK_FALSE(has_zone("one.example"));
  flags.public_suffix_list = "/nonexistent/list";
  const Ran failed = run(flags);
  CHECK(failed.status == 125);
  CHECK(failed.err.find("/nonexistent/list") != std::string::npos);
}

TEST_CASE("the table is cut at its limit, and lines that were not read are told below it") {
  const File recording("0\tc\ta.example.org\tA\n0\tc\ta.example.net\tA\n0\tc\tbad..name\tA\n");
  ReplayFlags flags;
  flags.files = {recording.path()};
  flags.limit = 1;
  const Ran ran = run(flags);
  CHECK(ran.status == 0);
  CHECK(ran.out.find("CLIENT") == 0);
  CHECK(ran.out.find("… and 1 more zones (--limit)") != std::string::npos);
  CHECK(ran.out.find("not read: 1 name: a label is empty\n  " + recording.path() + ":3: \"bad..name\"\n") !=
        std::string::npos);
}

TEST_CASE(
    "what is no recording, a missing file and a bad policy are errors, with status 125 and nothing on "
    "stdout") {
  const File recording("0\tc\ta.example.org\tA\n"), prose("hello\n"), empty(""), policy("polices: {}\n");
  const auto failing = [](ReplayFlags flags, const std::string& message) {
    const Ran ran = run(flags);
    CHECK(ran.status == 125);
    CHECK(ran.out.empty());
    CHECK(ran.err.find(message) != std::string::npos);
  };
  ReplayFlags flags;
  flags.files = {recording.path(), prose.path()};
  failing(flags, "postern: cannot replay \"" + prose.path() + "\": it is neither ");
  flags.files = {empty.path()};
  failing(flags, "it is empty");
  flags.files = {"/nonexistent/file"};
  failing(flags, "postern: cannot read \"/nonexistent/file\": No such file or directory");
  flags.files = {"/tmp"};
  failing(flags, "postern: cannot read \"/tmp\": Is a directory");
  flags.files = {recording.path()};
  flags.name = "nobody";
  failing(flags, "there is no policy \"nobody\"");
  flags.name.clear();
  flags.profile = "lax";
  failing(flags, "profile \"lax\"");
  flags.profile.clear();
  flags.policy = policy.path();
  failing(flags, policy.path() + ":1:1: ");
}
