// Keeps heads signed: what is done with an answer.
#include "resolver/journal/head_keeper.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace postern {

void HeadKeeper::start(const std::string& path, const Notary::Sign& sign, const std::function<void()>& came) {
  path_ = path;
  if (sign) notary_ = std::make_unique<Notary>(sign, came);
}

void HeadKeeper::offer(SealWriter* seal) {
  if (seal == nullptr) return;
  const HeadToSign& head = seal->head();
  const bool same_file = head.journal == offered_.journal;
  if (same_file && head.block == offered_.block) return;
  sealed_blocks_ += static_cast<std::uint64_t>(same_file ? head.block - offered_.block : 1);
  offered_ = head;
  if (notary_) notary_->offer(head);
}

void HeadKeeper::take(SealWriter* seal) {
  if (!notary_) return;
  if (const auto answer = notary_->take()) took(seal, *answer);
}

void HeadKeeper::stop(SealWriter* seal) {
  if (!notary_) return;
  notary_->stop();
  take(seal);
}

void HeadKeeper::close(SealWriter& seal) {
  if (notary_) took(&seal, notary_->sign_now(seal.head()));
}

void HeadKeeper::tell(Journal::Stats& stats) const {
  stats.sealed_blocks = sealed_blocks_;
  stats.signed_heads = signed_heads_;
  stats.unsigned_heads = unsigned_heads_;
}

void HeadKeeper::took(SealWriter* seal, const Notary::Answer& answer) {
  if (seal == nullptr || seal->head().journal != answer.wanted.journal) return;  // of a file that is lost
  std::string why;
  if (!answer.reply) {
    why = answer.reply.error().message;
  } else if (const SignedHead& reply = *answer.reply;
             reply.block != answer.wanted.block || reply.head != answer.wanted.head) {
    why = "block " + std::to_string(reply.block) + " was signed on " + iso_time(reply.time_us) +
          ": this file was cut off, or replaced by an older copy; the records in between are missing";
    seal->leave_out(reply.block);
  } else {
    ++signed_heads_;
    last_refusal_.clear();
    seal->add_signature({reply.block, reply.counter, reply.time_us, reply.records,
                         std::string(reply.key.begin(), reply.key.end()),
                         std::string(reply.signature.begin(), reply.signature.end())});
    return;
  }
  ++unsigned_heads_;
  if (std::exchange(last_refusal_, why) != why)
    spdlog::error("the head of block {} of journal \"{}\" is not signed: {}", answer.wanted.block, path_,
                  why);
}

}  // namespace postern
