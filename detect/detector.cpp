// The detector's counters: zones found by suffix, decayed sums, sketches of distinct names, and who was told
// what.
#include "detect/detector.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "detect/score_shape.h"

namespace postern {
namespace {

using Octets = std::span<const std::uint8_t>;

// Rates forget half in a minute: an interactive tunnel shows at once, and an installer's burst is gone as
// fast.
constexpr std::chrono::microseconds rate_half_life = std::chrono::minutes(1);
// Everything else forgets half in an hour, so that one name a minute still gathers 60 names of evidence.
constexpr std::chrono::microseconds half_life = std::chrono::hours(1);
// A sketch's generation; names count as known for one to two of them.
constexpr std::chrono::microseconds generation = std::chrono::hours(1);
// Decay is computed no more often than this: it costs two exponentials, and a second is 1 % of the shorter
// half-life.
constexpr std::chrono::microseconds decay_step = std::chrono::seconds(1);
// How many of the longest-unused zones are looked at for one that is quiet, before a flagged one is
// forgotten.
constexpr int eviction_tries = 8;

// A seeded 64-bit hash: multiply and fold, eight octets a step. Not cryptographic; the seed is secret and the
// result never leaves, so a sandbox has nothing to search collisions with.
std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t hash_octets(Octets octets, std::uint64_t seed) {
  constexpr std::uint64_t odd_one = 0x9e3779b97f4a7c15, odd_two = 0xd1b54a32d192ed03;
  std::uint64_t state = fold_multiply(seed ^ odd_one, octets.size() ^ odd_two);
  const std::uint8_t* at = octets.data();
  std::size_t left = octets.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    state = fold_multiply(state ^ word, odd_one ^ seed);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, at, left);
  return fold_multiply(state ^ word, odd_two);
}

// How many distinct names: linear counting (Whang, Vander-Zanden, Taylor 1990) over 256 bits, in two
// generations, so that old names are forgotten. Exact to about 5 % up to a few hundred names, then it stays
// below 1,420: far over every threshold.
class Sketch {
 public:
  // Forgets what is older than a generation or two; true if something may have been forgotten.
  bool expire(Instant now) {
    if (now - began_ < generation) return false;
    turn(now);
    return true;
  }
  // True if the name was not seen in this generation or the last.
  bool add(std::uint64_t hash) {
    const std::size_t word = (hash >> 6) % words;
    const std::uint64_t bit = std::uint64_t{1} << (hash & 63);
    const bool fresh = ((current_[word] | previous_[word]) & bit) == 0;
    if ((current_[word] & bit) == 0) {
      current_[word] |= bit;
      if (fresh) ++set_;
    }
    return fresh;
  }
  void start(Instant now) { began_ = now; }
  double distinct() const {
    const double empty = static_cast<double>(std::max(1u, bits - set_)) / bits;
    return -static_cast<double>(bits) * std::log(empty);
  }
  // By how much a fresh name stands for others that fell on a taken bit.
  double stands_for() const { return static_cast<double>(bits) / std::max(1u, bits - set_ + 1); }

 private:
  void turn(Instant now) {
    previous_ = now - began_ >= 2 * generation ? Words{} : current_;
    current_ = {};
    began_ = now;
    set_ = 0;
    for (const std::uint64_t word : previous_) set_ += static_cast<unsigned>(std::popcount(word));
  }
  static constexpr std::size_t words = 4;
  static constexpr unsigned bits = words * 64;
  using Words = std::array<std::uint64_t, words>;
  Words current_{}, previous_{};
  Instant began_{};
  unsigned set_ = 0;  // in either generation
};

// Who was told what about a zone. The level follows the score with hysteresis; a rise is told once.
struct Told {
  Level level = Level::quiet, told = Level::quiet;
  Instant last{};  // when the level was last as high as what was told

  bool rise(double score, Instant now) {
    const auto level_at = [score](double lower_by) {
      if (score >= tunnel_threshold - lower_by) return Level::tunnel;
      return score >= suspect_threshold - lower_by ? Level::suspect : Level::quiet;
    };
    level = std::max(level_at(0), std::min(level, level_at(hysteresis)));
    if (level < told && now - last >= retell_after) told = level;
    const bool rises = level > told;
    if (rises) told = level;
    if (level >= told) last = now;
    return rises;
  }
};

// The decayed sums behind a zone's features.
struct Counters {
  Sketch sketch;
  Instant decayed_at{};
  double distinct = 0;               // the sketch's, kept: it changes only with a fresh name
  double recent = 0;                 // queries, by rate_half_life
  double queries = 0, type_sum = 0;  // by half_life, as all below
  double names = 0, fresh = 0;       // fresh names described; the same, standing for unseen ones
  double octets = 0, label = 0, entropy = 0, structure = 0;  // sums over `names`
  double encoded = 0;
  double answers = 0, nxdomain = 0, answer_octets = 0;
  double charge = 0;

  void start(Instant now) {
    decayed_at = now;
    sketch.start(now);
  }

  void decay(Instant now) {
    if (sketch.expire(now)) distinct = sketch.distinct();
    const Instant passed = now - decayed_at;
    if (passed < decay_step) return;
    const auto left = [passed](Instant half) {
      return std::exp2(-static_cast<double>(passed.count()) / static_cast<double>(half.count()));
    };
    recent *= left(rate_half_life);
    const double keep = left(half_life);
    for (double* sum : {&queries, &type_sum, &names, &fresh, &octets, &label, &entropy, &structure, &encoded,
                        &answers, &nxdomain, &answer_octets, &charge})
      *sum *= keep;
    decayed_at = now;
  }

  // One more query. True if its name is fresh: then it is to be described. Repeats end here and stay cheap.
  bool count(std::uint64_t hash, Type asked) {
    recent += 1;
    queries += 1;
    type_sum += type_oddness(asked);
    return sketch.add(hash);
  }

  void describe(const NameShape& shape) {
    const double stands = sketch.stands_for();
    names += 1;
    fresh += stands;
    octets += static_cast<double>(shape.octets);
    label += static_cast<double>(shape.longest);
    entropy += shape.entropy;
    structure += shape.structure();
    encoded += static_cast<double>(shape.breaks) * stands;
    distinct = sketch.distinct();
  }

  Features features() const {
    const auto per = [](double sum, double of) { return of > 0 ? sum / of : 0; };
    Features now;
    now.distinct = distinct;
    now.structure = per(structure, names);
    now.encoded = encoded;
    now.length = per(octets, names);
    now.label = per(label, names);
    now.entropy = per(entropy, names);
    now.fresh = std::min(1.0, per(fresh, queries));
    now.types = per(type_sum, queries);
    // In the steady state a decayed count is rate x half-life / ln 2.
    now.rate = recent * 0.6931471805599453 *
               (std::chrono::duration<double>(std::chrono::minutes(1)) / rate_half_life);
    now.charge =
        charge * 0.6931471805599453 * (std::chrono::duration<double>(std::chrono::hours(1)) / half_life);
    now.nxdomain = per(nxdomain, answers);
    now.answer = per(answer_octets, answers);
    return now;
  }
};

using Index = std::uint32_t;
constexpr Index none = UINT32_MAX;

struct Zone {
  std::string name;  // wire form
  std::uint64_t hash = 0;
  Index newer = none, older = none;
  Counters counters;
  Told told;
};
static_assert(sizeof(Zone) <= 296, "detector.h states the memory of a zone");

// Where a name's zone begins: the octet offset of its rightmost `labels` labels.
std::size_t zone_offset(Octets wire, std::size_t labels) {
  std::array<std::uint8_t, 128> starts;  // a name has at most 127 labels
  std::size_t count = 0;
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
    starts[count++] = static_cast<std::uint8_t>(at);
  if (labels >= count) return 0;
  return labels == 0 ? wire.size() - 1 : starts[count - labels];
}

}  // namespace

struct SessionDetector::State {
  Limits limits;
  std::vector<Zone> zones;
  std::vector<Index> table;  // open addressing, linear probing, at most half full; power of two
  Index newest = none, oldest = none;
  Counters odd;  // the session's pseudo-zone
  Told odd_told;
  bool odd_started = false;
  Instant now{};

  std::size_t slot_of(std::uint64_t hash) const { return (hash >> 20) & (table.size() - 1); }

  Index find(Octets zone, std::uint64_t hash) const {
    if (table.empty()) return none;
    for (std::size_t slot = slot_of(hash);; slot = (slot + 1) & (table.size() - 1)) {
      const Index index = table[slot];
      if (index == none) return none;
      const Zone& known = zones[index];
      if (known.hash == hash && known.name.size() == zone.size() &&
          std::memcmp(known.name.data(), zone.data(), zone.size()) == 0)
        return index;
    }
  }

  Index find(const Name& name, std::size_t registered_labels) const {
    const Octets zone = name.wire().subspan(zone_offset(name.wire(), registered_labels));
    return find(zone, hash_octets(zone, limits.seed));
  }

  // Of the name's zone, decayed to `then`; nullptr: the zone is not known, or not any more.
  Counters* counters_now(const Name& name, std::size_t registered_labels, Instant then) {
    const Index index = find(name, registered_labels);
    if (index == none) return nullptr;
    now = std::max(now, then);
    zones[index].counters.decay(now);
    return &zones[index].counters;
  }

  void insert(Index index) {
    std::size_t slot = slot_of(zones[index].hash);
    while (table[slot] != none) slot = (slot + 1) & (table.size() - 1);
    table[slot] = index;
  }

  void erase(Index index) {  // backward shift, so that no tombstones gather
    const std::size_t mask = table.size() - 1;
    std::size_t hole = slot_of(zones[index].hash);
    while (table[hole] != index) hole = (hole + 1) & mask;
    for (std::size_t next = (hole + 1) & mask; table[next] != none; next = (next + 1) & mask) {
      const std::size_t home = slot_of(zones[table[next]].hash);
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      table[hole] = table[next];
      hole = next;
    }
    table[hole] = none;
  }

  void unlink(Index index) {
    Zone& zone = zones[index];
    (zone.newer == none ? newest : zones[zone.newer].older) = zone.older;
    (zone.older == none ? oldest : zones[zone.older].newer) = zone.newer;
  }

  void link_newest(Index index) {
    zones[index].newer = none;
    zones[index].older = newest;
    (newest == none ? oldest : zones[newest].newer) = index;
    newest = index;
  }

  Index make_room() {
    if (zones.size() < limits.zones) {
      if (2 * (zones.size() + 1) > table.size()) {
        table.assign(std::max<std::size_t>(16, table.size() * 2), none);
        for (Index index = 0; index < zones.size(); ++index) insert(index);
      }
      if (zones.size() == zones.capacity())
        zones.reserve(std::min(limits.zones, std::max<std::size_t>(8, 2 * zones.size())));
      zones.emplace_back();
      return static_cast<Index>(zones.size() - 1);
    }
    Index victim = oldest;
    int tries = eviction_tries;
    for (Index index = oldest; index != none && tries > 0; index = zones[index].newer, --tries) {
      if (zones[index].told.told != Level::quiet) continue;
      victim = index;
      break;
    }
    erase(victim);
    unlink(victim);
    return victim;
  }

  Zone& find_or_add(Octets name, std::uint64_t hash) {
    Index index = find(name, hash);
    if (index == none) {
      index = make_room();
      Zone& zone = zones[index];
      zone.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
      zone.hash = hash;
      zone.counters = {};
      zone.counters.start(now);
      zone.told = {};
      insert(index);
      link_newest(index);
    } else if (index != newest) {
      unlink(index);
      link_newest(index);
    }
    return zones[index];
  }

  // The odd ones among the session's names, in zones that are not known as tunnels already: one tunnel is one
  // story.
  bool note_odd(const NameShape& shape, std::uint64_t hash, Type asked) {
    if (!odd_started) {
      odd.start(now);
      odd_started = true;
    }
    odd.decay(now);
    if (odd.count(hash, asked)) odd.describe(shape);
    return odd_told.rise(score(odd.features(), session_half_volume), now);
  }
};

SessionDetector::SessionDetector(Limits limits) : state_(std::make_unique<State>()) {
  POSTERN_CHECK(limits.zones > 0 && limits.zones < none / 4);
  state_->limits = limits;
}
SessionDetector::~SessionDetector() = default;
SessionDetector::SessionDetector(SessionDetector&&) noexcept = default;
SessionDetector& SessionDetector::operator=(SessionDetector&&) noexcept = default;

Finding SessionDetector::observe(const Observation& observation) {
  State& state = *state_;
  const Query& query = *observation.query;
  const Octets wire = query.name.wire();
  const std::size_t offset = zone_offset(wire, observation.registered_labels);
  const Octets below = wire.first(offset);
  state.now = std::max(state.now, observation.now);

  const std::uint64_t zone_hash = hash_octets(wire.subspan(offset), state.limits.seed);
  const std::uint64_t name_hash = hash_octets(below, zone_hash);
  Zone& zone = state.find_or_add(wire.subspan(offset), zone_hash);
  zone.counters.decay(state.now);
  NameShape shape;
  const bool fresh = zone.counters.count(name_hash, query.type) && !below.empty();
  if (fresh) {
    shape = shape_of(below);
    zone.counters.describe(shape);
  }

  Finding finding;
  const Features features = zone.counters.features();
  finding.score = score(features, zone_half_volume);
  finding.crossed = zone.told.rise(finding.score, state.now);
  finding.level = zone.told.level;
  if (finding.crossed) finding.why = score_parts(features, zone_half_volume);

  if (fresh && !finding.crossed && zone.told.told != Level::tunnel && is_odd(shape, query.type) &&
      state.note_odd(shape, name_hash, query.type)) {
    const Features session = state.odd.features();
    finding.score = score(session, session_half_volume);
    finding.level = state.odd_told.level;
    finding.crossed = finding.session_wide = true;
    finding.why = score_parts(session, session_half_volume);
  }
  return finding;
}

void SessionDetector::answered(const Query& query, std::size_t registered_labels, int rcode,
                               std::size_t octets, Instant now) {
  Counters* const counters = state_->counters_now(query.name, registered_labels, now);
  if (counters == nullptr) return;
  counters->answers += 1;
  counters->nxdomain += rcode == static_cast<int>(Rcode::nxdomain);
  counters->answer_octets += static_cast<double>(octets);
}

void SessionDetector::charged(const Query& query, std::size_t registered_labels, double bits, Instant now) {
  if (Counters* const counters = state_->counters_now(query.name, registered_labels, now))
    counters->charge += bits;
}

std::vector<Contribution> SessionDetector::explain(const Name& name, std::size_t registered_labels) const {
  const Index index = state_->find(name, registered_labels);
  if (index == none) return {};
  return score_parts(state_->zones[index].counters.features(), zone_half_volume);
}

std::size_t SessionDetector::zones() const noexcept {
  return state_->zones.size();
}

std::size_t SessionDetector::memory_octets() const noexcept {
  std::size_t octets = sizeof *this + sizeof(State) + state_->zones.capacity() * sizeof(Zone) +
                       state_->table.capacity() * sizeof(Index);
  constexpr std::size_t inside = 15;  // a std::string of this length has no memory of its own
  for (const Zone& zone : state_->zones)
    if (zone.name.capacity() > inside) octets += zone.name.capacity() + 1;
  return octets;
}

}  // namespace postern
