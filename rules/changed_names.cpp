// ChangedNames: keys that sort as names do, and back.
#include "rules/changed_names.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

namespace postern {
namespace {

// A name as a text whose octets sort as names do: labels from the right, each ended by `end`. The octets 0
// and 1 within a label, which are rare, are written as 1 and themselves plus one.
constexpr char end_of_label = 0, escape = 1;

void append_key(const Name& name, std::string& out) {
  const auto wire = name.wire();
  std::array<std::uint8_t, Name::max_octets> starts;
  std::size_t labels = 0;
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
    starts[labels++] = static_cast<std::uint8_t>(at);
  while (labels-- > 0) {
    const std::size_t start = starts[labels];
    for (std::size_t i = start + 1; i <= start + wire[start]; ++i) {
      const char octet = static_cast<char>(wire[i]);
      if (octet == end_of_label || octet == escape) {
        out += escape;
        out += static_cast<char>(octet + 1);
      } else {
        out += octet;
      }
    }
    out += end_of_label;
  }
}

Name name_of_key(std::string_view key) {
  std::array<std::uint8_t, Name::max_octets> wire;
  std::size_t begin = wire.size() - 1;  // it is written from its end
  wire[begin] = 0;
  std::string label;
  for (std::size_t at = 0; at < key.size(); ++at) {
    if (key[at] == escape && at + 1 < key.size()) {
      label += static_cast<char>(key[++at] - 1);
    } else if (key[at] != end_of_label) {
      label += key[at];
    } else {
      POSTERN_CHECK(label.size() < begin);
      begin -= label.size() + 1;
      wire[begin] = static_cast<std::uint8_t>(label.size());
      std::copy(label.begin(), label.end(), wire.begin() + static_cast<std::ptrdiff_t>(begin) + 1);
      label.clear();
    }
  }
  const std::optional<Name> name = Name::from_wire(std::span(wire).subspan(begin));
  POSTERN_CHECK(name.has_value());
  return *name;
}

}  // namespace

ChangedNames::Text ChangedNames::text(std::string_view text) {
  const auto [at, is_new] = numbers_.try_emplace(std::string(text), static_cast<Text>(texts_.size()));
  if (is_new) texts_.emplace_back(text);
  return at->second;
}

void ChangedNames::add(const Query& query, const Change& change) {
  if (changes_.size() == most) {
    ++not_kept_;
    return;
  }
  const std::size_t begin = keys_.size();
  append_key(query.name, keys_);
  changes_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint16_t>(keys_.size() - begin),
                      query.type, change});
}

void ChangedNames::sort() {
  const auto order = [&](const Kept& a, const Kept& b) {
    const int names = key_of(a).compare(key_of(b));
    return names != 0 ? names < 0 : a.type < b.type;
  };
  std::stable_sort(changes_.begin(), changes_.end(), order);
  const auto same = [&](const Kept& a, const Kept& b) { return a.type == b.type && key_of(a) == key_of(b); };
  changes_.erase(std::unique(changes_.begin(), changes_.end(), same), changes_.end());
}

ChangedName ChangedNames::operator[](std::size_t index) const {
  const Kept& kept = changes_[index];
  return {{name_of_key(key_of(kept)), kept.type},
          texts_[kept.change.before],
          texts_[kept.change.after],
          texts_[kept.change.rule_before],
          texts_[kept.change.rule_after]};
}

std::vector<ChangedNames::Count> ChangedNames::counts() const {
  std::map<std::pair<Text, Text>, std::size_t> sums;
  for (const Kept& kept : changes_) ++sums[{kept.change.before, kept.change.after}];
  std::vector<Count> counts;
  for (const auto& [texts, names] : sums)
    counts.push_back({texts_[texts.first], texts_[texts.second], names});
  std::sort(counts.begin(), counts.end(), [](const Count& a, const Count& b) {
    return std::tuple(b.names, std::string_view(a.before), std::string_view(a.after)) <
           std::tuple(a.names, std::string_view(b.before), std::string_view(b.after));
  });
  return counts;
}

}  // namespace postern
