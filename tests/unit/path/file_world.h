// A journal's folder for tests of what survives: made new, gone at the end.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "resolver/journal/journal.h"

namespace postern::test {

struct JournalFolder {
  JournalFolder() {
    char text[] = "/tmp/postern-past-XXXXXX";
    REQUIRE(mkdtemp(text) != nullptr);
    path = text;
  }
  ~JournalFolder() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/journal.db"; }
  std::unique_ptr<Journal> open() const {
    Journal::Options options;
    options.path = file();
    auto journal = Journal::open(options);
    REQUIRE_MESSAGE(journal.has_value(), (journal ? "" : journal.error().message));
    return std::move(*journal);
  }
  std::string path;
};

}  // namespace postern::test
