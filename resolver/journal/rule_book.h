// The rule book: rule texts as numbers, so that a row says which rule spoke without repeating it.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "resolver/journal/record.h"

namespace postern {

// A new text gets its number at once, from memory; its row is written by the next transaction, before the
// rows that use it. So interning never waits for the disk and never fails.
//
// Thread: any. Memory: at most `max_known` texts; what was forgotten is looked up in the file again.
class RuleBook {
 public:
  static constexpr std::size_t max_known = 16384;  // a list of a million names may let as many entries speak
  // Of them, not written yet: while the file cannot be, a sandbox may make each line of a list speak.
  static constexpr std::size_t max_unwritten = 16384;
  static constexpr std::int64_t no_room = -1;
  static constexpr std::size_t max_text_octets = 1024;  // of one text; what is longer is cut

  // `reader`: an own connection to the file, for looking up.
  static Result<std::unique_ptr<RuleBook>> open(Connection reader);

  // Another connection to look up in, or none for a while: then a forgotten text gets a second number. What
  // the file has of what was not known to be written is written now, and what it has lost is not: a commit
  // may be carried over that failed for its caller.
  Result<void> use(Connection reader);
  void release();

  // `no_room` while too much waits to be written: the row it is for cannot be, either.
  std::int64_t intern(std::string_view text);
  // For the journal's thread: what is not in the file yet, oldest first; and that the first `count` of them
  // now are. Between the two calls nobody removes any.
  bool has_unwritten() const { return unwritten_count_.load(std::memory_order_acquire) != 0; }
  std::vector<NewRule> unwritten();
  void written(std::size_t count);

 private:
  RuleBook() = default;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::mutex mutex_;
  Connection reader_;
  Statement by_text_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> known_;
  bool complete_ = true;  // all texts of the file are in `known_`
  std::vector<NewRule> unwritten_;
  std::atomic<std::size_t> unwritten_count_ = 0;
  std::int64_t next_ = 1;
};

}  // namespace postern
