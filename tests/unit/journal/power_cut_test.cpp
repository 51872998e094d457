// The power is cut at many moments: with synchronous=FULL no row that was said to be committed is missing.
#include <random>
#include <set>

#include "tests/support/fault_vfs.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr unsigned cuts = volume(120U);     // moments at which the power is cut, over one life of a journal
constexpr unsigned batches = volume(600U);  // written in that life
constexpr unsigned every = 12;              // a cut at one of so many calls that change the disk

struct Moment {
  FaultVfs::Disk disk;
  std::set<RowId> promised;  // before the cut
};

// A journal's life from the empty folder on, with a log so short that checkpoints happen all the time.
std::vector<Moment> live(const Folder& folder, bool sync_full, unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<Moment> moments;
  std::mutex mutex;
  std::set<RowId> promised;
  FaultVfs disk;
  disk.watch([&](const auto& cut) {
    if (moments.size() >= cuts || draw() % every != 0) return;
    std::set<RowId> before;
    {
      const std::lock_guard lock(mutex);
      before = promised;
    }
    moments.push_back({cut(draw), std::move(before)});
  });
  auto options = at(folder.file());
  options.sync_full = sync_full;
  options.wal_limit_octets = 128 << 10;
  {
    const auto journal = must_open(options);
    std::mt19937 sizes(seed + 1);
    for (unsigned batch = 0; batch < batches; ++batch) {
      std::deque<Asked> rows;
      std::vector<const Asked*> pointers;
      RowId id = journal->reserve(8);
      while (rows.size() < 1 + sizes() % 8)
        rows.push_back(asked(id++, "n" + std::to_string(batch) + ".example.com"));
      for (const Asked& row : rows) pointers.push_back(&row);
      REQUIRE(submit_and_wait(*journal, pointers) == true);
      const std::lock_guard lock(mutex);
      for (const Asked& row : rows) promised.insert(row.id);
    }
  }
  disk.watch({});
  return moments;
}

// What the machine finds when the power is back; returns how many promised rows are missing.
std::size_t come_back(const Moment& moment, const std::string& original) {
  const Folder folder(Folder::Where::in_memory);
  for (const auto& [path, octets] : moment.disk)
    std::ofstream(folder.file() + path.substr(original.size()), std::ios::binary) << octets;
  const auto journal = must_open(folder.file());
  Sql sql(folder.file());
  std::set<RowId> there;
  for (const std::string& id : sql.rows("SELECT id FROM on_record ORDER BY id")) there.insert(std::stoll(id));
  CHECK(sql.one("PRAGMA integrity_check") == "ok");
  std::size_t missing = 0;
  for (const RowId id : moment.promised) missing += !there.contains(id);
  const Asked next = asked(journal->reserve(1));
  CHECK(write_one(*journal, next) == true);
  return missing;
}

}  // namespace

TEST_CASE("with synchronous=FULL a power cut at any moment loses no row that was said to be committed") {
  const Folder folder(Folder::Where::in_memory);
  const auto moments = live(folder, true, 11);
  REQUIRE(moments.size() == cuts);
  CHECK(moments.back().promised.size() > volume(100U));
  for (const Moment& moment : moments) CHECK(come_back(moment, folder.file()) == 0);
}

TEST_CASE("with synchronous=NORMAL a power cut costs the last rows, and never the file") {
  const Folder folder(Folder::Where::in_memory);
  const auto moments = live(folder, false, 12);
  std::size_t lossy = 0;
  for (const Moment& moment : moments) lossy += come_back(moment, folder.file()) > 0;
  CHECK(lossy > 0);  // or the disk would forget nothing, and the test above prove nothing
}
