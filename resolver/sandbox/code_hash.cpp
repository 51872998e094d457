// The code hash: which program and which script a command line will run, and their SHA-256.
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "resolver/sandbox/code_hash_argv.h"
#include "resolver/sandbox/command_lookup.h"
#include "resolver/sandbox/run.h"

namespace postern {
namespace {

// The largest file that is hashed. Interpreters have some 100 MB; at about 1 GB/s this limit is a second's
// wait before the command starts.
constexpr std::uint64_t max_hashed_octets = 1ULL << 30;

// How deep `env env ...` is looked through.
constexpr int max_env_depth = 4;

// Longest "#!" line; the kernel's BINPRM_BUF_SIZE.
constexpr std::size_t max_shebang = 256;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    POSTERN_CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void add(const void* octets, std::size_t size) {
    POSTERN_CHECK(EVP_DigestUpdate(context_.get(), octets, size) == 1);
  }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    POSTERN_CHECK(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1 && size == 32);
    std::string out;
    for (unsigned i = 0; i < size; ++i) {
      out += "0123456789abcdef"[digest[i] >> 4];
      out += "0123456789abcdef"[digest[i] & 15];
    }
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::string hash_text(std::string_view text) {
  Sha256 sum;
  sum.add(text.data(), text.size());
  return sum.hex();
}

struct HashedFile {
  std::string sha256;
  std::string head;  // the first octets
};

Result<HashedFile> hash_file(const std::string& path) {
  const auto refused = [&](const std::string& why) {
    return failure("cannot hash \"" + path + "\": " + why);
  };
  // O_NONBLOCK: a FIFO must not hold us up before fstat has told what it is.
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return refused(std::strerror(errno));
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return refused(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return refused("it is not a regular file");
  Sha256 sum;
  HashedFile out;
  std::uint64_t total = 0;
  const auto block = std::make_unique<std::array<char, 1 << 18>>();
  for (;;) {
    const ssize_t size = read(fd.get(), block->data(), block->size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return refused(std::strerror(errno));
    if (size == 0) break;
    const auto octets = static_cast<std::size_t>(size);
    if (out.head.size() < max_shebang)
      out.head.append(block->data(), std::min(octets, max_shebang - out.head.size()));
    total += octets;
    if (total > max_hashed_octets) return refused("it is larger than 1 GiB");  // counted as read: it may grow
    sum.add(block->data(), octets);
  }
  out.sha256 = sum.hex();
  return out;
}

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// The name behind links: `py` -> `python3.11`.
std::string real_base_name(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), std::free);
  return real ? base_name(real.get()) : base_name(path);
}

// `python folder` runs folder/__main__.py.
std::string script_file(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return path + "/__main__.py";
  return path;
}

// A script file's interpreter, looked through `env`; its hash is told if it can be read. That it cannot is no
// error: the script is what identifies the code.
void name_interpreter(const std::vector<std::string>& line, const std::string& search_path, CodeHash& out) {
  std::string program = line[0];
  if (base_name(program) == "env" && line.size() > 1) {
    const std::string& argument = line[1];
    const AfterEnv rest = after_env(argument.starts_with("-S") || argument.find('=') == std::string::npos
                                        ? std::vector<std::string>{argument}
                                        : std::vector<std::string>{});
    if (!rest.argv.empty()) {
      const FoundProgram found = find_program(rest.argv[0], rest.path.value_or(search_path));
      if (!found.path.empty()) program = found.path;
    }
  }
  out.program = program;
  if (const Result<HashedFile> hashed = hash_file(program)) out.program_sha256 = hashed->sha256;
}

Result<CodeHash> hash_command(const std::vector<std::string>& argv, std::string program,
                              const std::string& search_path, int depth) {
  if (argv.empty()) return failure("cannot hash a command: none is given");
  if (program.empty()) {
    const FoundProgram found = find_program(argv[0], search_path);
    if (found.path.empty()) {
      return failure("cannot hash \"" + argv[0] +
                     "\": " + (found.error == EACCES ? "it is not executable" : "it is not found"));
    }
    program = found.path;
  }
  const std::vector<std::string> arguments(argv.begin() + 1, argv.end());

  if (base_name(argv[0]) == "env" && depth < max_env_depth) {
    const AfterEnv rest = after_env(arguments);
    if (!rest.argv.empty()) return hash_command(rest.argv, {}, rest.path.value_or(search_path), depth + 1);
  }

  Result<HashedFile> hashed = hash_file(program);
  if (!hashed) return tl::unexpected(hashed.error());
  CodeHash out;
  out.program = program;
  out.sha256 = out.program_sha256 = hashed->sha256;

  // By the name it was called by first: a version manager's `python3` is itself a shell script.
  std::string name = base_name(argv[0]);
  if (!is_interpreter(name)) name = real_base_name(program);
  const ScriptArgument script = script_argument(name, arguments);
  if (script.kind == ScriptArgument::Kind::text) {
    out.script = "-c";
    out.sha256 = out.script_sha256 = hash_text(script.value);
    return out;
  }
  if (script.kind == ScriptArgument::Kind::file) {
    out.script = script_file(script.value);
    const Result<HashedFile> hashed_script = hash_file(out.script);
    if (!hashed_script) return tl::unexpected(hashed_script.error());
    out.sha256 = out.script_sha256 = hashed_script->sha256;
    return out;
  }
  if (const std::vector<std::string> line = shebang(hashed->head); !line.empty()) {
    out.script = program;
    out.script_sha256 = hashed->sha256;
    out.program.clear();
    out.program_sha256.clear();
    name_interpreter(line, search_path, out);
  }
  return out;
}

}  // namespace

Result<CodeHash> code_hash(const std::vector<std::string>& argv, const std::string& program) {
  const char* path = std::getenv("PATH");
  return hash_command(argv, program, path != nullptr ? path : std::string(default_search_path), 0);
}

}  // namespace postern
