// Encoders that hide a secret in queries, each with the decoder that reads it back: what a leak is measured
// with.
//
// A sender cuts the secret into pieces and asks one query for each; a receiver at the zone's name server sees
// those that were forwarded and decodes them. What counts is what was *decoded and is right*: `Receiver`
// compares it with the secret bit by bit. It is told for free which piece a query carries, which a real one
// has to pay for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rules/vocabulary.h"

namespace postern::encoders {

// An endless row of random bits, the same for the same seed.
class Secret {
 public:
  explicit Secret(std::uint64_t seed) : seed_(seed) {}
  bool bit(std::size_t at) const;
  // The `count` bits from `at` on as a number, first bit highest; count <= 64.
  std::uint64_t bits(std::size_t at, unsigned count) const;

 private:
  std::uint64_t seed_;
};

// The bits of one piece, in groups of at most 64 with their sizes.
struct Piece {
  struct Group {
    std::uint64_t value = 0;
    unsigned bits = 0;
  };
  std::vector<Group> groups;
  unsigned bits() const {
    unsigned sum = 0;
    for (const Group& group : groups) sum += group.bits;
    return sum;
  }
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual std::string title() const = 0;
  // The sizes of the groups that a query carries.
  virtual std::vector<unsigned> shape() const = 0;
  virtual Query encode(const Piece& piece) const = 0;
  // What a forwarded query says; an empty piece if it is none of this encoder's.
  virtual Piece decode(const Query& query) const = 0;
  // Which budget holds it: names of one zone, of one ICANN parent, or of the whole session.
  enum class Held : std::uint8_t { zone, parent, session };
  virtual Held held() const { return Held::zone; }
};
using Pointer = std::shared_ptr<const Encoder>;

// Labels of `digits` characters of an alphabet, `labels` of them, below `zone`.
Pointer digits(const std::string& title, const std::string& alphabet, unsigned digits, unsigned labels,
               const std::string& zone);
// `count` of 2,048 generated words with `between` between them: 11 bits each.
Pointer words(unsigned count, const std::string& between, const std::string& zone);
// Zones of their own below public suffixes of the private part of the list, all of one ICANN parent or of
// eight.
Pointer private_suffixes(bool one_parent);
// Only names of a list (64 of them are used): 6 bits, which one.
Pointer chosen_names(const std::string& title, std::vector<Name> names, Encoder::Held held);
// A name whose type says which of eight: 3 bits.
Pointer types(const std::string& zone);
// Another encoder's names, spread over `zones` zones; which zone says 6 bits more.
Pointer spread(Pointer of, const std::string& zone);

// All of the above, with names of `known` (at least 64) for the one that repeats.
std::vector<Pointer> all(const std::vector<Name>& known);
const std::vector<std::string>& word_list();

// Cuts the secret into pieces, and counts what arrives.
class Sender {
 public:
  Sender(Pointer encoder, std::uint64_t seed) : encoder_(std::move(encoder)), secret_(seed) {}
  Query next();                          // carries the next piece
  void arrived(const Query& forwarded);  // what the receiver got of the last one
  std::uint64_t decoded_bits() const noexcept { return decoded_; }
  std::uint64_t wrong() const noexcept { return wrong_; }  // queries that did not decode to what was sent
  const Encoder& encoder() const noexcept { return *encoder_; }

 private:
  Pointer encoder_;
  Secret secret_;
  std::size_t at_ = 0, last_ = 0;
  std::uint64_t decoded_ = 0, wrong_ = 0;
};

}  // namespace postern::encoders
