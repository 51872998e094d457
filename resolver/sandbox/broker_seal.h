// The broker's seal: an Ed25519 key that the resolver process never holds, and what it has signed so far.
//
// The story: the resolver asks for a signature of a block's head. The signer looks up what it has signed for
// that journal; it signs a later block, or the same block with the same head, and nothing else. Its counter
// and that head are on the disk before the signature is returned, so that neither a restart nor a power cut
// makes it sign two stories for one block. A resolver that was taken over can have lies signed from then on;
// it cannot have history signed anew.
//
// Files: KEY (PKCS #8 PEM, 0600, made if there is none), KEY.pub (PEM, for people), KEY.state (0600). The
// state is 128 octets at a place of its own per journal, twice: the older of the two is written over, so a
// write that was torn costs nothing that was signed. Brokers that share a key take turns (flock).
//
// Thread: one. Time: `now` is an argument. Memory: the key; KEY.state is read at each signature.
#pragma once

#include <openssl/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/signed_head.h"

namespace postern {

class HeadSigner {
 public:
  using Clock = std::chrono::steady_clock;
  // Journals that one key keeps in mind: 16 MiB of KEY.state. They are never forgotten, since one that was
  // could be signed anew.
  static constexpr std::size_t most_journals = 65536;
  // New journals in the life of one broker: its resolver has one. More would only fill KEY.state.
  static constexpr std::size_t most_new_journals = 8;
  // Signatures at once, and how soon one more: each is a line of the log and a sync of the disk. An honest
  // resolver asks once in ten seconds, at the start and at the end.
  static constexpr int burst = 8;
  static constexpr std::chrono::seconds one_more_after{5};

  // Reads the key, or makes it; its folder too. Errors name the file.
  static Result<HeadSigner> open(const std::string& key_file);
  HeadSigner(HeadSigner&&) noexcept;
  HeadSigner& operator=(HeadSigner&&) noexcept;
  ~HeadSigner();

  struct Signed {
    SignedHead head;
    bool fresh = true;  // false: refused; `head` is the last that was signed for this journal
  };
  // Errors: too often, too many journals, KEY.state cannot be written or is damaged.
  Result<Signed> sign(const HeadToSign& wanted, std::int64_t time_us, Clock::time_point now);

  const PublicKey& key() const { return key_; }

 private:
  struct KeyFree {
    void operator()(EVP_PKEY* key) const;
  };
  HeadSigner() = default;
  Result<Signature> signature(const SignedHead& head) const;

  std::unique_ptr<EVP_PKEY, KeyFree> private_;
  PublicKey key_{};
  std::string state_path_;
  Fd state_;
  std::size_t new_journals_ = 0;
  int tokens_ = burst;
  Clock::time_point refilled_{};
};

// What KEY.state says of one journal; 128 octets with a checksum. Nothing: not such a record.
std::string state_record(const SignedHead& head);
std::optional<SignedHead> read_state_record(std::string_view octets);
inline constexpr std::size_t state_record_octets = 128;

// The public key in a file (PEM) or as 64 hex digits. Errors quote what is wrong.
Result<PublicKey> read_public_key(const std::string& file_or_hex);

}  // namespace postern
