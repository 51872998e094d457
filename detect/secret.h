// Secrets: values of a session that must not appear in any name, in any common encoding. Read secret_forms.h
// first, secret_watch.h (pieces spread over queries) next.
//
// A value is written in all its forms beforehand; a name holds the secret when it shares with one of them a
// run of characters that no ordinary name has by chance. How long that is depends on the characters: each is
// worth what the character model of benign names (model.h) says it costs there, at most the logarithm of the
// encoding's alphabet, and a run counts from `match_bits` on. So ten characters of a random token do, and
// "production" within a database's address does not. The whole value in one of its spellings counts whatever
// it is worth, also within a longer value: all the digits that it alone decides. Chosen on half of the benign
// data: docs/DETECTION.md.
//
// Each run of `seed` characters of each form is in one hash table, behind a filter of single bits that stays
// in the processor's cache: a name costs a nanosecond a character, whether there is one secret or 64.
//
// Pure. Thread: any, immutable. Memory: about 2.5 KiB per octet of the values, 24 MiB at most; overwritten at
// the end.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "detect/model.h"
#include "detect/secret_forms.h"
#include "rules/name.h"

namespace postern {

// What the operator gives. The label is what people see.
struct SecretValue {
  std::string label;
  std::string octets;
  bool operator==(const SecretValue&) const = default;
};
// Overwrites the value where it lies.
void wipe(std::string& octets) noexcept;
void wipe(std::vector<SecretValue>& values) noexcept;

// A name in normal text, and which octet of the wire form each character was. `pad`: read past the end, never
// used.
struct NormalName {
  static constexpr std::size_t pad = 8;
  std::array<char, Name::max_octets + pad> text;
  std::array<std::uint8_t, Name::max_octets> at;
  std::size_t size = 0;
  void add(std::uint8_t octet, std::size_t wire_offset, Marks marks) noexcept;
  std::string_view view() const noexcept { return {text.data(), size}; }
};

class SecretSet {
 public:
  static constexpr std::size_t min_octets = 8;  // dots apart; shorter ones stand in ordinary names
  static constexpr std::size_t max_octets = 4096, max_values = 64, max_label = 32;
  static constexpr std::size_t max_all_octets = 8192;  // of all values: what the index of a session may take
  static constexpr double match_bits = 48;
  static constexpr std::size_t seed = 6;  // characters; a match is longer

  // Errors say which rule a value breaks, by its label and never by its octets.
  static Result<void> check(const std::vector<SecretValue>& values);
  // `key` is random: fingerprints under different keys do not compare. Duplicates are dropped. Errors: as
  // above.
  static Result<std::shared_ptr<const SecretSet>> make(std::vector<SecretValue> values, std::string_view key,
                                                       const Model& model, double bits = match_bits);
  ~SecretSet();
  SecretSet(const SecretSet&) = delete;

  // The best run in `text` (normal, `pad` readable octets behind it), or nothing. With `across`, only of
  // those that have characters on both sides of that place.
  struct Match {
    std::uint32_t value = 0, form = 0;
    std::size_t from = 0, size = 0;  // in the text, characters
    double bits = 0;
    bool whole = false;  // all that the value alone decides of the form
  };
  static constexpr std::size_t anywhere = SIZE_MAX;
  std::optional<Match> find(std::string_view text, std::size_t across = anywhere) const noexcept;

  const std::vector<SecretValue>& values() const noexcept { return values_; }  // for merging with more
  const std::string& label(const Match& match) const { return values_[match.value].label; }
  // 16 hex digits of SHA-256 over key and value.
  const std::string& fingerprint(const Match& match) const { return fingerprints_[match.value]; }
  SecretEncoding encoding(const Match& match) const { return forms_[match.form].encoding; }
  bool backwards(const Match& match) const { return forms_[match.form].backwards; }
  std::size_t memory_octets() const noexcept;

 private:
  SecretSet() = default;
  struct Form {
    std::uint32_t value, begin, end, core_begin, core_end;  // in text_
    SecretEncoding encoding;
    bool backwards;
  };
  void add_form(std::uint32_t value, const SecretForm& form, const Model& model);
  void build_index();
  static std::uint64_t seed_at(const char* text) noexcept;
  std::optional<Match> grow(std::string_view text, std::size_t first, std::size_t at,
                            std::uint32_t position) const noexcept;

  double bits_ = match_bits;
  std::vector<SecretValue> values_;
  std::vector<std::string> fingerprints_;
  std::vector<Form> forms_;            // in order of `begin`
  std::string text_;                   // all forms, each followed by a zero
  std::vector<std::uint8_t> worth_;    // of each character of text_, in Model::step, and a mark
  std::vector<std::uint32_t> table_;   // open addressing: positions in text_ + 1; 0: free
  std::vector<std::uint64_t> filter_;  // a bit for each seed's hash
};

}  // namespace postern
