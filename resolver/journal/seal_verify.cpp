// Verify: block by block, then what no block covers, then the heads.
#include "resolver/journal/seal_verify.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "resolver/journal/open_to_read.h"
#include "resolver/journal/schema.h"
#include "resolver/journal/seal_catalogue.h"
#include "resolver/journal/seal_heads.h"
#include "resolver/journal/seal_removed.h"
#include "resolver/journal/seal_rows.h"
#include "resolver/journal/seal_store.h"
#include "resolver/journal/seal_tables.h"

namespace postern {
namespace {

constexpr std::int64_t lowest_id = std::numeric_limits<std::int64_t>::min();
// Records between two calls of `progress`.
constexpr std::int64_t progress_every = 1 << 16;

std::string record_text(SealKind kind, std::int64_t id) {
  return std::string(seal_kind_text(kind)) + " " + std::to_string(id);
}

std::string table_text(SealKind kind) {
  if (kind == SealKind::detached) return "sandbox";
  if (kind == SealKind::boot_end) return "boot";
  return std::string(seal_kind_text(kind));
}

class Verifier {
 public:
  Verifier(Connection& connection, const VerifyOptions& options, SealRows rows, SealStore store,
           VerifyReport report)
      : connection_(connection),
        options_(options),
        rows_(std::move(rows)),
        store_(std::move(store)),
        report_(std::move(report)) {}

  Result<VerifyReport> run() {
    auto id = store_.journal_id();
    if (!id && connection_.text("SELECT value FROM meta WHERE key = 'journal_id'"))
      return without_id("was changed: it is none", id.error());
    if (!id) return tl::unexpected(id.error());
    if (!*id)
      return without_id("was removed: there are blocks",
                        Error{"cannot verify journal \"" + connection_.path() +
                              "\": it was never sealed (written by an older Postern, or not opened since)"});
    report_.journal = **id;
    for (const auto step : {&Verifier::sort_given_heads, &Verifier::read_tombstones, &Verifier::walk,
                            &Verifier::look_for_others, &Verifier::check_catalogue, &Verifier::check_heads})
      if (auto done = (this->*step)(); !done) return tl::unexpected(done.error());
    if (report_.all_findings > 0) report_.verdict = VerifyReport::Verdict::altered;
    return std::move(report_);
  }

 private:
  // Its id is written in the transaction of its first block.
  Result<VerifyReport> without_id(const std::string& why, const Error& unsealed) {
    const auto sealed = connection_.integer(
        "SELECT EXISTS (SELECT 1 FROM seal) OR EXISTS (SELECT 1 FROM seal_head)"
        " OR EXISTS (SELECT 1 FROM seal_tombstone)");
    if (!sealed) return tl::unexpected(sealed.error());
    if (*sealed == 0) return tl::unexpected(unsealed);
    found("meta journal_id", "meta", 0, 0, why);
    report_.verdict = VerifyReport::Verdict::altered;
    return std::move(report_);
  }

  void found(const std::string& record, const std::string& table, std::int64_t id, std::int64_t block,
             const std::string& what) {
    ++report_.all_findings;
    if (report_.findings.size() < VerifyReport::findings_kept)
      report_.findings.push_back({record, table, id, block, what});
  }
  void found_record(SealKind kind, std::int64_t id, std::int64_t block, const std::string& what) {
    found(record_text(kind, id), table_text(kind), id, block, what);
  }
  void found_block(std::int64_t block, const std::string& what) {
    found("block " + std::to_string(block), "seal", block, block, what);
  }

  Result<void> sort_given_heads() {
    if (!options_.with_heads) return {};
    given_ = heads_of(options_, report_.journal);
    report_.heads_of_others = given_.of_others;
    report_.heads_bad = given_.bad;
    const auto last = connection_.integer("SELECT max(block) FROM seal");
    if (!last) return tl::unexpected(last.error());
    for (const SignedHead& head : given_.heads) {
      if (!options_.copy || head.block <= *last) continue;
      ++report_.heads_later;
      report_.last_later_us = std::max(report_.last_later_us, head.time_us);
    }
    if (report_.heads_later > 0)
      std::erase_if(given_.heads, [&](const SignedHead& head) { return head.block > *last; });
    report_.heads_used = static_cast<std::int64_t>(given_.heads.size());
    if (!given_.heads.empty() || report_.heads_later > 0) return {};
    return failure("cannot verify journal \"" + connection_.path() + "\": of the " +
                   std::to_string(options_.heads.size()) + " heads given, " +
                   std::to_string(given_.of_others) + " are of other journals and " +
                   std::to_string(given_.bad) + " are not signed by the key");
  }

  Result<void> read_tombstones() {
    std::set<std::int64_t> signed_blocks;
    if (options_.with_heads) {
      auto stored = store_.heads();
      if (!stored) return tl::unexpected(stored.error());
      signed_blocks = blocks_signed_by(given_, *stored);
    }
    if (auto read = removed_.read(store_, signed_blocks); !read) return read;
    if (!removed_.unreadable().empty()) found("a tombstone", "seal_tombstone", 0, 0, removed_.unreadable());
    before_block_ = removed_.gone().block;
    before_records_ = removed_.gone().records;
    before_head_ = removed_.gone().head;
    if (options_.with_heads && before_block_ > 0 && !removed_.gone_is_vouched())
      report_.front_unvouched = before_block_;
    return {};
  }

  Result<void> walk() {
    const auto total = connection_.integer("SELECT records FROM seal ORDER BY block DESC LIMIT 1");
    if (!total) return tl::unexpected(total.error());
    if (before_block_ == 0) before_head_ = first_head(report_.journal);
    report_.pruned = before_records_;
    Result<void> trouble;
    auto done = store_.each(false, [&](const SealBlock& block, const std::string& broken) {
      if (block.number <= before_block_) {
        found_block(block.number, "stands where an earlier one should be");
        return true;
      }
      ++report_.blocks;
      trouble = look_at(block, broken);
      if (report_.records + report_.pruned >= told_ + progress_every && options_.progress) {
        told_ = report_.records + report_.pruned;
        options_.progress(told_, *total);
      }
      return trouble.has_value();
    });
    if (!trouble) return trouble;
    for (const std::int64_t id : removed_.tombstones())
      if (!covered_.has(SealKind::tombstone, id))
        found_record(SealKind::tombstone, id, 0, "is not sealed: it excuses nothing");
    return done;
  }

  Result<void> look_at(const SealBlock& block, const std::string& broken) {
    bool chained = true;
    if (block.number != before_block_ + 1) {
      chained = false;
      const std::string first = std::to_string(before_block_ + 1), last = std::to_string(block.number - 1);
      found_block(before_block_ + 1, first == last ? "is missing" : "to block " + last + " are missing");
    }
    auto runs = read_cover(block.cover);
    const bool sound = chained && broken.empty() && runs.has_value() &&
                       head_of(report_.journal, before_head_, block) == block.head;
    if (!broken.empty())
      found_block(block.number, "has " + broken);
    else if (!runs)
      found_block(block.number, "was changed: " + runs.error().message);
    else if (chained && !sound)
      found_block(block.number,
                  "was changed, or the one before it was put in its place: its head does not fit");
    before_block_ = block.number;
    before_head_ = block.head;
    if (!runs) runs = std::vector<SealRun>();
    const std::uint64_t count = records_in(*runs);
    if (count > max_block_records || block.leaves.size() != count * leaf_octets ||
        (chained && sound &&
         block.records != before_records_ + static_cast<std::int64_t>(new_records_in(*runs, block.flags)))) {
      if (sound) found_block(block.number, "does not count its records right");
      runs->clear();
    }
    before_records_ = block.records;
    if ((block.flags & seal_moved) != 0)  // not all that was before it is gone
      report_.pruned -= static_cast<std::int64_t>(counted_in(*runs) - new_records_in(*runs, block.flags));
    auto done = compare(block, *runs, sound);
    WalkedBlock& walked = walked_[block.number];
    walked.head = block.head;
    walked.records = block.records;
    walked.last_asked = std::max(last_asked_, covered_.highest(SealKind::asked));
    last_asked_ = walked.last_asked;
    for (const SealRun& run : *runs)
      if (walked.first_record.empty() && !is_mark(run.kind))
        walked.first_record = record_text(run.kind, run.first);
    report_.last_block = block.number;
    report_.last_block_us = block.time_us;
    report_.closed = (block.flags & seal_closing) != 0;
    if (report_.closed && (block.flags & seal_unlisted) == 0) listed_upto_ = last_asked_;
    if ((block.flags & seal_recovered) == 0) {
      recovered_at_once_ = 0;
      return done;
    }
    const auto recovered = static_cast<std::int64_t>(counted_in(*runs));
    report_.recovered += recovered;
    report_.last_recovered_block = block.number;
    recovered_at_once_ += recovered;
    if (recovered_at_once_ >= SealTail::fewer_than && recovered_at_once_ - recovered < SealTail::fewer_than)
      found_block(block.number, "seals more records after a kill than a writer leaves: some were inserted");
    return done;
  }

  // What was there before the first block is said there, and where it moves to; from where on gaps are
  // sealed, again and again, in an older chain before the first of them.
  bool may_mark(const SealBlock& block, const SealRun& run) const {
    if (run.count != 1) return false;
    if (run.kind == SealKind::finished || run.kind == SealKind::stranger) return true;
    const bool first = block.number == 1 || (block.flags & seal_moved) != 0;
    if (run.kind != SealKind::before_gap) return first;
    if (gaps_before_) return run.first == *gaps_before_;
    return first || removed_.gone().block > 0 || covered_.highest(SealKind::gap) == 0;
  }

  // The records that a block covers, as the tables have them now, against what it says they were.
  Result<void> compare(const SealBlock& block, const std::vector<SealRun>& runs, bool sound) {
    Sha256 content, hash;
    std::size_t at = 0;
    bool all_there = true, all_fit = true;
    // While the block itself is in doubt, its leaves prove nothing against a record.
    const char* const changed =
        sound ? "was changed" : "is not what its block says, and the block was changed";
    const auto leaf_fits = [&](const Digest& leaf) {
      const bool fits = std::equal(leaf.begin(), leaf.begin() + leaf_octets,
                                   reinterpret_cast<const std::uint8_t*>(block.leaves.data()) + at);
      at += leaf_octets;
      content.add(leaf);
      all_fit = all_fit && fits;
      return fits;
    };
    for (const SealRun& run : runs) {
      if (is_mark(run.kind)) {
        hash.add(SealSpelling().mark(run.kind, run.first));
        if (!may_mark(block, run) || !leaf_fits(hash.finish())) {
          found_block(block.number, "has a mark that does not fit");
          return {};
        }
      }
      if (run.kind == SealKind::finished) tail_.finished = std::max(tail_.finished, run.first);
      if (run.kind == SealKind::stranger) tail_.note_stranger(run.first);
      if (run.kind == SealKind::before_gap) gaps_before_ = run.first;
      if (!is_counted(run.kind)) continue;  // may be said again
      if (!covered_.add(run))
        found_block(block.number, "covers " + record_text(run.kind, run.first) + " once more");
      if (is_mark(run.kind)) continue;
      std::int64_t next = run.first;
      const auto missing_before = [&](std::int64_t id) {
        std::int64_t first_missing = 0, count = 0;
        for (; next < id; ++next) {
          at += leaf_octets;
          all_there = false;
          if (removed_.all().has(run.kind, next)) {
            ++report_.pruned;
            if (block.number <= given_.last_block() && !removed_.is_vouched(run.kind, next) &&
                report_.pruned_unvouched++ == 0)
              report_.first_unvouched = record_text(run.kind, next);
          } else if (count++ == 0) {
            first_missing = next;
          }
        }
        if (count == 1) found_record(run.kind, first_missing, block.number, "was removed");
        if (count > 1)
          found_record(run.kind, first_missing, block.number,
                       "was removed, and " + std::to_string(count - 1) + " more of its block after it");
      };
      const auto done =
          rows_.each(run.kind, run.first, run.last(), [&](std::int64_t id, std::string_view octets) {
            missing_before(id);
            ++next;
            ++report_.records;
            hash.add(octets);
            if (!leaf_fits(hash.finish())) found_record(run.kind, id, block.number, changed);
            return true;
          });
      if (!done) return done;
      missing_before(run.last() + 1);
    }
    if (all_there && !runs.empty() && content.finish() != block.content && all_fit)
      found_block(block.number,
                  "holds a record that was changed so that its short hash fits; which one cannot be told");
    return {};
  }

  // Rows that no block covers: from before the first block, after the last one, or smuggled in.
  Result<void> look_for_others() {
    tail_.covered = &covered_;
    tail_.closed = report_.closed;
    if (auto found = tail_.of_boot(connection_, covered_.highest(SealKind::boot)); !found) return found;
    for (std::uint8_t number = first_row_kind; number <= last_row_kind; ++number) {
      const auto kind = SealKind(number);
      const std::int64_t before = kind == SealKind::gap  // older writers left them out
                                      ? gaps_before_.value_or(std::numeric_limits<std::int64_t>::max())
                                      : covered_.highest(SealKind(number | before_mark));
      SealRun run = covered_.at_or_after(kind, lowest_id);
      const auto done = rows_.ids(kind, lowest_id, [&](std::int64_t id) {
        while (run.count != 0 && id > run.last()) run = covered_.at_or_after(kind, id);
        if (run.count != 0 && run.first <= id) return true;
        if (id > 0 && id <= before) {
          ++report_.unsealed_before;
        } else if (id > 0 && tail_.allows(kind, id) && !removed_.all().has(kind, id)) {
          if (report_.unsealed++ == 0) report_.first_unsealed = record_text(kind, id);
        } else {
          found_record(kind, id, 0, "was inserted, or the block that covered it was removed");
        }
        return true;
      });
      if (!done) return done;
    }
    if (report_.unsealed >= SealTail::fewer_than)
      found(report_.first_unsealed, "", 0, 0,
            "and " + std::to_string(report_.unsealed - 1) +
                " more are not sealed, more than a writer leaves: some were inserted");
    return {};
  }

  Result<void> check_catalogue() {
    CatalogueFacts facts;
    facts.listed_upto = listed_upto_;
    facts.unsealed_before =
        covered_.highest(SealKind(static_cast<std::uint8_t>(SealKind::asked) | before_mark));
    // Once blocks have gone from the front, their tombstones have, too: what no block covers may be theirs,
    // also behind the last row that is left (evidence may be older than all that went).
    facts.may_be_gone = [&](std::int64_t id) {
      return removed_.all().has(SealKind::asked, id) ||
             (removed_.gone().block > 0 && id > 0 && !covered_.has(SealKind::asked, id));
    };
    CatalogueFound to;
    to.difference = [&](const std::string& what, const std::string& table, std::int64_t id,
                        const std::string& why) { found(what, table, id, 0, why); };
    to.unlisted = [&](std::int64_t id) {
      if (report_.unlisted++ == 0) report_.first_unlisted = id;
    };
    if (auto done = differing_indexes(connection_, to, options_.checking); !done) return done;
    if (options_.checking) options_.checking("the catalogue");
    return differing_catalogue(connection_, facts, to);
  }

  // Reads both kinds of heads against the blocks that were walked.
  Result<void> check_heads() {
    auto stored = store_.heads();
    if (!stored) return tl::unexpected(stored.error());
    const auto found_at = [&](std::int64_t block, const std::string& what) { found_block(block, what); };
    check_own_heads(*stored, options_.key, walked_, before_block_, report_, found_at);
    if (options_.with_heads) check_given_heads(given_, walked_, report_, found_at);
    return {};
  }

  Connection& connection_;
  const VerifyOptions& options_;
  SealRows rows_;
  SealStore store_;
  VerifyReport report_;
  GivenHeads given_;
  RemovedRecords removed_;
  SealSet covered_;
  SealTail tail_;
  std::int64_t recovered_at_once_ = 0;
  std::optional<std::int64_t> gaps_before_;
  WalkedBlocks walked_;
  std::int64_t before_block_ = 0, before_records_ = 0, last_asked_ = 0, told_ = 0;
  std::int64_t listed_upto_ = 0;  // a clean end says that all up to this row are in the catalogue
  Digest before_head_{};
};

Result<Connection> open_to_read(const std::string& path) {
  const auto newest = static_cast<std::int64_t>(migrations().size());
  auto connection = open_to_read_journal(path);
  if (!connection) return connection;
  for (const char* pragma : {"PRAGMA query_only = ON", "PRAGMA temp_store = MEMORY", "BEGIN"})
    if (auto done = connection->run(pragma); !done) return tl::unexpected(done.error());
  const auto version = connection->integer("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  if (*version != newest)
    return failure(
        "cannot verify journal \"" + path + "\": its schema is version " + std::to_string(*version) +
        ", and this Postern reads the seals of version " + std::to_string(newest) +
        "; keep it as it is, and verify a copy that `postern journal vacuum` has brought up to date");
  return connection;
}

}  // namespace

Result<VerifyReport> verify_journal(const VerifyOptions& options) {
  auto connection = open_to_read(options.path);
  if (!connection) return tl::unexpected(connection.error());
  VerifyReport report;
  bool readable = true;
  TablesFound found;
  found.difference = [&](const std::string& what, const std::string& why) {
    readable = readable && !what.starts_with("table ");
    ++report.all_findings;
    if (report.findings.size() < VerifyReport::findings_kept)
      report.findings.push_back({what, "", 0, 0, why});
  };
  found.newer = [&](const std::string& word) {
    if (report.newer_words.size() < VerifyReport::findings_kept) report.newer_words.push_back(word);
  };
  auto compared = differing_tables(*connection, found);
  if (!compared) return tl::unexpected(compared.error());
  if (!readable) {  // what a table of another shape says proves nothing
    report.verdict = VerifyReport::Verdict::altered;
    return report;
  }
  auto rows = SealRows::open(*connection);
  if (!rows) return tl::unexpected(rows.error());
  auto store = SealStore::open(*connection);
  if (!store) return tl::unexpected(store.error());
  return Verifier(*connection, options, std::move(*rows), std::move(*store), std::move(report)).run();
}

}  // namespace postern
