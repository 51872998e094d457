// Keeps heads signed: offers each new one to the notary, and hands what comes back to the sealer.
//
// Thread: the journal's, but for the counters; `close` after that thread has ended.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "resolver/journal/notary.h"
#include "resolver/journal/seal_writer.h"

namespace postern {

class HeadKeeper {
 public:
  // Without `sign` it only counts blocks. `came`: on the notary's thread, when `take` has something to do.
  void start(const std::string& path, const Notary::Sign& sign, const std::function<void()>& came);
  // `seal`: of the file in use; null: there is none now.
  void offer(SealWriter* seal);
  void take(SealWriter* seal);
  void stop(SealWriter* seal);   // the notary's thread; takes what it still had
  void close(SealWriter& seal);  // after `stop`: has the last head signed at once
  void tell(Journal::Stats& stats) const;

 private:
  void took(SealWriter* seal, const Notary::Answer& answer);

  std::string path_;
  HeadToSign offered_;
  std::string last_refusal_;  // so that each reason is logged once
  std::atomic<std::uint64_t> sealed_blocks_ = 0, signed_heads_ = 0, unsigned_heads_ = 0;
  std::unique_ptr<Notary> notary_;  // null: nobody signs
};

}  // namespace postern
