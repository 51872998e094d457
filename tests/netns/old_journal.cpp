// Puts refused queries of a time ago into a journal, as the daemon would have then: for tests of retention.
// usage: old_journal PATH ROWS SECONDS_AGO
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "tests/support/journal_story.h"

int main(int argc, char** argv) {
  using namespace postern;
  constexpr std::size_t batch_rows = 256;
  if (argc != 4) return std::fputs("usage: old_journal PATH ROWS SECONDS_AGO\n", stderr), 2;
  const auto wanted = static_cast<std::size_t>(std::atoll(argv[2]));
  const std::int64_t then_us = (std::time(nullptr) - std::atoll(argv[3])) * story::second_us;
  Journal::Options options;
  options.path = argv[1];
  const auto journal = Journal::open(options);
  if (!journal) return std::fprintf(stderr, "old_journal: %s\n", journal.error().message.c_str()), 1;
  Sandbox who;
  who.name = who.session = "old";
  const auto sandbox = (*journal)->attach(who, then_us);
  if (!sandbox) return std::fprintf(stderr, "old_journal: %s\n", sandbox.error().message.c_str()), 1;
  for (std::size_t written = 0; written < wanted; written += batch_rows) {
    std::vector<Asked> rows(batch_rows);
    std::vector<const Asked*> batch;
    RowId id = (*journal)->reserve(batch_rows);
    for (Asked& row : rows) {
      row.id = id++;
      row.time_us = then_us;
      row.sandbox = *sandbox;
      row.name = *Name::parse("n" + std::to_string(row.id) + ".blocked.example");
      row.type = type::A;
      row.registered_labels = 2;
      row.action = Action::block_name;
      row.reason = Reason::rule;
      row.rcode = 3;
      batch.push_back(&row);
    }
    if (story::write_and_wait(**journal, std::move(batch))) continue;
    return std::fprintf(stderr, "old_journal: %s\n", (*journal)->stats().last_error.c_str()), 1;
  }
  (*journal)->detach(*sandbox, then_us);
  return 0;
}
