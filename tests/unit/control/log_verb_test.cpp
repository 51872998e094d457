// `postern log`: what it is asked for and refuses.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <iterator>
#include <sstream>

#include "resolver/control/commands.h"
#include "resolver/journal/journal.h"
#include "rules/name.h"

using namespace postern;

namespace {

// What is complained of; a journal that is not there is asked for last.
std::string log_complaint(const std::function<void(LogFlags&)>& set) {
  LogFlags flags;
  flags.db = "/nonexistent/journal.db";
  set(flags);
  std::ostringstream said;
  std::streambuf* const before = std::cerr.rdbuf(said.rdbuf());
  sigset_t signals;  // which the verb holds back for as long as its process lives
  sigprocmask(SIG_BLOCK, nullptr, &signals);
  const int status = log_verb(flags);
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  std::cerr.rdbuf(before);
  CHECK(status == 125);
  return said.str();
}

bool log_says(const std::string& complaint, const char* what) {
  return complaint.find(what) != std::string::npos;
}

// What is printed of the journal in the folder, for people; the verb writes to its standard output itself.
std::string log_printed(const std::string& folder, const std::string& domain) {
  LogFlags flags;
  flags.db = folder + "/journal.db";
  flags.domain = domain;
  const std::string file = folder + "/out";
  const int before = dup(STDOUT_FILENO), out = creat(file.c_str(), 0600);
  REQUIRE((before >= 0 && out >= 0));
  sigset_t signals;
  sigprocmask(SIG_BLOCK, nullptr, &signals);
  dup2(out, STDOUT_FILENO);
  const int status = log_verb(flags);
  dup2(before, STDOUT_FILENO);
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  close(before);
  close(out);
  CHECK(status == 0);
  std::ifstream said(file);
  return {std::istreambuf_iterator<char>(said), {}};
}

}  // namespace

TEST_CASE(
    "times that are none, empty or the wrong way round are refused with a quote, before anything is read") {
  const auto between = [](const char* since, const char* until) {
    return log_complaint([&](LogFlags& flags) {
      flags.since = since;
      flags.until = until;
    });
  };
  CHECK(log_says(between("1h", "1m"), "/nonexistent"));
  CHECK(log_says(between("2026-11-22", "2026-11-22"), "--since \"2026-11-22\" is not before --until"));
  CHECK(log_says(between("2026-11-23", "2026-11-22"), "\"2026-11-23\" is not before --until \"2026-11-22\""));
  CHECK(log_says(between("20261122", "1m"), "--since: a time is "));
  CHECK(log_says(between("1h", "20261122"), "--until: a time is "));
  CHECK(log_says(between("", "1m"), "--since: "));
  CHECK(log_says(between("1h", ""), "--until: "));
  CHECK(log_says(log_complaint([](LogFlags& flags) { flags.since = "1h"; }), "/nonexistent"));
  CHECK(log_says(log_complaint([](LogFlags& flags) {
                   flags.follow = true;
                   flags.until = "1m";
                 }),
                 "do not go together"));
}

TEST_CASE("a filter that is there and empty is refused, since it would let everything through") {
  CHECK(log_says(log_complaint([](LogFlags& flags) { flags.session = ""; }), "--session \"\""));
  CHECK(log_says(log_complaint([](LogFlags& flags) { flags.sandbox = ""; }), "--sandbox \"\""));
  CHECK(log_says(log_complaint([](LogFlags& flags) { flags.user = ""; }), "--user \"\""));
  CHECK(log_says(log_complaint([](LogFlags& flags) { flags.domain = ""; }), "--domain \"\""));
  CHECK(log_says(log_complaint([](LogFlags& flags) { flags.session = flags.user = "x"; }), "/nonexistent"));
}

TEST_CASE("a domain that no name can be below is refused with a quote") {
  const auto asked = [](const char* domain) {
    return log_complaint([&](LogFlags& flags) { flags.domain = domain; });
  };
  for (const char* pattern : {"*.evil.com", "**.evil.com", "*", "**"}) {
    const std::string said = asked(pattern);
    CHECK_MESSAGE(log_says(said, ("--domain \"" + std::string(pattern) + "\": ").c_str()), said);
  }
  for (const char* blank : {" evil.com", "evil.com ", "evil .com", "evil.com\n", "\tevil.com"})
    CHECK_MESSAGE(log_says(asked(blank), "--domain \""), blank);
  CHECK(log_says(asked("a..b"), "--domain: "));
  CHECK(log_says(asked("\xff.example"), "--domain: "));
  for (const char* fine : {"evil.com", "Evil.COM.", ".", "a.*.evil.com", "\\042.evil.com", "a\\032b.com",
                           "b\u00fccher.example", "127.0.0.1", "0/25.2.0.192.in-addr.arpa"})
    CHECK_MESSAGE(log_says(asked(fine), "/nonexistent"), fine);
}

TEST_CASE("a domain is found as it is spelled on the wire, and the root is above everything") {
  std::string folder = (std::filesystem::temp_directory_path() / "postern-log-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  Journal::Options options;
  options.path = folder + "/journal.db";
  {
    const auto journal = Journal::open(options);
    REQUIRE(journal.has_value());
    std::array<Asked, 2> rows;
    rows[0].name = *Name::parse("www.xn--bcher-kva.example");
    rows[1].name = *Name::parse("www.other.example");
    for (Asked& row : rows) {
      row.id = (*journal)->reserve(1);
      row.time_us = 1'700'000'000'000'000;
    }
    std::promise<bool> committed;
    REQUIRE((*journal)->submit({&rows[0], &rows[1]}, [&](bool done) { committed.set_value(done); }));
    REQUIRE(committed.get_future().get());
  }
  for (const char* domain : {"b\u00fccher.example", "B\u00dcCHER.example.", "xn--bcher-kva.example"}) {
    const std::string printed = log_printed(folder, domain);
    CHECK(printed.find("www.xn--bcher-kva.example") != std::string::npos);
    CHECK(printed.find("other") == std::string::npos);
  }
  CHECK(log_printed(folder, ".").find("www.other.example") != std::string::npos);
  std::filesystem::remove_all(folder);
}
