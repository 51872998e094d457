// The file in use: binding everything to it, looking after it, and beginning anew when it is lost.
#include "resolver/journal/mend.h"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "resolver/journal/carry_over.h"

namespace postern {
namespace {

constexpr std::int64_t log_header_octets = 32,
                       frame_header_octets = 24;  // sqlite.org/fileformat2.html#walformat

std::string mebibytes(std::int64_t octets) {
  return std::to_string(octets >> 20) + " MiB";
}

}  // namespace

FileInUse::FileInUse(const Journal::Options& options, JournalFile file)
    : options_(options),
      file_(std::make_unique<JournalFile>(std::move(file))),
      last_aside_(Clock::now() - set_aside_every),
      aside_(file_->aside()),
      new_files_(aside_.empty() ? 0 : 1) {}

Result<std::unique_ptr<FileInUse>> FileInUse::open(const Journal::Options& options, CommitGate& gate) {
  auto file = JournalFile::open(options);
  if (!file) return tl::unexpected(file.error());
  std::unique_ptr<FileInUse> self(new FileInUse(options, std::move(*file)));
  auto for_rules = self->file_->connect();
  if (!for_rules) return tl::unexpected(for_rules.error());
  auto rules = RuleBook::open(std::move(*for_rules));
  if (!rules) return tl::unexpected(rules.error());
  self->rules_ = std::move(*rules);
  auto for_past = self->file_->connect();
  if (!for_past) return tl::unexpected(for_past.error());
  auto past = PastReader::open(std::move(*for_past));
  if (!past) return tl::unexpected(past.error());
  self->past_ = std::move(*past);
  auto for_outbox = self->file_->connect();
  if (!for_outbox) return tl::unexpected(for_outbox.error());
  auto outbox = OutboxReader::open(std::move(*for_outbox));
  if (!outbox) return tl::unexpected(outbox.error());
  self->outbox_ = std::move(*outbox);
  self->checkpointer_ = std::make_unique<Checkpointer>(Connection(), gate, options.wal_limit_octets);
  if (auto bound = self->bind(self->file_->first_id()); !bound) return tl::unexpected(bound.error());
  return self;
}

Result<void> FileInUse::bind(RowId next_id) {
  auto for_rules = file_->connect();
  if (!for_rules) return tl::unexpected(for_rules.error());
  if (auto used = rules_->use(std::move(*for_rules)); !used) return used;
  auto for_past = file_->connect();
  if (!for_past) return tl::unexpected(for_past.error());
  if (auto used = past_->use(std::move(*for_past)); !used) return used;
  auto for_outbox = file_->connect();
  if (!for_outbox) return tl::unexpected(for_outbox.error());
  if (auto used = outbox_->use(std::move(*for_outbox)); !used) return used;
  auto for_checkpoints = file_->connect();
  if (!for_checkpoints) return tl::unexpected(for_checkpoints.error());
  if (options_.sealed) {
    auto seal = SealWriter::open(file_->connection(), file_->boot(), file_.get() == sealed_file_);
    if (!seal) return tl::unexpected(seal.error());
    seal_ = std::move(*seal);
    sealed_file_ = file_.get();
  }
  auto writer = RecordWriter::create(file_->connection(), {options_.hooks, options_.max_pending_deliveries},
                                     names_, file_->boot_offset_us(), seal_.get());
  if (!writer) return tl::unexpected(writer.error());
  auto lister = Lister::create(file_->connection(), names_, next_id, file_->boot());
  if (!lister) return tl::unexpected(lister.error());
  auto pruner =
      Pruner::create(file_->connection(), seal_.get(), names_, **lister, options_.keep, file_->boot());
  if (!pruner) return tl::unexpected(pruner.error());
  auto watch = FileWatch::of(file_->path());
  if (!watch) return tl::unexpected(watch.error());
  watch_ = std::move(*watch);
  {
    const std::lock_guard lock(mutex_);
    readers_.watch(file_->path());
  }
  sqlite3_wal_hook(
      file_->connection().raw(),
      [](void* frames, sqlite3*, const char*, int count) {
        *static_cast<std::int64_t*>(frames) = count;
        return SQLITE_OK;
      },
      &wal_frames_);
  wal_frames_ = 0;
  checkpointer_->use(std::move(*for_checkpoints));
  writer_ = std::move(*writer);
  lister_ = std::move(*lister);
  pruner_ = std::move(*pruner);
  return {};
}

void FileInUse::unbind() {
  checkpointer_->release();
  pruner_.reset();
  lister_.reset();
  writer_.reset();
  seal_.reset();
  names_.clear();
  outbox_->release();
  past_->release();
  rules_->release();
}

const std::string& FileInUse::ready(RowId next_id) {
  const auto now = Clock::now();
  if (why_.empty() && now >= next_look_) {
    next_look_ = now + looked_every;
    state_ = watch_.look_at_all();
    if (state_ != FileWatch::State::in_place) {
      why_ = FileWatch::words(state_);
      next_try_ = now;  // mended at once, below
    }
  }
  if (!why_.empty() || damaged_) {
    if (now < next_try_) return why_;
    next_try_ = now + tried_every;
    why_ = mend(next_id);
    if (!why_.empty()) return why_;
  }
  if (checkpointer_->wal_octets() >= static_cast<std::uint64_t>(options_.wal_ceiling_octets)) {
    why_ = ceiling_reached();
    next_try_ = now;  // looked at again each time: it costs nothing
  }
  return why_;
}

bool FileInUse::still_there(std::string& why) {
  state_ = watch_.look();
  if (state_ == FileWatch::State::in_place) return true;
  why = "cannot write journal \"" + options_.path + "\": " + FileWatch::words(state_);
  why_ = why;
  next_try_ = Clock::now();
  return false;
}

void FileInUse::failed(int code) {
  if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) damaged_ = true;
}

void FileInUse::end(RowId last_id_drawn, const std::function<void()>& sealed) && {
  checkpointer_.reset();
  if (!file_->is_open() || damaged_) return;
  if (!options_.sealed) return file_->end(last_id_drawn);
  if (!seal_ || !writer_)
    return;  // an end that is not sealed would be called inserted: it is left as by a kill
  // When the disk is full even now, the next writer sees a boot without an end, skips ids, so that nothing is
  // reused, and seals what is left.
  const std::int64_t ended_us = clock_us(CLOCK_REALTIME);
  const std::string ending = file_->ending(last_id_drawn, ended_us);
  if (writer_->close(file_->boot(), ended_us, ending.c_str(), lister_->all_listed()) == SQLITE_OK) {
    sealed();
    if (seal_->has_signatures()) writer_->write({});
  }
  file_->fold();
}

std::int64_t FileInUse::wal_octets() const {
  return log_header_octets + wal_frames_ * (JournalFile::page_octets + frame_header_octets);
}

std::string FileInUse::ceiling_reached() const {
  const auto reader = wal_reader();
  return "cannot write journal \"" + options_.path + "\": its log has reached its limit of " +
         mebibytes(options_.wal_ceiling_octets) + (reader ? ", and cannot start over while " : "") +
         (!reader       ? ""
          : *reader > 0 ? "process " + std::to_string(*reader) + " reads an old state of it"
                        : "a process elsewhere reads an old state of it");
}

std::string FileInUse::aside() const {
  const std::lock_guard lock(mutex_);
  return aside_;
}

std::optional<pid_t> FileInUse::wal_reader() const {
  const std::lock_guard lock(mutex_);
  return readers_.one();
}

// Empty: done. Else why it is not.
std::string FileInUse::mend(RowId next_id) {
  const std::string cannot = "cannot write journal \"" + options_.path + "\": ";
  state_ = watch_.look_at_all();
  if (state_ == FileWatch::State::hidden) return cannot + FileWatch::words(state_);
  const bool whole = state_ == FileWatch::State::in_place && !damaged_;
  if (!options_.may_begin_anew && !whole)
    return cannot + (damaged_ ? "it is damaged" : FileWatch::words(state_)) +
           ", and no other file may take its place";
  if (was_set_aside_ && state_ == FileWatch::State::gone) return begin_anew(next_id, false);
  if (damaged_ || state_ == FileWatch::State::cut) {
    const auto now = Clock::now();
    if (state_ == FileWatch::State::gone || state_ == FileWatch::State::replaced)
      damaged_ = false;  // whatever it was, it is not here any more
    else if (now - last_aside_ < set_aside_every)
      return cannot + "it is damaged, less than a minute after another one was";
    else {
      unbind();
      auto aside = set_aside(options_.path);
      if (!aside) return aside.error().message;
      last_aside_ = now;
      damaged_ = false;
      was_set_aside_ = true;
      spdlog::error("journal \"{}\" is damaged; it was set aside beside it as \"{}\"", options_.path,
                    std::filesystem::path(*aside).filename().string());
      const std::lock_guard lock(mutex_);
      aside_ = std::move(*aside);
    }
    return was_set_aside_ ? begin_anew(next_id, false) : mend(next_id);
  }
  switch (state_) {
    case FileWatch::State::in_place:
      if (writer_ && file_->is_open()) return {};  // it is back, or was only held up
      break;
    case FileWatch::State::gone:
      return begin_anew(next_id, true);
    case FileWatch::State::replaced:
    case FileWatch::State::cut:
    case FileWatch::State::hidden:
      return cannot + FileWatch::words(state_);
    case FileWatch::State::beside:
      // What is in a log that nobody else can see is put where everybody can.
      checkpointer_->release();
      if (file_->is_open() && !file_->fold())
        return cannot + FileWatch::words(state_) + ", and " + not_folded();
      break;
  }
  unbind();
  file_->connection() = Connection();
  if (auto removed = watch_.remove_strangers(); !removed) return cannot + removed.error().message;
  auto opened = file_->reopen();
  if (opened) opened = bind(next_id);
  if (!opened) {
    damaged_ = file_->is_damaged();  // set aside at the next try
    return opened.error().message;
  }
  spdlog::warn("journal \"{}\" was opened again, with a new log beside it", options_.path);
  return {};
}

// Why the log could not be folded just now.
std::string FileInUse::not_folded() {
  if ((sqlite3_errcode(file_->connection().raw()) & 0xff) == SQLITE_BUSY)
    return "somebody still reads an old state of it";
  return "its log cannot be folded back: " + file_->connection().error();
}

std::string FileInUse::begin_anew(RowId next_id, bool fold) {
  const std::string cannot = "cannot write journal \"" + options_.path + "\": ";
  if (!was_set_aside_ && !file_->is_open())
    return cannot + FileWatch::words(state_) + " while it was closed; put it back, or restart Postern";
  unbind();
  if (fold && !file_->fold()) return cannot + FileWatch::words(state_) + ", and " + not_folded();
  if (watch_.has_strangers())
    return cannot + FileWatch::words(state_) + ", and another database's log is beside its place";
  auto begun = JournalFile::in_place_of(*file_, next_id, was_set_aside_ ? aside() : "");
  if (!begun) return begun.error().message;
  file_ = std::make_unique<JournalFile>(std::move(*begun));
  was_set_aside_ = false;
  new_files_.fetch_add(1, std::memory_order_relaxed);
  // It is ours from now on, even if not all can be bound to it just now.
  auto watch = FileWatch::of(file_->path());
  if (!watch) return watch.error().message;
  watch_ = std::move(*watch);
  spdlog::error("journal \"{}\" {}: a new one was begun, with the sandboxes, rules and ledgers of the old",
                options_.path, fold ? "was deleted or moved away" : "was damaged");
  if (auto bound = bind(next_id); !bound) return bound.error().message;
  return {};
}

}  // namespace postern
