// Secrets in names: the readings of a name, and the tails of what a zone's names have said.
#include "detect/secret_watch.h"

#include <algorithm>
#include <cstring>

namespace postern {
namespace {

// Where the labels of a wire form begin; the last entry is the root's octet.
struct Labels {
  std::array<std::uint8_t, 129> at;
  std::size_t count = 0;
  explicit Labels(const Name& name) {
    const auto wire = name.wire();
    std::size_t offset = 0;
    for (; wire[offset] != 0; offset += wire[offset] + 1u) at[count++] = static_cast<std::uint8_t>(offset);
    at[count] = static_cast<std::uint8_t>(offset);
  }
};

void add_label(NormalName& text, const Name& name, std::size_t offset, Marks marks) {
  const auto wire = name.wire();
  for (std::size_t i = offset + 1; i <= offset + wire[offset]; ++i) text.add(wire[i], i, marks);
}

bool is_mark(std::uint8_t octet) {
  return normal_octet(octet, Marks::kept) != 0 && normal_octet(octet, Marks::dropped) == 0;
}

bool has_marks(const Name& name, const Labels& labels) {
  const auto wire = name.wire();
  for (std::size_t label = 0; label < labels.count; ++label)
    for (std::size_t i = labels.at[label] + 1u; i <= labels.at[label] + wire[labels.at[label]]; ++i)
      if (is_mark(wire[i])) return true;
  return false;
}

// Of the parts of a name, the longest and those at fixed places: where a sender puts its mark or counter is
// its own choice, but the piece then has a place of its own, too.
struct Parts {
  std::string_view longest, first, second, last;
  void add(std::string_view part) noexcept {
    if (part.empty()) return;
    if (part.size() > longest.size()) longest = part;
    if (first.empty())
      first = part;
    else if (second.empty())
      second = part;
    last = part;
  }
};

}  // namespace

SecretFinding SecretWatch::finding(const SecretSet::Match& match, std::size_t clean_labels) const {
  SecretFinding found;
  found.label = secrets_->label(match);
  found.fingerprint = secrets_->fingerprint(match);
  found.encoding = secrets_->encoding(match);
  found.backwards = secrets_->backwards(match);
  found.length = match.size;
  found.bits = match.bits;
  found.clean_labels = clean_labels;
  return found;
}

std::optional<SecretFinding> SecretWatch::look(const Name& name, std::size_t zone_labels) const {
  const Labels labels(name);
  const std::size_t below = labels.count - std::min(zone_labels, labels.count);
  std::optional<SecretSet::Match> best;
  std::size_t first = 0, last = 0;  // octets of the wire form that belong to it
  NormalName text;
  const auto search = [&] {
    const auto match = secrets_->find(text.view());
    if (!match || (best && best->bits >= match->bits)) return;
    best = match;
    const auto [low, high] =
        std::minmax_element(text.at.begin() + static_cast<std::ptrdiff_t>(match->from),
                            text.at.begin() + static_cast<std::ptrdiff_t>(match->from + match->size));
    first = *low;
    last = *high;
  };
  for (const Marks marks : {Marks::dropped, Marks::kept}) {
    if (marks == Marks::kept && !has_marks(name, labels)) break;
    text.size = 0;
    for (std::size_t i = 0; i < labels.count; ++i) add_label(text, name, labels.at[i], marks);
    search();
  }
  if (!best && below > 1) {  // the labels from the right, the zone's apart
    text.size = 0;
    for (std::size_t i = below; i-- > 0;) add_label(text, name, labels.at[i], Marks::dropped);
    search();
  }
  if (!best) return std::nullopt;
  std::size_t clean = 0;
  while (clean < labels.count - below && labels.at[labels.count - clean - 1] > last) ++clean;
  SecretFinding found = finding(*best, clean);
  found.position = first;
  return found;
}

std::optional<SecretFinding> SecretWatch::observe(const Name& name, std::size_t zone_labels) {
  auto found = look(name, zone_labels);
  const Labels labels(name);
  std::size_t zone = std::min(zone_labels, labels.count);
  if (zone == labels.count && zone > 0) --zone;  // a name of its own below the public suffix is a piece, too
  const std::size_t below = labels.count - zone;
  if (below == 0) return found;
  const auto wire = name.wire();
  const std::size_t end = labels.at[below];
  Zone& state = zone_of(hash_octets(wire.data() + end, wire.size() - end));
  const std::uint64_t hash = name.hash();
  if (std::find(state.recent.begin(), state.recent.end(), hash) != state.recent.end()) return found;
  state.recent[state.next_recent++ % recent_names] = hash;

  NormalName all;
  Parts labels_of, runs;  // in `all`
  for (std::size_t i = 0; i < below; ++i) {
    const std::size_t offset = labels.at[i], begin = all.size;
    std::size_t run = begin;
    const auto end_run = [&] {
      runs.add(all.view().substr(run, all.size - run));
      run = all.size;
    };
    for (std::size_t k = offset + 1; k <= offset + wire[offset]; ++k) {
      if (is_mark(wire[k]))
        end_run();
      else
        all.add(wire[k], k, Marks::dropped);
    }
    end_run();
    labels_of.add(all.view().substr(begin, all.size - begin));
  }
  const std::string_view text = all.view();
  const auto without = [&](std::size_t first, std::size_t last) {  // so many characters; may overlap
    return first + last >= text.size() ? std::string_view() : text.substr(first, text.size() - first - last);
  };
  const std::size_t first = labels_of.first.size(), last = labels_of.last.size();
  const Pieces pieces{text,           without(1, 0),     without(2, 0),    without(3, 0),
                      without(4, 0),  labels_of.longest, labels_of.first,  labels_of.second,
                      labels_of.last, without(first, 0), without(0, last), without(first, last),
                      runs.longest,   runs.first,        runs.second,      runs.last};
  share(state, pieces);
  std::optional<SecretSet::Match> best;
  for (std::size_t reading = 0; reading < readings; ++reading) {
    if (state.shared[reading] != reading) continue;
    const auto match = append(state, reading, pieces[reading]);
    if (match && (!best || match->bits > best->bits)) best = match;
  }
  if (found || !best) return found;
  found = finding(*best, zone);
  found->split = true;
  return found;
}

// A reading that says something of its own for the first time takes over what it has shared until now.
void SecretWatch::share(Zone& zone, const Pieces& pieces) {
  std::array<std::uint8_t, readings> shared;
  const auto same = [&](std::size_t a, std::size_t b) {  // views of one text
    return zone.shared[a] == zone.shared[b] && pieces[a].size() == pieces[b].size() &&
           (pieces[a].empty() || pieces[a].data() == pieces[b].data());
  };
  for (std::size_t reading = 0; reading < readings; ++reading) {
    std::size_t first = zone.shared[reading];
    while (first < reading && !same(first, reading)) ++first;
    shared[reading] = static_cast<std::uint8_t>(first);
    if (first != reading || zone.shared[reading] == reading) continue;
    zone.forwards[reading] = zone.forwards[zone.shared[reading]];
    zone.backwards[reading] = zone.backwards[zone.shared[reading]];
  }
  zone.shared = shared;
}

// Looks only at where the pieces meet: inside the piece `look` has looked already.
std::optional<SecretSet::Match> SecretWatch::append(Zone& zone, std::size_t reading, std::string_view piece) {
  if (piece.empty()) return std::nullopt;
  std::array<char, 2 * tail + NormalName::pad> joint;
  const std::size_t taken = std::min(piece.size(), tail);

  Tail& ahead = zone.forwards[reading];  // older characters first
  std::memcpy(joint.data(), ahead.text.data(), ahead.size);
  std::memcpy(joint.data() + ahead.size, piece.data(), taken);
  auto best = ahead.size == 0 ? std::nullopt : secrets_->find({joint.data(), ahead.size + taken}, ahead.size);
  const std::size_t new_tail = std::min(tail, piece.size()),
                    old_tail = std::min<std::size_t>(tail - new_tail, ahead.size);
  std::memmove(ahead.text.data(), ahead.text.data() + ahead.size - old_tail, old_tail);
  std::memcpy(ahead.text.data() + old_tail, piece.data() + piece.size() - new_tail, new_tail);
  ahead.size = static_cast<std::uint8_t>(old_tail + new_tail);

  Tail& behind = zone.backwards[reading];  // newer characters first
  std::memcpy(joint.data(), piece.data() + piece.size() - taken, taken);
  std::memcpy(joint.data() + taken, behind.text.data(), behind.size);
  const auto match =
      behind.size == 0 ? std::nullopt : secrets_->find({joint.data(), taken + behind.size}, taken);
  if (match && (!best || match->bits > best->bits)) best = match;
  const std::size_t kept = std::min<std::size_t>(tail - new_tail, behind.size);
  std::memmove(behind.text.data() + new_tail, behind.text.data(), kept);
  std::memcpy(behind.text.data(), piece.data(), new_tail);
  behind.size = static_cast<std::uint8_t>(kept + new_tail);
  return best;
}

SecretWatch::Zone& SecretWatch::zone_of(std::uint64_t hash) {
  std::size_t at =
      static_cast<std::size_t>(std::find(hashes_.begin(), hashes_.end(), hash) - hashes_.begin());
  if (at == zones_.size()) {
    if (zones_.size() < max_zones) {
      zones_.emplace_back();
      hashes_.emplace_back();
    } else {
      at = static_cast<std::size_t>(
          std::min_element(zones_.begin(), zones_.end(),
                           [](const Zone& a, const Zone& b) { return a.used < b.used; }) -
          zones_.begin());
      zones_[at] = {};
    }
    hashes_[at] = hash;
  }
  zones_[at].used = ++use_;
  return zones_[at];
}

}  // namespace postern
