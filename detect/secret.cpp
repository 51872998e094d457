// Secrets: the index over all forms of all values, and the search in a text.
#include "detect/secret.h"

#include <string.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "rules/digest.h"

namespace postern {
namespace {

// How often the same seed is kept: a value of one repeated octet has thousands, and the first few find it as
// well.
constexpr std::size_t max_same_seeds = 16;
constexpr double letter_or_digit_bits = 5.17;  // log2 of 36
constexpr std::uint8_t indexed = 0x80;         // in worth_: a seed of the table begins here
static_assert(8 * 1000 / Model::step < indexed);

std::uint64_t mixed(std::uint64_t seed) {
  return seed * 0x9e3779b97f4a7c15u;
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= SecretSet::max_label &&
         std::all_of(label.begin(), label.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '-';
         });
}

std::string fingerprint_of(std::string_view key, std::string_view value) {
  std::string both = std::string(key) + std::string(value);
  const Digest digest = sha256({reinterpret_cast<const std::uint8_t*>(both.data()), both.size()});
  wipe(both);
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) out += {hex[digest[i] >> 4], hex[digest[i] & 15]};
  return out;
}

}  // namespace

void wipe(std::string& octets) noexcept {
  explicit_bzero(octets.data(), octets.size());
  octets.clear();
}

void wipe(std::vector<SecretValue>& values) noexcept {
  for (SecretValue& one : values) wipe(one.octets);
  values.clear();
}

void NormalName::add(std::uint8_t octet, std::size_t wire_offset, Marks marks) noexcept {
  const char kept = normal_octet(octet, marks);
  if (kept == 0) return;
  text[size] = kept;
  at[size++] = static_cast<std::uint8_t>(wire_offset);
}

Result<void> SecretSet::check(const std::vector<SecretValue>& values) {
  std::size_t octets = 0;
  for (const SecretValue& one : values) {
    const auto bad = [&](const std::string& why) {
      return failure("cannot watch for the secret \"" + one.label.substr(0, max_label) + "\": " + why);
    };
    if (!is_label(one.label))
      return bad("its label must be 1 to " + std::to_string(max_label) +
                 " letters, digits, hyphens and underscores");
    const auto counted = static_cast<std::size_t>(
        std::count_if(one.octets.begin(), one.octets.end(), [](char c) { return c != '.' && c != 0; }));
    if (counted < min_octets)
      return bad("it has " + std::to_string(counted) + " octets, dots apart; at least " +
                 std::to_string(min_octets) + " are needed, or ordinary names would hold it");
    if (one.octets.size() > max_octets)
      return bad("it has " + std::to_string(one.octets.size()) + " octets, at most " +
                 std::to_string(max_octets) + " may be");
    octets += one.octets.size();
  }
  if (values.size() > max_values)
    return failure("cannot watch for " + std::to_string(values.size()) + " secrets of one session, at most " +
                   std::to_string(max_values) + " may be");
  if (octets > max_all_octets)
    return failure("cannot watch for secrets of " + std::to_string(octets) +
                   " octets in one session, at most " + std::to_string(max_all_octets) + " may be");
  return {};
}

Result<std::shared_ptr<const SecretSet>> SecretSet::make(std::vector<SecretValue> values,
                                                         std::string_view key, const Model& model,
                                                         double bits) {
  std::vector<SecretValue> distinct;
  for (SecretValue& one : values)
    if (std::find(distinct.begin(), distinct.end(), one) == distinct.end())
      distinct.push_back(std::move(one));
  wipe(values);
  if (auto fine = check(distinct); !fine) {
    wipe(distinct);
    return tl::unexpected(fine.error());
  }
  std::shared_ptr<SecretSet> set(new SecretSet);
  set->bits_ = bits;
  set->values_ = std::move(distinct);
  for (std::uint32_t i = 0; i < set->values_.size(); ++i) {
    set->fingerprints_.push_back(fingerprint_of(key, set->values_[i].octets));
    for (SecretForm& form : forms_of(set->values_[i].octets)) {
      set->add_form(i, form, model);
      wipe(form.text);
    }
  }
  set->build_index();
  return std::shared_ptr<const SecretSet>(std::move(set));
}

SecretSet::~SecretSet() {
  wipe(values_);
  wipe(text_);
  explicit_bzero(worth_.data(), worth_.size());
}

void SecretSet::add_form(std::uint32_t value, const SecretForm& form, const Model& model) {
  if (form.text.size() < seed) return;
  const auto begin = static_cast<std::uint32_t>(text_.size());
  Model::State state = model.start();
  for (const char c : form.text) {
    const Model::Symbol symbol = model.symbol(static_cast<std::uint8_t>(c));
    const bool common = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const double most = common ? std::min(form.most_bits, letter_or_digit_bits) : form.most_bits;
    const double cost =
        symbol == model.escape() ? most : static_cast<double>(model.price(state, symbol)) / 1000;
    worth_.push_back(static_cast<std::uint8_t>(std::min(cost, most) * 1000 / Model::step));
    state = model.next(state, symbol);
  }
  // A string that grows leaves its old octets behind: room for all is made once, in large steps.
  if (text_.capacity() < text_.size() + form.text.size() + 1) {
    std::string larger;
    larger.reserve(2 * (text_.size() + form.text.size()) + 4096);
    larger.append(text_);
    wipe(text_);
    text_ = std::move(larger);
  }
  text_.append(form.text).append(1, '\0');
  worth_.push_back(0);
  forms_.push_back({value, begin, static_cast<std::uint32_t>(text_.size() - 1),
                    begin + static_cast<std::uint32_t>(form.core_begin),
                    begin + static_cast<std::uint32_t>(form.core_end), form.encoding, form.backwards});
}

std::uint64_t SecretSet::seed_at(const char* text) noexcept {
  std::uint64_t word;
  std::memcpy(&word, text, sizeof word);
  if constexpr (std::endian::native == std::endian::big)
    return word >> (64 - 8 * seed);
  else
    return word & ((std::uint64_t{1} << (8 * seed)) - 1);
}

void SecretSet::build_index() {
  std::string exact;  // and without what growing has left over
  exact.reserve(text_.size() + NormalName::pad);
  exact.append(text_).append(NormalName::pad, '\0');
  wipe(text_);
  text_ = std::move(exact);
  worth_.shrink_to_fit();
  table_.assign(std::bit_ceil(std::max<std::size_t>(64, text_.size() * 2)), 0);
  filter_.assign(std::bit_ceil(std::max<std::size_t>(64, text_.size() * 16)) / 64, 0);
  for (const Form& form : forms_) {
    for (std::uint32_t at = form.begin; at + seed <= form.end; ++at) {
      const std::uint64_t hash = mixed(seed_at(text_.data() + at));
      std::size_t slot = hash >> 32 & (table_.size() - 1), same = 0;
      for (; table_[slot] != 0; slot = (slot + 1) & (table_.size() - 1))
        same += std::memcmp(text_.data() + table_[slot] - 1, text_.data() + at, seed) == 0;
      if (same >= max_same_seeds) continue;
      table_[slot] = at + 1;
      worth_[at] |= indexed;
      const std::size_t bit = hash >> 20 & (filter_.size() * 64 - 1);
      filter_[bit / 64] |= std::uint64_t{1} << bit % 64;
    }
  }
}

std::optional<SecretSet::Match> SecretSet::find(std::string_view text, std::size_t across) const noexcept {
  std::optional<Match> best;
  if (text.size() < seed) return best;
  const std::size_t filter_mask = filter_.size() * 64 - 1, mask = table_.size() - 1;
  // A run across a place has a seed across it, too: so five places are enough.
  const std::size_t first = across == anywhere || across < seed ? 0 : across - seed + 1;
  const std::size_t last = std::min(text.size() - seed, across == anywhere ? text.size() : across - 1);
  for (std::size_t at = first; at <= last; ++at) {
    const std::uint64_t hash = mixed(seed_at(text.data() + at));
    const std::size_t bit = hash >> 20 & filter_mask;
    if ((filter_[bit / 64] >> bit % 64 & 1) == 0) continue;
    for (std::size_t slot = hash >> 32 & mask; table_[slot] != 0; slot = (slot + 1) & mask) {
      const auto match = grow(text, first, at, table_[slot] - 1);
      if (match && (!best || match->bits > best->bits)) best = match;
    }
  }
  return best;
}

// The longest run through this place, if it is worth enough.
std::optional<SecretSet::Match> SecretSet::grow(std::string_view text, std::size_t first, std::size_t at,
                                                std::uint32_t position) const noexcept {
  if (std::memcmp(text_.data() + position, text.data() + at, seed) != 0) return std::nullopt;
  const auto form =
      std::prev(std::upper_bound(forms_.begin(), forms_.end(), position,
                                 [](std::uint32_t p, const Form& one) { return p < one.begin; }));
  // Grown already, one character before: so a value of one repeated octet does not cost its square.
  if (at > first && position > form->begin && text[at - 1] == text_[position - 1] &&
      (worth_[position - 1] & indexed) != 0)
    return std::nullopt;
  std::size_t from = at, to = at + seed;
  std::uint32_t begin = position, end = position + static_cast<std::uint32_t>(seed);
  while (from > 0 && begin > form->begin && text[from - 1] == text_[begin - 1]) --from, --begin;
  while (to < text.size() && end < form->end && text[to] == text_[end]) ++to, ++end;
  unsigned worth = 0;
  for (std::uint32_t i = begin; i < end; ++i) worth += worth_[i] & (indexed - 1u);
  Match match{form->value,
              static_cast<std::uint32_t>(form - forms_.begin()),
              from,
              to - from,
              worth * static_cast<double>(Model::step) / 1000,
              form->core_begin < form->core_end && begin <= form->core_begin && end >= form->core_end};
  if (match.bits < bits_ && !match.whole) return std::nullopt;
  return match;
}

std::size_t SecretSet::memory_octets() const noexcept {
  return sizeof *this + text_.capacity() + worth_.capacity() + table_.capacity() * sizeof table_[0] +
         filter_.capacity() * sizeof filter_[0] + forms_.capacity() * sizeof forms_[0];
}

}  // namespace postern
