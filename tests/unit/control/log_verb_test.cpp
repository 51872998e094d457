// `postern log`: what it is asked for and refuses.
#include <doctest/doctest.h>
#include <signal.h>

#include <functional>
#include <iostream>
#include <sstream>

#include "resolver/control/commands.h"

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
