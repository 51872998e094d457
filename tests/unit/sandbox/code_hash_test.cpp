// The code hash: which file or text identifies the code that a command line runs.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "resolver/sandbox/code_hash_argv.h"
#include "run_fixture.h"

using namespace postern;
using namespace postern::test;

namespace {

// FIPS 180-2, appendix B.1.
constexpr const char* sha_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* sha_empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

using Kind = ScriptArgument::Kind;

struct Path {
  explicit Path(const std::string& value) : before(getenv("PATH") != nullptr ? getenv("PATH") : "") {
    setenv("PATH", value.c_str(), 1);
  }
  ~Path() { setenv("PATH", before.c_str(), 1); }
  std::string before;
};

}  // namespace

TEST_CASE("what an interpreter's arguments say") {
  struct Row {
    const char* name;
    std::vector<std::string> arguments;
    Kind kind;
    const char* value;
  };
  const Row rows[] = {
      {"python3", {"x.py"}, Kind::file, "x.py"},
      {"python3.11", {"-u", "-W", "ignore", "-Xdev", "x.py", "-c", "no"}, Kind::file, "x.py"},
      {"python", {"-c", "abc", "x.py"}, Kind::text, "abc"},
      {"python", {"-Icabc"}, Kind::text, "abc"},
      {"python", {"-uc", "abc"}, Kind::text, "abc"},
      {"python", {"-m", "http.server"}, Kind::none, ""},
      {"python", {"-um", "pip", "install"}, Kind::none, ""},
      {"python", {"-"}, Kind::none, ""},
      {"python", {}, Kind::none, ""},
      {"python", {"-c"}, Kind::none, ""},
      {"python", {"--check-hash-based-pycs", "always", "x.py"}, Kind::file, "x.py"},
      {"python", {"--", "-x.py"}, Kind::file, "-x.py"},
      {"pypy3", {"x.py"}, Kind::file, "x.py"},
      {"sh", {"-c", "abc", "name"}, Kind::text, "abc"},
      {"sh", {"-ec", "abc"}, Kind::text, "abc"},
      {"bash", {"-c", "-e", "abc"}, Kind::text, "abc"},
      {"bash", {"-eo", "pipefail", "-c", "abc"}, Kind::text, "abc"},
      {"bash", {"--rcfile", "rc", "-x", "run.sh", "arg"}, Kind::file, "run.sh"},
      {"bash", {"-O", "extglob", "+x", "run.sh"}, Kind::file, "run.sh"},
      {"bash", {"-s", "arg"}, Kind::none, ""},
      {"sh", {"-c"}, Kind::none, ""},
      {"sh", {"--", "run.sh"}, Kind::file, "run.sh"},
      {"node", {"app.js"}, Kind::file, "app.js"},
      {"node", {"--require", "hook.js", "--max-old-space-size=100", "app.js"}, Kind::file, "app.js"},
      {"node", {"-r", "hook.js", "app.js"}, Kind::file, "app.js"},
      {"node", {"-e", "abc"}, Kind::text, "abc"},
      {"node", {"--eval=abc"}, Kind::text, "abc"},
      {"node", {"-pe", "abc"}, Kind::text, "abc"},
      {"perl", {"-ne", "abc", "file"}, Kind::text, "abc"},
      {"perl", {"-e", "a", "-e", "b"}, Kind::text, "a\nb"},
      {"perl", {"-Ilib", "-w", "x.pl"}, Kind::file, "x.pl"},
      {"perl", {"-I", "lib", "x.pl"}, Kind::file, "x.pl"},
      {"ruby", {"-r", "json", "x.rb"}, Kind::file, "x.rb"},
      {"php", {"-d", "a=b", "-f", "x.php"}, Kind::file, "x.php"},
      {"php", {"-r", "abc"}, Kind::text, "abc"},
      {"lua5.4", {"-l", "mod", "x.lua"}, Kind::file, "x.lua"},
      {"cat", {"x.py"}, Kind::none, ""},
      {"pythonic", {"x.py"}, Kind::none, ""},
      {"3", {"x.py"}, Kind::none, ""},
  };
  for (const Row& row : rows) {
    std::string line = row.name;
    for (const std::string& word : row.arguments) line += " " + word;
    const ScriptArgument got = script_argument(row.name, row.arguments);
    CHECK_MESSAGE(got.kind == row.kind, line);
    CHECK_MESSAGE(got.value == row.value, line);
  }
}

TEST_CASE("env is looked through") {
  using Words = std::vector<std::string>;
  CHECK(after_env({"A=1", "PATH=/x", "python3", "x.py"}).argv == Words{"python3", "x.py"});
  CHECK(after_env({"A=1", "PATH=/x", "python3", "x.py"}).path == "/x");
  CHECK(after_env({"-i", "-u", "HOME", "--chdir=/", "sh", "-c", "x"}).argv == Words{"sh", "-c", "x"});
  CHECK(after_env({"-S", "python3 -u", "x.py"}).argv == Words{"python3", "-u", "x.py"});
  CHECK(after_env({"-Spython3  -u", "x.py"}).argv == Words{"python3", "-u", "x.py"});
  CHECK(after_env({"--", "python3"}).argv == Words{"python3"});
  CHECK(after_env({"A=1"}).argv.empty());
  CHECK(after_env({}).argv.empty());
  CHECK(after_env({"-S"}).argv.empty());
  CHECK(after_env({"--no-such-option", "python3"}).argv.empty());
}

TEST_CASE("the first line of a script") {
  using Words = std::vector<std::string>;
  CHECK(shebang("#!/bin/sh\necho") == Words{"/bin/sh"});
  CHECK(shebang("#! /usr/bin/env python3 -u \n") == Words{"/usr/bin/env", "python3 -u"});
  CHECK(shebang("#!/bin/sh -e\r\n") == Words{"/bin/sh", "-e"});
  CHECK(shebang("#!").empty());
  CHECK(shebang("#!\n/bin/sh").empty());
  CHECK(shebang("\x7f"
                "ELF")
            .empty());
  CHECK(shebang("").empty());
}

TEST_CASE("a program is its own hash, found in PATH or named") {
  const OpenFolder folder;
  const std::string tool = folder.file("bin/tool", "abc", 0755);
  const Path path(folder.path() + "/none:" + folder.path() + "/bin");
  for (const std::string& name : {std::string("tool"), tool}) {
    const Result<CodeHash> hash = code_hash({name, "argument"});
    REQUIRE(hash);
    CHECK(hash->sha256 == sha_abc);
    CHECK(hash->program_sha256 == sha_abc);
    CHECK(hash->program == tool);
    CHECK(hash->script.empty());
    CHECK(hash->script_sha256.empty());
  }
  REQUIRE(symlink(tool.c_str(), (folder.path() + "/bin/alias").c_str()) == 0);
  CHECK(code_hash({"alias"})->sha256 == sha_abc);
  CHECK(code_hash({"missing"}, tool)->sha256 == sha_abc);  // the file is known already
  CHECK(code_hash({"/usr/bin/env", "-i", "tool"})->program == tool);
  CHECK(code_hash({"/usr/bin/env", "PATH=" + folder.path() + "/bin", "tool"})->program == tool);
}

TEST_CASE("an interpreter with a script is the script's hash, with code on the command line the text's") {
  const OpenFolder folder;
  const std::string python = folder.file("bin/python3", "an interpreter", 0755);
  const std::string script = folder.file("x.py", "abc");
  folder.file("package/__main__.py", "abc");
  const Path path(folder.path() + "/bin");
  const Result<CodeHash> file = code_hash({"python3", "-u", script, "argument"});
  REQUIRE(file);
  CHECK(file->sha256 == sha_abc);
  CHECK(file->script_sha256 == sha_abc);
  CHECK(file->script == script);
  CHECK(file->program == python);
  CHECK(file->program_sha256 != sha_abc);
  CHECK(file->program_sha256.size() == 64);
  CHECK(code_hash({"/usr/bin/env", "python3", script})->sha256 == sha_abc);
  CHECK(code_hash({"python3", folder.path() + "/package"})->sha256 == sha_abc);
  const Result<CodeHash> text = code_hash({"python3", "-c", "abc"});
  CHECK(text->sha256 == sha_abc);
  CHECK(text->script == "-c");
  CHECK(code_hash({"python3", "-c", ""})->sha256 == sha_empty);
  CHECK(code_hash({"python3"})->sha256 == file->program_sha256);
  CHECK(code_hash({"python3", "-m", "x"})->sha256 == file->program_sha256);
  // By another name, through a link.
  REQUIRE(symlink("python3", (folder.path() + "/bin/py").c_str()) == 0);
  CHECK(code_hash({"py", script})->sha256 == sha_abc);
  // A version manager's shim is a script and an interpreter's name at once: the script that it is given
  // counts.
  folder.file("bin/python3.12", "#!/bin/sh\n", 0755);
  CHECK(code_hash({"python3.12", script})->sha256 == sha_abc);
}

TEST_CASE("a script that is executed is its own hash, and its interpreter is named") {
  const OpenFolder folder;
  const std::string interpreter = folder.file("bin/myterp", "abc", 0755);
  const std::string direct = folder.file("direct", "#!" + interpreter + " -x\ncode\n", 0755);
  const std::string by_env = folder.file("by-env", "#!/usr/bin/env myterp\ncode\n", 0755);
  const std::string split = folder.file("split", "#!/usr/bin/env -S myterp -x\ncode\n", 0755);
  const std::string lost = folder.file("lost", "#!/nonexistent\ncode\n", 0755);
  const Path path(folder.path() + "/bin");
  for (const std::string& script : {direct, by_env, split}) {
    const Result<CodeHash> hash = code_hash({script});
    REQUIRE(hash);
    CHECK(hash->script == script);
    CHECK(hash->sha256 == hash->script_sha256);
    CHECK(hash->program == interpreter);
    CHECK(hash->program_sha256 == sha_abc);
  }
  CHECK(code_hash({lost})->sha256.size() == 64);
  CHECK(code_hash({lost})->program_sha256.empty());
}

TEST_CASE("what cannot be hashed is an error that quotes it") {
  const OpenFolder folder;
  const std::string fifo = folder.path() + "/fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0755) == 0);
  const std::string plain = folder.file("plain", "abc", 0644);
  const std::string python = folder.file("python3", "x", 0755);
  const std::string big = folder.file("big", "x", 0755);
  const auto error = [](const Result<CodeHash>& hash) {
    return hash ? std::string("hashed") : hash.error().message;
  };
  CHECK(error(code_hash({})) == "cannot hash a command: none is given");
  CHECK(error(code_hash({"no-such-program-here"})) ==
        "cannot hash \"no-such-program-here\": it is not found");
  CHECK(error(code_hash({plain})) == "cannot hash \"" + plain + "\": it is not executable");
  CHECK(error(code_hash({"x"}, fifo)) == "cannot hash \"" + fifo + "\": it is not a regular file");
  CHECK(error(code_hash({python, fifo})) == "cannot hash \"" + fifo + "\": it is not a regular file");
  CHECK(error(code_hash({python, "/nonexistent.py"})) ==
        "cannot hash \"/nonexistent.py\": No such file or directory");
  REQUIRE(truncate(big.c_str(), (1LL << 30) + 1) == 0);
  CHECK(error(code_hash({big})) == "cannot hash \"" + big + "\": it is larger than 1 GiB");
}
