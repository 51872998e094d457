// A disk that does as it is told: the shim's calls, the faults, and the images of what was synced.
#include "tests/support/fault_vfs.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>

namespace postern::test {
namespace {

constexpr std::size_t sector = 512;

void put(std::string& image, std::int64_t offset, std::string_view octets) {
  const auto at = static_cast<std::size_t>(offset);
  if (image.size() < at + octets.size()) image.resize(at + octets.size());
  image.replace(at, octets.size(), octets);
}

}  // namespace

// What SQLite holds: our part, then the real file's own.
struct FaultVfs::File : sqlite3_file {
  FaultVfs* vfs;
  std::string* path;
  sqlite3_file* real;
};

struct FaultVfs::Shim {
  static File& file(sqlite3_file* raw) { return *static_cast<File*>(raw); }
  static FaultVfs& vfs(sqlite3_vfs* raw) { return *static_cast<FaultVfs*>(raw->pAppData); }

  static int close(sqlite3_file* raw) {
    File& f = file(raw);
    const int code = f.real->pMethods != nullptr ? f.real->pMethods->xClose(f.real) : SQLITE_OK;
    delete f.path;
    f.path = nullptr;
    return code;
  }
  static int read(sqlite3_file* raw, void* to, int count, sqlite3_int64 offset) {
    File& f = file(raw);
    if (const int code = f.vfs->meet(Call::read, *f.path); code != SQLITE_OK) return code;
    return f.real->pMethods->xRead(f.real, to, count, offset);
  }
  static int write(sqlite3_file* raw, const void* from, int count, sqlite3_int64 offset) {
    File& f = file(raw);
    if (const int code = f.vfs->meet(Call::write, *f.path); code != SQLITE_OK) return code;
    f.vfs->before_change();
    const int code = f.real->pMethods->xWrite(f.real, from, count, offset);
    if (code == SQLITE_OK)
      f.vfs->wrote(*f.path, {offset, {static_cast<const char*>(from), static_cast<std::size_t>(count)}});
    return code;
  }
  static int truncate(sqlite3_file* raw, sqlite3_int64 size) {
    File& f = file(raw);
    if (const int code = f.vfs->meet(Call::truncate, *f.path); code != SQLITE_OK) return code;
    f.vfs->before_change();
    const int code = f.real->pMethods->xTruncate(f.real, size);
    if (code == SQLITE_OK) f.vfs->wrote(*f.path, {size, {}, true});
    return code;
  }
  static int sync(sqlite3_file* raw, int flags) {
    File& f = file(raw);
    if (const int code = f.vfs->meet(Call::sync, *f.path); code != SQLITE_OK) return code;
    f.vfs->before_change();
    const int code = f.real->pMethods->xSync(f.real, flags);
    if (code == SQLITE_OK) f.vfs->synced(*f.path);
    return code;
  }
  static int shm_map(sqlite3_file* raw, int page, int size, int extend, void volatile** out) {
    File& f = file(raw);
    if (const int code = f.vfs->meet(Call::shm_map, *f.path); code != SQLITE_OK) return code;
    return f.real->pMethods->xShmMap(f.real, page, size, extend, out);
  }
  static int shm_lock(sqlite3_file* raw, int from, int count, int flags) {
    File& f = file(raw);
    if (const int code = f.vfs->meet(Call::shm_lock, *f.path); code != SQLITE_OK) return code;
    return f.real->pMethods->xShmLock(f.real, from, count, flags);
  }

  static const sqlite3_io_methods* methods() {
    static constexpr sqlite3_io_methods table = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2;  // without memory maps of the file, which no call would show
      m.xClose = close;
      m.xRead = read;
      m.xWrite = write;
      m.xTruncate = truncate;
      m.xSync = sync;
      m.xFileSize = [](sqlite3_file* raw, sqlite3_int64* out) {
        return file(raw).real->pMethods->xFileSize(file(raw).real, out);
      };
      m.xLock = [](sqlite3_file* raw, int level) {
        return file(raw).real->pMethods->xLock(file(raw).real, level);
      };
      m.xUnlock = [](sqlite3_file* raw, int level) {
        return file(raw).real->pMethods->xUnlock(file(raw).real, level);
      };
      m.xCheckReservedLock = [](sqlite3_file* raw, int* out) {
        return file(raw).real->pMethods->xCheckReservedLock(file(raw).real, out);
      };
      m.xFileControl = [](sqlite3_file* raw, int what, void* with) {
        return file(raw).real->pMethods->xFileControl(file(raw).real, what, with);
      };
      m.xSectorSize = [](sqlite3_file* raw) { return file(raw).real->pMethods->xSectorSize(file(raw).real); };
      m.xDeviceCharacteristics = [](sqlite3_file* raw) {
        return file(raw).real->pMethods->xDeviceCharacteristics(file(raw).real);
      };
      m.xShmMap = shm_map;
      m.xShmLock = shm_lock;
      m.xShmBarrier = [](sqlite3_file* raw) { file(raw).real->pMethods->xShmBarrier(file(raw).real); };
      m.xShmUnmap = [](sqlite3_file* raw, int remove) {
        return file(raw).real->pMethods->xShmUnmap(file(raw).real, remove);
      };
      return m;
    }();
    return &table;
  }

  static int open(sqlite3_vfs* raw, sqlite3_filename name, sqlite3_file* out, int flags, int* got) {
    FaultVfs& self = vfs(raw);
    File& f = file(out);
    const std::string path = name != nullptr ? name : "";
    f.pMethods = nullptr;
    if (const int code = self.meet(Call::open, path); code != SQLITE_OK) return code;
    f.vfs = &self;
    f.real = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(out) + sizeof(File));
    std::memset(static_cast<void*>(f.real), 0, static_cast<std::size_t>(self.real_->szOsFile));
    const int code = self.real_->xOpen(self.real_, name, f.real, flags, got);
    if (code != SQLITE_OK) return code;
    f.path = new std::string(path);
    f.pMethods = methods();
    self.opened(path);
    return SQLITE_OK;
  }
};

FaultVfs::FaultVfs() : real_(sqlite3_vfs_find(nullptr)) {
  vfs_ = *real_;
  vfs_.zName = "fault";
  vfs_.pAppData = this;
  vfs_.pNext = nullptr;
  vfs_.szOsFile = real_->szOsFile + static_cast<int>(sizeof(File));
  vfs_.xOpen = Shim::open;
  // The real one's functions are given the real one: it keeps its own data there.
  vfs_.xDelete = [](sqlite3_vfs* raw, const char* name, int sync) {
    sqlite3_vfs* real = Shim::vfs(raw).real_;
    return real->xDelete(real, name, sync);
  };
  vfs_.xAccess = [](sqlite3_vfs* raw, const char* name, int flags, int* out) {
    sqlite3_vfs* real = Shim::vfs(raw).real_;
    return real->xAccess(real, name, flags, out);
  };
  vfs_.xFullPathname = [](sqlite3_vfs* raw, const char* name, int size, char* out) {
    sqlite3_vfs* real = Shim::vfs(raw).real_;
    return real->xFullPathname(real, name, size, out);
  };
  vfs_.xGetLastError = [](sqlite3_vfs* raw, int size, char* out) {
    sqlite3_vfs* real = Shim::vfs(raw).real_;
    return real->xGetLastError(real, size, out);
  };
  sqlite3_vfs_register(&vfs_, 1);
}

FaultVfs::~FaultVfs() {
  heal();
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(real_, 1);
}

void FaultVfs::fail(Call call, std::string suffix, int code, int count, int after) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({call, std::move(suffix), code, count, after, false});
}

void FaultVfs::stall(Call call, std::string suffix) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({call, std::move(suffix), 0, for_ever, 0, true});
}

void FaultVfs::heal() {
  {
    const std::lock_guard lock(mutex_);
    faults_.clear();
    ++heals_;
  }
  healed_.notify_all();
}

std::uint64_t FaultVfs::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::uint64_t FaultVfs::stalled() const {
  const std::lock_guard lock(mutex_);
  return stalled_;
}

void FaultVfs::watch(Watcher watcher) {
  const std::lock_guard lock(mutex_);
  watcher_ = std::move(watcher);
  if (!watcher_) images_.clear();
}

int FaultVfs::meet(Call call, const std::string& path) {
  std::unique_lock lock(mutex_);
  for (Fault& fault : faults_) {
    if (fault.call != call || !path.ends_with(fault.suffix) || fault.count == 0) continue;
    if (fault.after > 0) {
      --fault.after;
      continue;
    }
    if (fault.stalls) {
      const std::uint64_t before = heals_;
      ++stalled_;
      healed_.wait(lock, [&] { return heals_ != before; });
      --stalled_;
      return SQLITE_OK;
    }
    if (fault.count > 0) --fault.count;
    ++failed_;
    return fault.code;
  }
  return SQLITE_OK;
}

void FaultVfs::before_change() {
  const std::lock_guard lock(mutex_);
  if (watcher_) watcher_([this](std::mt19937& draw) { return cut(draw); });
}

void FaultVfs::opened(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!watcher_ || images_.contains(path)) return;
  std::ifstream file(path, std::ios::binary);
  images_[path].synced.assign(std::istreambuf_iterator<char>(file), {});
}

void FaultVfs::wrote(const std::string& path, Write write) {
  const std::lock_guard lock(mutex_);
  if (watcher_) images_[path].since.push_back(std::move(write));
}

void FaultVfs::synced(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!watcher_) return;
  Image& image = images_[path];
  for (const Write& write : image.since) {
    if (write.truncates)
      image.synced.resize(static_cast<std::size_t>(write.offset));
    else
      put(image.synced, write.offset, write.octets);
  }
  image.since.clear();
}

FaultVfs::Disk FaultVfs::cut(std::mt19937& draw) const {
  Disk disk;
  for (const auto& [path, image] : images_) {
    std::string octets = image.synced;
    // Sometimes all or nothing got through: the cases that are easiest to reason about, and as likely to
    // hurt.
    const unsigned share = draw() % 3 == 0 ? 0 : draw() % 3 == 0 ? 100 : draw() % 100;
    for (const Write& write : image.since) {
      if (write.truncates) {
        if (draw() % 100 < share) octets.resize(static_cast<std::size_t>(write.offset));
        continue;
      }
      for (std::size_t at = 0; at < write.octets.size(); at += sector)
        if (draw() % 100 < share)
          put(octets, write.offset + static_cast<std::int64_t>(at),
              std::string_view(write.octets).substr(at, sector));
    }
    disk[path] = std::move(octets);
  }
  return disk;
}

}  // namespace postern::test
