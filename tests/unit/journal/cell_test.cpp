// The journal inside a cell: chroot, another user, a folder that it cannot write to, files made beforehand.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr uid_t nobody = 65534;

// In the child: enters the chroot, becomes nobody, writes one row and an outcome. Exit 0 when all is well.
[[noreturn]] void write_inside(const std::string& root, const std::string& text) {
  const auto give_up = [](int status, const std::string& why) {
    ::dprintf(2, "%s\n", why.c_str());
    ::_exit(status);
  };
  if (::chroot(root.c_str()) != 0 || ::chdir("/") != 0) give_up(2, "chroot");
  if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) give_up(2, "setuid");
  {
    auto journal = Journal::open(at("/journal.db"));
    if (!journal) give_up(3, journal.error().message);
    Asked row;
    row.id = (*journal)->reserve(1);
    row.name = *Name::parse(text);
    if (submit_and_wait(**journal, {&row}) != true) give_up(4, (*journal)->stats().last_error);
    (*journal)->append(Outcome{.asked = row.id, .data = "192.0.2.1"});
  }
  ::_exit(0);
}

int exit_status(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("the journal lives in a chroot that holds nothing but its four files and cannot be written to") {
  if (::geteuid() != 0) return skipped("chroot and another user need root");
  const Folder folder;
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    const std::string path = folder.file() + suffix;
    std::ofstream(path) << "";
    REQUIRE(::chown(path.c_str(), nobody, nobody) == 0);
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
  }
  REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
  for (const char* text :
       {"first.example.com", "second.example.com"}) {  // a second boot finds what the first left
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) write_inside(folder.path(), text);
    CHECK(exit_status(child) == 0);
  }
  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    left.insert(entry.path().filename());
  CHECK(left == std::set<std::string>{"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"});
  CHECK(Sql(folder.file(), SQLITE_OPEN_READONLY).rows("SELECT name, data FROM queries ORDER BY id") ==
        std::vector<std::string>{"first.example.com|192.0.2.1", "second.example.com|192.0.2.1"});
}

TEST_CASE("a folder that cannot be written to, without the files, is a clear error") {
  if (::geteuid() != 0) return skipped("becoming another user needs root");
  const Folder folder;
  REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(2);
    const auto journal = Journal::open(at(folder.file()));
    const bool clear = !journal && journal.error().message.find("Permission denied") != std::string::npos &&
                       journal.error().message.find("\"" + folder.file() + "\"") != std::string::npos;
    ::_exit(clear ? 0 : 1);
  }
  CHECK(exit_status(child) == 0);
}
