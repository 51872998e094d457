// The past of a session: what it has spent, read back from the file when it is attached again.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "resolver/journal/journal.h"
#include "resolver/journal/sqlite.h"

namespace postern {

// Reads on a connection of its own, so that nobody waits for it but the caller. Cost: the rows that were
// charged after the last snapshot, found by a partial index, however long the file is.
//
// Thread: any, one at a time.
class PastReader {
 public:
  static Result<std::unique_ptr<PastReader>> open(Connection reader);

  // Another connection, or none for a while: then nothing can be read.
  Result<void> use(Connection reader);
  void release();

  // As in Journal. Errors: the file cannot be read, or a name in it is none; each names the session.
  Result<SessionPast> past(const std::string& user, const std::string& session, bool from_rows);
  Result<std::vector<std::string>> users_of(const std::string& session);

 private:
  PastReader() = default;
  std::mutex mutex_;
  Connection connection_;
  Statement snapshot_, grants_, forwards_, spent_, users_, began_, pruned_;
};

}  // namespace postern
