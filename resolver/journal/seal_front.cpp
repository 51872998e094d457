// The front of the chain of seals: surveyed once, counted now and then, and moved.
#include "resolver/journal/seal_front.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace postern {
namespace {

constexpr std::string_view blocks_after =
    "SELECT block, time_us, flags, records, cover, leaves, content, head FROM seal WHERE block > ?1"
    " ORDER BY block";
constexpr std::string_view covers_after = "SELECT block, cover FROM seal WHERE block > ?1 ORDER BY block";
constexpr std::string_view tombstones_between =
    "SELECT id, removed, upto_block, upto_records, upto_head FROM seal_tombstone"
    " WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
constexpr std::string_view furthest =
    "SELECT upto_block, upto_records, upto_head FROM seal_tombstone ORDER BY upto_block DESC, id LIMIT 1";

bool read_digest(const std::string& octets, Digest& into) {
  if (octets.size() != into.size()) return false;
  std::copy(octets.begin(), octets.end(), into.begin());
  return true;
}

bool fits(const Digest& leaf, const SealBlock& block, std::size_t at) {
  return at + leaf_octets <= block.leaves.size() &&
         std::equal(leaf.begin(), leaf.begin() + leaf_octets,
                    reinterpret_cast<const std::uint8_t*>(block.leaves.data()) + at);
}

Digest leaf_of(std::string_view octets) {
  Sha256 hash;
  hash.add(octets);
  return hash.finish();
}

}  // namespace

struct SealFront::Statements {
  Statement blocks, covers, tombstones;
};

struct SealFront::Front {
  std::vector<SealEntry> left;           // records that are to be sealed anew
  std::vector<std::int64_t> tombstones;  // that go with their blocks
};

SealFront::SealFront(Connection& connection, SealWriter& seal)
    : connection_(connection), seal_(seal), sql_(std::make_unique<Statements>()) {}
SealFront::~SealFront() = default;

Result<std::unique_ptr<SealFront>> SealFront::create(Connection& connection, SealWriter& seal) {
  std::unique_ptr<SealFront> front(new SealFront(connection, seal));
  for (const auto& [statement, text] : {std::pair{&front->sql_->blocks, blocks_after},
                                        {&front->sql_->covers, covers_after},
                                        {&front->sql_->tombstones, tombstones_between}}) {
    auto prepared = connection.prepare(text);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  auto rows = SealRows::open(connection);
  if (!rows) return tl::unexpected(rows.error());
  front->rows_.emplace(std::move(*rows));
  front->gone_.head = first_head(seal.head().journal);
  auto last = connection.prepare(furthest);
  if (!last) return tl::unexpected(last.error());
  const int code = last->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE)  // else the front would begin at the first head again
    return tl::unexpected(connection.failed("cannot read the furthest tombstone"));
  if (code == SQLITE_ROW && last->integer(0) > 0) {
    front->gone_.block = last->integer(0);
    front->gone_.records = last->integer(1);
    if (!read_digest(last->octets(2), front->gone_.head))
      front->hold(front->gone_.block, "the tombstone that keeps its head cannot be read");
  }
  return front;
}

void SealFront::hold(std::int64_t block, const std::string& why) {
  phase_ = Phase::idle;
  held_ = "block " + std::to_string(block) + " of the seals stays, and all behind it: " + why;
  spdlog::error("journal \"{}\": {}; see postern journal verify", connection_.path(), held_);
}

void SealFront::removed(std::span<const SealRun> runs) {
  for (const SealRun& run : runs)
    if (run.kind != SealKind::outcome) removed_.add(run);
}

void SealFront::begin(RowId passed) {
  passed_ = passed;
  records_ = live_ = blocks_ = 0;
  upto_ = count_at_ = gone_.block;
  if (!surveyed_) at_ = gone_;
  phase_ = !held_.empty() ? Phase::idle : surveyed_ ? Phase::count : Phase::survey;
}

int SealFront::look() {
  return phase_ == Phase::survey ? survey() : count();
}

// Blocks behind that one, until `found` has had enough. SQLITE_OK or the error.
int SealFront::read(std::int64_t after,
                    const std::function<bool(const SealBlock&, const std::string&)>& found) {
  Statement& rows = sql_->blocks;
  rows.bind(1, after);
  int code = SQLITE_DONE;
  while ((code = rows.step()) == SQLITE_ROW) {
    SealBlock block{rows.integer(0),
                    rows.integer(1),
                    rows.integer(2),
                    rows.integer(3),
                    rows.octets(4),
                    rows.octets(5),
                    {},
                    {}};
    const bool whole = read_digest(rows.octets(6), block.content) && read_digest(rows.octets(7), block.head);
    if (!found(block, whole ? "" : "a hash of it has not 32 octets")) break;
  }
  rows.reset();
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

bool SealFront::follows(const SealFrontier& before, const SealBlock& block) const {
  return block.number == before.block + 1 && head_of(seal_.head().journal, before.head, block) == block.head;
}

// The whole chain, once: only then a tombstone in the file is worth more than whoever wrote it.
int SealFront::survey() {
  const auto until = Clock::now() + step_time;
  int looked = 0, inner = SQLITE_OK;
  std::string wrong;
  const int code = read(at_.block, [&](const SealBlock& block, const std::string& broken) {
    const auto runs = read_cover(block.cover);
    wrong = !broken.empty() ? broken : !runs ? runs.error().message : "";
    if (wrong.empty() && !follows(at_, block)) wrong = "it does not follow the one before it";
    if (wrong.empty()) inner = check_tombstones(block, *runs, wrong);
    if (!wrong.empty()) hold(block.number, wrong);
    if (!wrong.empty() || inner != SQLITE_OK) return false;
    at_ = {block.number, block.records, block.head};
    return ++looked < step_blocks && Clock::now() < until;
  });
  if (code != SQLITE_OK || inner != SQLITE_OK) return code != SQLITE_OK ? code : inner;
  if (!held_.empty() || at_.block < seal_.head().block) {
    if (held_.empty() && looked == 0) hold(at_.block + 1, "it is missing");
    return SQLITE_OK;
  }
  if (at_.head != seal_.head().head)
    hold(at_.block, "it is not the last one that was written");
  else if (told_.block != gone_.block || (gone_.block > 0 && told_.head != gone_.head))
    hold(gone_.block + 1, "what went before it is not told under seal");
  else
    surveyed_ = true;
  if (surveyed_) phase_ = Phase::count;
  return SQLITE_OK;
}

// Tombstones that a block covers: held against their leaves, and against all 32 octets where the block has
// nothing else; and what they say kept.
int SealFront::check_tombstones(const SealBlock& block, std::span<const SealRun> runs, std::string& wrong) {
  std::size_t at = 0;
  Sha256 content;
  for (const SealRun& run : runs) {
    const std::size_t begin = at;
    at += run.count * leaf_octets;
    if (is_mark(run.kind)) content.add(leaf_of(SealSpelling().mark(run.kind, run.first)));
    if (run.kind != SealKind::tombstone) continue;
    std::int64_t next = run.first;
    auto read = rows_->each(run.kind, run.first, run.last(), [&](std::int64_t id, std::string_view octets) {
      const auto offset = static_cast<std::size_t>(id - run.first) * leaf_octets;
      const Digest leaf = leaf_of(octets);
      if (id == next && fits(leaf, block, begin + offset)) ++next;
      content.add(leaf);
      return true;
    });
    if (!read) return SQLITE_ERROR;
    if (next != run.last() + 1) {
      wrong = "tombstone " + std::to_string(next) + " is not what it was";
      return SQLITE_OK;
    }
    Statement& rows = sql_->tombstones;
    rows.bind(1, run.first);
    rows.bind(2, run.last());
    int code = SQLITE_DONE;
    while ((code = rows.step()) == SQLITE_ROW) {
      if (const auto gone = read_cover(rows.octets(1))) removed(*gone);
      if (rows.integer(2) <= told_.block) continue;
      told_ = {rows.integer(2), rows.integer(3), {}};
      read_digest(rows.octets(4), told_.head);
    }
    rows.reset();
    if (code != SQLITE_DONE) return code;
  }
  if (has_tombstones_alone(runs) && content.finish() != block.content)
    wrong = "a tombstone of it was changed so that its short hash fits";
  return SQLITE_OK;
}

bool SealFront::passed(std::span<const SealRun> runs) const {
  return std::all_of(runs.begin(), runs.end(), [&](const SealRun& run) {
    return (run.kind != SealKind::asked && run.kind != SealKind::outcome) || run.last() <= passed_;
  });
}

// How many of their records are there, tombstones apart: those go with their block.
int SealFront::live_in(std::span<const SealRun> runs, std::int64_t& live) {
  for (const SealRun& run : runs) {
    if (run.kind == SealKind::tombstone || !is_counted(run.kind)) continue;
    const auto kind = SealKind(static_cast<std::uint8_t>(static_cast<std::uint8_t>(run.kind) & ~before_mark));
    auto read = rows_->ids(kind, is_mark(run.kind) ? 1 : run.first, [&](std::int64_t id) {
      if (id <= run.last()) ++live;
      return id < run.last() && !is_mark(run.kind);
    });
    if (!read) return SQLITE_ERROR;
  }
  return SQLITE_OK;
}

int SealFront::count() {
  const auto until = Clock::now() + step_time;
  Statement& rows = sql_->covers;
  rows.bind(1, count_at_);
  int looked = 0, code = SQLITE_DONE;
  bool more = false;
  // The newest block stays: the head that is signed next.
  while ((code = rows.step()) == SQLITE_ROW) {
    const std::int64_t number = rows.integer(0);
    const auto runs = read_cover(rows.octets(1));
    if (number >= seal_.head().block || !runs || !passed(*runs)) break;
    if (code = live_in(*runs, live_); code != SQLITE_OK) break;
    records_ += static_cast<std::int64_t>(records_in(*runs));
    ++blocks_;
    upto_ = count_at_ = number;
    more = ++looked == step_blocks || Clock::now() >= until;
    if (more) break;
  }
  rows.reset();
  if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) return code;
  if (!more) decide();
  return SQLITE_OK;
}

void SealFront::decide() {
  const auto octets = static_cast<std::int64_t>(leaf_octets);
  const std::int64_t gain = (records_ - live_) * octets + blocks_ * block_octets;
  phase_ = gain >= least_gain && gain >= 2 * live_ * octets ? Phase::move : Phase::idle;
}

bool SealFront::excused(SealKind kind, std::int64_t id) const {
  // Retention removes a query and its outcome together.
  return removed_.has(kind == SealKind::outcome ? SealKind::asked : kind, id);
}

// What is left of a block. `wrong`: why it must stay where it is.
int SealFront::take(const SealBlock& block, Front& front, std::string& wrong) {
  const auto runs = read_cover(block.cover);
  if (!runs || block.leaves.size() != records_in(*runs) * leaf_octets) {
    wrong = "it cannot be read";
    return SQLITE_OK;
  }
  const std::size_t before = front.left.size(), tombstones_before = front.tombstones.size();
  std::size_t at = 0;
  Sha256 content;
  bool all_there = true;
  for (const SealRun& run : *runs) {
    if (is_mark(run.kind)) {  // needed while rows from before the first block are there
      const Digest leaf = leaf_of(SealSpelling().mark(run.kind, run.first));
      std::int64_t live = 0;  // what is not counted the writer says again
      if (const int code = live_in({&run, 1}, live); code != SQLITE_OK) return code;
      if (!fits(leaf, block, at)) wrong = "a mark of it is not what it was";
      const bool again = std::any_of(front.left.begin(), front.left.end(), [&](const SealEntry& entry) {
        return entry.kind == run.kind && entry.id == run.first;
      });
      if ((live > 0 || run.kind == SealKind::stranger) && !again)
        front.left.push_back({run.kind, run.first, leaf});
      content.add(leaf);
      at += leaf_octets;
      continue;
    }
    std::int64_t next = run.first;
    const auto gone_before = [&](std::int64_t id) {
      for (; next < id; ++next, at += leaf_octets, all_there = false)
        if (wrong.empty() && !excused(run.kind, next))
          wrong = std::string(seal_kind_text(run.kind)) + " " + std::to_string(next) +
                  " is gone, and no tombstone says so";
    };
    auto read = rows_->each(run.kind, run.first, run.last(), [&](std::int64_t id, std::string_view octets) {
      gone_before(id);
      const Digest leaf = leaf_of(octets);
      if (wrong.empty() && !fits(leaf, block, at))
        wrong = std::string(seal_kind_text(run.kind)) + " " + std::to_string(id) + " is not what it was";
      if (run.kind == SealKind::tombstone)
        front.tombstones.push_back(id);
      else
        front.left.push_back({run.kind, id, leaf});
      content.add(leaf);
      ++next;
      at += leaf_octets;
      return wrong.empty();
    });
    if (!read) return SQLITE_ERROR;
    if (wrong.empty()) gone_before(run.last() + 1);
    if (!wrong.empty()) break;
  }
  // What fits a leaf's few octets may still be forged: what is sealed anew gets all 32 of them.
  if (wrong.empty() && all_there && content.finish() != block.content)
    wrong = "a record of it was changed so that its short hash fits";
  if (wrong.empty()) return SQLITE_OK;
  front.left.resize(before);
  front.tombstones.resize(tombstones_before);
  return SQLITE_OK;
}

int SealFront::move(std::int64_t now_us) {
  const auto until = Clock::now() + step_time;
  Front front;
  std::size_t left = 0, tombstones = 0;  // of `front`, of blocks that the next one follows
  SealFrontier at = gone_;
  after_ = gone_;
  std::string wrong;
  std::int64_t wrong_at = 0;
  int looked = 0, inner = SQLITE_OK;
  const int code = read(gone_.block, [&](const SealBlock& block, const std::string& broken) {
    wrong_at = block.number;
    wrong = broken;
    if (wrong.empty() && !follows(at, block)) wrong = "it does not follow the one before it";
    if (!wrong.empty()) return false;
    after_ = at;
    left = front.left.size();
    tombstones = front.tombstones.size();
    if (block.number > upto_ || ++looked > step_blocks || front.left.size() >= step_moved ||
        (looked > 1 && Clock::now() >= until))
      return false;
    inner = take(block, front, wrong);
    if (inner != SQLITE_OK || !wrong.empty()) return false;
    at = {block.number, block.records, block.head};
    return true;
  });
  if (code != SQLITE_OK || inner != SQLITE_OK) return code != SQLITE_OK ? code : inner;
  if (!wrong.empty()) hold(wrong_at, wrong);
  if (after_.block == gone_.block) {
    phase_ = Phase::idle;
    return SQLITE_OK;
  }
  front.left.resize(left);
  front.tombstones.resize(tombstones);
  return seal_.move_front(after_, std::move(front.left), front.tombstones, now_us);
}

void SealFront::moved() {
  gone_ = after_;
  if (gone_.block >= upto_) phase_ = Phase::idle;
}

}  // namespace postern
