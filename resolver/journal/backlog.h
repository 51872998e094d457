// What an analyst's statement meets that is on record and not listed yet, in each of its files.
//
// The story: `queries` can be given the rows that the catalogue does not have, at a price for each. The sums
// (`usage`, `domains`, `sessions`) and `resolutions` cannot: they lack them until a writer has listed them,
// which takes a moment where one lives, and for ever where none does. So each file is judged for itself, by
// its lock (file_lock.h) and by its newest rows: a busy writer's are left out or waited for, all others are
// added to `queries`; and whatever a statement does not get is told (lack.h). Where it cannot be seen whether
// a writer lives, nothing is left out.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "resolver/journal/file_lock.h"
#include "resolver/journal/lack.h"
#include "resolver/journal/sqlite.h"

namespace postern {

// What a statement reads that the lister writes.
struct CatalogueReads {
  bool queries = false;
  bool sums = false;  // or the catalogue's tables themselves
  bool any() const { return queries || sums; }
};

class Backlog {
 public:
  // `connection` has the files of `paths` attached; both must outlive this. Looks who writes them.
  Backlog(Connection& connection, std::span<const std::string> paths);

  // Waits until what is on record now is listed, some five seconds at most. No file without a writer is
  // waited for.
  void wait();
  bool may_wait() const;  // it has not, and there is a file to wait for

  // Judges each file, in the transaction under way.
  Result<void> look();
  std::vector<std::size_t> files_to_add() const;                 // to `queries`, of what is not listed
  Result<std::vector<Lack>> lacks(const CatalogueReads& reads);  // of an answer, once those are added

 private:
  struct File {
    Writer writer = Writer::unknown;
    bool all_listed = false;  // what was on record when it was waited for
    bool left_out = false;    // a busy writer's
    bool older = false;       // it has rows that should have been listed by now
  };

  Connection& connection_;
  std::span<const std::string> paths_;
  std::vector<File> files_;
  bool waited_ = false;
};

}  // namespace postern
