// Writing the log in one piece: the file system's calls, and which writes are frames that follow.
#include "resolver/journal/log_gather.h"

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace postern {
namespace {

constexpr int frame_header_size = 24;
constexpr int least_page = 512;

// SQLite writes its log without holes: one that ends before `at` was cut by somebody else, and what it held
// is lost. Behind a hole nobody would find what was written after it.
int write_after_its_end(sqlite3_file* file, const void* from, int size, std::int64_t at) {
  sqlite3_int64 end = 0;
  if (const int code = file->pMethods->xFileSize(file, &end); code != SQLITE_OK) return code;
  if (end < at) return SQLITE_CORRUPT;
  return file->pMethods->xWrite(file, from, size, at);
}

// The log's end, as the frames build it.
//
// Invariant: what SQLite was told is written is in the file, or in `octets_`, or `lost_from_` says from where
// on it is not; then nothing behind that is written or read until SQLite goes back there, as it does when the
// transaction is over: one that has lost frames can only end in an error.
class LogEnd {
 public:
  LogEnd() { octets_.reserve(max_gathered_octets); }

  int write(sqlite3_file* file, const void* from, int size, std::int64_t at) {
    // The log's header, or a frame's: a page alone is one that is written again in the same transaction.
    if (at <= lost_from_ && (at == 0 || size == frame_header_size)) lost_from_ = none;
    if (lost_from_ != none) return lost_code_;
    const bool header = size == frame_header_size && at == end_ && !header_open_;
    const bool page = header_open_ && size >= least_page && at == end_ + frame_header_size;
    if (header && octets_.size() + frame_header_size + page_octets_ > max_gathered_octets)
      if (const int code = flush(file); code != SQLITE_OK) return code;
    if (header || page) {
      const auto* octets = static_cast<const std::uint8_t*>(from);
      if (octets_.empty()) begin_ = at;
      octets_.insert(octets_.end(), octets, octets + size);
      if (header) {
        // A frame that commits says how many pages the database has now; any other says 0.
        commits_ = octets[4] != 0 || octets[5] != 0 || octets[6] != 0 || octets[7] != 0;
        header_open_ = true;
        return SQLITE_OK;
      }
      header_open_ = false;
      page_octets_ = static_cast<std::size_t>(size);
      end_ = at + size;
      return commits_ ? flush(file) : SQLITE_OK;
    }
    if (const int code = flush(file); code != SQLITE_OK) return code;
    if (const int code = write_after_its_end(file, from, size, at); code != SQLITE_OK) return code;
    // The log's header (32 octets at its begin), or a frame that does not follow what is known of the log:
    // where it ends, the next may begin. The header of one that is written again ends nothing.
    if (at == 0) end_ = size;
    if (size == frame_header_size) written_header_ = at;
    if (size >= least_page && at == written_header_ + frame_header_size) end_ = at + size;
    return SQLITE_OK;
  }

  int read(sqlite3_file* file, void* to, int size, std::int64_t at) {
    if (const int code = flush(file); code != SQLITE_OK) return code;
    if (at == 0) lost_from_ = none;  // the log's header: its index is built anew, and no transaction open
    if (lost_from_ != none && at + size > lost_from_) return lost_code_;
    return file->pMethods->xRead(file, to, size, at);
  }

  int flush(sqlite3_file* file) {
    if (octets_.empty()) return SQLITE_OK;
    const int code = write_after_its_end(file, octets_.data(), static_cast<int>(octets_.size()), begin_);
    octets_.clear();
    header_open_ = false;
    if (code == SQLITE_OK) return code;
    lost_from_ = begin_;
    lost_code_ = code;
    end_ = none;
    return code;
  }

 private:
  static constexpr std::int64_t none = -1;
  std::vector<std::uint8_t> octets_;  // frames, in order
  std::int64_t begin_ = 0;            // where they belong
  std::int64_t end_ = none;           // where the next frame belongs, when that is known
  std::int64_t written_header_ = none;
  bool header_open_ = false, commits_ = false;  // its page comes next; of that frame
  std::size_t page_octets_ = 0;                 // of the last one
  std::int64_t lost_from_ = none;
  int lost_code_ = SQLITE_OK;
};

// What SQLite holds of each file.
struct GatheredFile : sqlite3_file {
  sqlite3_file* real;
  LogEnd* log;  // null: not a log
};

GatheredFile& file_of(sqlite3_file* raw) {
  return *static_cast<GatheredFile*>(raw);
}

int flushed(GatheredFile& file) {
  return file.log != nullptr ? file.log->flush(file.real) : SQLITE_OK;
}

constexpr sqlite3_io_methods gathered_methods = [] {
  sqlite3_io_methods m{};
  m.iVersion = 2;  // without memory maps of the file, which would not show what waits
  m.xClose = [](sqlite3_file* raw) {
    GatheredFile& f = file_of(raw);
    delete f.log;  // with frames of a transaction that was given up: another's may be in their place by now
    const int code = f.real->pMethods->xClose(f.real);
    sqlite3_free(f.real);
    return code;
  };
  m.xRead = [](sqlite3_file* raw, void* to, int count, sqlite3_int64 at) {
    GatheredFile& f = file_of(raw);
    if (f.log != nullptr) return f.log->read(f.real, to, count, at);
    return f.real->pMethods->xRead(f.real, to, count, at);
  };
  m.xWrite = [](sqlite3_file* raw, const void* from, int count, sqlite3_int64 at) {
    GatheredFile& f = file_of(raw);
    if (f.log != nullptr) return f.log->write(f.real, from, count, at);
    return f.real->pMethods->xWrite(f.real, from, count, at);
  };
  m.xTruncate = [](sqlite3_file* raw, sqlite3_int64 size) {
    GatheredFile& f = file_of(raw);
    if (const int code = flushed(f); code != SQLITE_OK) return code;
    return f.real->pMethods->xTruncate(f.real, size);
  };
  m.xSync = [](sqlite3_file* raw, int flags) {
    GatheredFile& f = file_of(raw);
    if (const int code = flushed(f); code != SQLITE_OK) return code;
    return f.real->pMethods->xSync(f.real, flags);
  };
  m.xFileSize = [](sqlite3_file* raw, sqlite3_int64* out) {
    GatheredFile& f = file_of(raw);
    if (const int code = flushed(f); code != SQLITE_OK) return code;
    return f.real->pMethods->xFileSize(f.real, out);
  };
  m.xLock = [](sqlite3_file* raw, int level) {
    return file_of(raw).real->pMethods->xLock(file_of(raw).real, level);
  };
  m.xUnlock = [](sqlite3_file* raw, int level) {
    return file_of(raw).real->pMethods->xUnlock(file_of(raw).real, level);
  };
  m.xCheckReservedLock = [](sqlite3_file* raw, int* out) {
    return file_of(raw).real->pMethods->xCheckReservedLock(file_of(raw).real, out);
  };
  m.xFileControl = [](sqlite3_file* raw, int what, void* with) {
    return file_of(raw).real->pMethods->xFileControl(file_of(raw).real, what, with);
  };
  m.xSectorSize = [](sqlite3_file* raw) {
    return file_of(raw).real->pMethods->xSectorSize(file_of(raw).real);
  };
  m.xDeviceCharacteristics = [](sqlite3_file* raw) {
    return file_of(raw).real->pMethods->xDeviceCharacteristics(file_of(raw).real);
  };
  m.xShmMap = [](sqlite3_file* raw, int page, int size, int extend, void volatile** out) {
    return file_of(raw).real->pMethods->xShmMap(file_of(raw).real, page, size, extend, out);
  };
  m.xShmLock = [](sqlite3_file* raw, int from, int count, int flags) {
    return file_of(raw).real->pMethods->xShmLock(file_of(raw).real, from, count, flags);
  };
  m.xShmBarrier = [](sqlite3_file* raw) { file_of(raw).real->pMethods->xShmBarrier(file_of(raw).real); };
  m.xShmUnmap = [](sqlite3_file* raw, int remove) {
    return file_of(raw).real->pMethods->xShmUnmap(file_of(raw).real, remove);
  };
  return m;
}();

sqlite3_vfs* beneath() {
  return sqlite3_vfs_find(nullptr);
}

int open_gathered(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* out, int flags, int* got) {
  auto& f = *static_cast<GatheredFile*>(out);
  f.pMethods = nullptr;  // nothing to close
  sqlite3_vfs* real = beneath();
  const auto size = static_cast<sqlite3_uint64>(real->szOsFile);
  auto* file = static_cast<sqlite3_file*>(sqlite3_malloc64(size));
  if (file == nullptr) return SQLITE_NOMEM;
  std::memset(static_cast<void*>(file), 0, size);
  std::unique_ptr<LogEnd> log;
  try {
    if ((flags & SQLITE_OPEN_WAL) != 0) log = std::make_unique<LogEnd>();
  } catch (const std::bad_alloc&) {  // SQLite is C: it writes frame by frame, then
  }
  if (const int code = real->xOpen(real, name, file, flags, got); code != SQLITE_OK) {
    if (file->pMethods != nullptr) file->pMethods->xClose(file);
    sqlite3_free(file);
    return code;
  }
  f.real = file;
  f.log = log.release();
  f.pMethods = &gathered_methods;
  return SQLITE_OK;
}

}  // namespace

const char* log_gathering_vfs() {
  // SQLite keeps its file systems in a list of its own, and connections may outlive whoever opened them (a
  // statement that is still open): so this one lives as long as the process. It has no state.
  static sqlite3_vfs vfs = [] {
    sqlite3_vfs made = *beneath();
    made.zName = "postern-log";
    made.pAppData = nullptr;
    made.pNext = nullptr;
    made.szOsFile = sizeof(GatheredFile);
    made.xOpen = open_gathered;
    made.xDelete = [](sqlite3_vfs*, const char* name, int sync) {
      return beneath()->xDelete(beneath(), name, sync);
    };
    made.xAccess = [](sqlite3_vfs*, const char* name, int flags, int* out) {
      return beneath()->xAccess(beneath(), name, flags, out);
    };
    made.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* out) {
      return beneath()->xFullPathname(beneath(), name, size, out);
    };
    made.xGetLastError = [](sqlite3_vfs*, int size, char* out) {
      return beneath()->xGetLastError(beneath(), size, out);
    };
    return made;
  }();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  return registered == SQLITE_OK ? vfs.zName : nullptr;
}

}  // namespace postern
