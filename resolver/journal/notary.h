// The notary: asks for signatures of heads, on a thread of its own, so that no commit waits for a key.
//
// The newest head is asked for, at most one in ten seconds; each stands for all before it. What comes back is
// taken by the journal's thread and written with its next transaction.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "rules/result.h"
#include "rules/signed_head.h"

namespace postern {

class Notary {
 public:
  using Sign = std::function<Result<SignedHead>(const HeadToSign&)>;
  static constexpr std::chrono::seconds one_in{10};

  // `sign` is called on the notary's thread, one at a time, and after `stop` on the caller's; `came` on the
  // notary's thread when there is something to take.
  Notary(Sign sign, std::function<void()> came);
  ~Notary();

  struct Answer {
    HeadToSign wanted;
    Result<SignedHead> reply;  // of another head: refused, and that one was signed last
  };
  void offer(const HeadToSign& head);
  std::optional<Answer> take();
  bool has_answer() const;
  // Ends the thread; then the last head can be asked for at once.
  void stop();
  Answer sign_now(const HeadToSign& head);

 private:
  void run();

  Sign sign_;
  std::function<void()> came_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<HeadToSign> wanted_;
  std::optional<Answer> answer_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace postern
