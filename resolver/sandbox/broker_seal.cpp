// The broker's seal: the key's files, the state, and the request.
#include "resolver/sandbox/broker_seal.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "resolver/sandbox/broker_state.h"
#include "rules/hex.h"

namespace postern {
namespace {

constexpr std::string_view state_magic = "PSTNSEA1";
constexpr std::size_t check_octets = 8;
constexpr std::size_t largest_pem = 4096;  // a key takes 119

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Error trouble(const std::string& doing, const std::string& path, const std::string& why) {
  return Error{"cannot " + doing + " \"" + path + "\": " + why};
}

bool write_whole(int fd, std::string_view octets, off_t at) {
  while (!octets.empty()) {
    const ssize_t done = pwrite(fd, octets.data(), octets.size(), at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    octets.remove_prefix(static_cast<std::size_t>(done));
    at += done;
  }
  return true;
}

Result<std::string> read_whole(int fd, std::size_t most, const std::string& path) {
  std::string text;
  std::array<char, 16384> part;
  for (;;) {
    const ssize_t got = pread(fd, part.data(), part.size(), static_cast<off_t>(text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(trouble("read", path, std::strerror(errno)));
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > most) return tl::unexpected(trouble("read", path, "it is too long"));
  }
}

// Written aside and renamed: a key is whole or not there.
Result<void> place_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string aside = path + ".new";
  unlink(aside.c_str());
  const Fd file(open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!file || fchmod(file.get(), mode) != 0 || !write_whole(file.get(), text, 0) || fsync(file.get()) != 0)
    return tl::unexpected(trouble("write", aside, std::strerror(errno)));
  // link, not rename: another broker may have been quicker, and its key stays.
  const int placed = mode == 0600 ? link(aside.c_str(), path.c_str()) : rename(aside.c_str(), path.c_str());
  const int number = errno;
  if (mode == 0600) unlink(aside.c_str());
  if (placed != 0 && number != EEXIST) return tl::unexpected(trouble("write", path, std::strerror(number)));
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const Fd parent(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent) fsync(parent.get());
  return {};
}

std::string bio_text(BIO* bio) {
  char* octets = nullptr;
  const long size = BIO_get_mem_data(bio, &octets);
  return {octets, static_cast<std::size_t>(size)};
}

Result<void> make_key(const std::string& path) {
  const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  const Bio pem(BIO_new(BIO_s_secmem()), BIO_free);
  if (!key || !pem ||
      PEM_write_bio_PKCS8PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return tl::unexpected(trouble("make key", path, "the library cannot make an Ed25519 key"));
  return place_file(path, bio_text(pem.get()), 0600);
}

Result<Key> read_key(const std::string& path) {
  const Fd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat about {};
  if (!file || fstat(file.get(), &about) != 0)
    return tl::unexpected(trouble("read key", path, std::strerror(errno)));
  if (!S_ISREG(about.st_mode)) return tl::unexpected(trouble("read key", path, "it is not a plain file"));
  if (about.st_uid != geteuid() || (about.st_mode & 077) != 0)
    return tl::unexpected(
        trouble("use key", path, "others may read or change it; it must be ours, mode 0600"));
  auto text = read_whole(file.get(), largest_pem, path);
  if (!text) return tl::unexpected(text.error());
  const Bio pem(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())), BIO_free);
  Key key(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  OPENSSL_cleanse(text->data(), text->size());
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
    return tl::unexpected(trouble("read key", path, "it holds no Ed25519 key in PEM"));
  return key;
}

class Locked {
 public:
  explicit Locked(int fd) : fd_(fd) {
    while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() { flock(fd_, LOCK_UN); }

 private:
  int fd_;
};

}  // namespace

std::string state_record(const SignedHead& head) {
  std::string out(state_magic);
  out.append(head.journal.begin(), head.journal.end());
  for (const std::int64_t value : {head.counter, head.block, head.records, head.time_us})
    for (unsigned i = 0; i < 8; ++i) out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  out.append(head.head.begin(), head.head.end());
  out.resize(state_record_octets - check_octets);
  const Digest check = sha256({reinterpret_cast<const std::uint8_t*>(out.data()), out.size()});
  out.append(check.begin(), check.begin() + check_octets);
  return out;
}

std::optional<SignedHead> read_state_record(std::string_view octets) {
  if (octets.size() != state_record_octets || !octets.starts_with(state_magic)) return std::nullopt;
  SignedHead head;
  std::size_t at = state_magic.size();
  std::copy_n(octets.begin() + static_cast<std::ptrdiff_t>(at), head.journal.size(), head.journal.begin());
  at += head.journal.size();
  for (std::int64_t* value : {&head.counter, &head.block, &head.records, &head.time_us}) {
    std::uint64_t read = 0;
    for (unsigned i = 0; i < 8; ++i)
      read |= std::uint64_t{static_cast<std::uint8_t>(octets[at++])} << (8 * i);
    *value = static_cast<std::int64_t>(read);
  }
  std::copy_n(octets.begin() + static_cast<std::ptrdiff_t>(at), head.head.size(), head.head.begin());
  if (state_record(head) != octets) return std::nullopt;
  return head;
}

void HeadSigner::KeyFree::operator()(EVP_PKEY* key) const {
  EVP_PKEY_free(key);
}
HeadSigner::HeadSigner(HeadSigner&&) noexcept = default;
HeadSigner& HeadSigner::operator=(HeadSigner&&) noexcept = default;
HeadSigner::~HeadSigner() = default;

Result<HeadSigner> HeadSigner::open(const std::string& key_file) {
  const std::filesystem::path folder = std::filesystem::path(key_file).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    std::filesystem::create_directories(folder.parent_path(), error);
    if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
      return tl::unexpected(trouble("make the folder", folder.string(), std::strerror(errno)));
  }
  if (access(key_file.c_str(), F_OK) != 0 && errno == ENOENT)
    if (auto made = make_key(key_file); !made) return tl::unexpected(made.error());
  auto key = read_key(key_file);
  if (!key) return tl::unexpected(key.error());
  HeadSigner signer;
  signer.private_.reset(key->release());
  std::size_t size = signer.key_.size();
  if (EVP_PKEY_get_raw_public_key(signer.private_.get(), signer.key_.data(), &size) != 1 ||
      size != signer.key_.size())
    return tl::unexpected(trouble("use key", key_file, "it has no public half"));
  const std::string public_file = key_file + ".pub";
  const Bio pem(BIO_new(BIO_s_mem()), BIO_free);
  if (pem && access(public_file.c_str(), F_OK) != 0 &&
      PEM_write_bio_PUBKEY(pem.get(), signer.private_.get()) == 1)
    if (auto placed = place_file(public_file, bio_text(pem.get()), 0644); !placed)
      return tl::unexpected(placed.error());
  signer.state_path_ = key_file + ".state";
  signer.state_ = Fd(::open(signer.state_path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!signer.state_) return tl::unexpected(trouble("open", signer.state_path_, std::strerror(errno)));
  return signer;
}

Result<Signature> HeadSigner::signature(const SignedHead& head) const {
  const std::string text = text_to_sign(head);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Signature made{};
  std::size_t size = made.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, private_.get()) != 1 ||
      EVP_DigestSign(context.get(), made.data(), &size, reinterpret_cast<const std::uint8_t*>(text.data()),
                     text.size()) != 1 ||
      size != made.size())
    return failure("cannot sign block " + std::to_string(head.block) + ": the library refuses");
  return made;
}

Result<HeadSigner::Signed> HeadSigner::sign(const HeadToSign& wanted, std::int64_t time_us,
                                            Clock::time_point now) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot sign block " + std::to_string(wanted.block) + ": " + why);
  };
  if (refilled_ == Clock::time_point{}) refilled_ = now;
  while (tokens_ < burst && now - refilled_ >= one_more_after) {
    ++tokens_;
    refilled_ += one_more_after;
  }
  if (tokens_ == burst) refilled_ = now;
  if (tokens_ == 0) return bad("heads come faster than one in 5 s");
  --tokens_;

  const Locked locked(state_.get());
  auto state = read_whole(state_.get(), most_journals * 2 * state_record_octets, state_path_);
  if (!state) return tl::unexpected(state.error());
  // Two places for each journal: the later one holds, the other is written over.
  std::optional<SignedHead> last;
  const std::size_t places = (state->size() + state_record_octets - 1) / state_record_octets;
  std::size_t place = (places + 1) / 2 * 2;
  bool known = false;
  for (std::size_t pair = 0; pair < places; pair += 2) {
    const auto at = [&](std::size_t which) {
      return read_state_record(std::string_view(*state).substr(
          std::min(state->size(), (pair + which) * state_record_octets), state_record_octets));
    };
    const std::optional<SignedHead> first = at(0), second = at(1);
    if (!first && !second && pair + 2 < places)
      return bad("\"" + state_path_ + "\" is damaged at octet " + std::to_string(pair * state_record_octets));
    if (!first && !second) place = pair;  // the last one: its first writing was torn
    const bool second_holds = second && (!first || second->counter > first->counter);
    const std::optional<SignedHead>& holds = second_holds ? second : first;
    if (!holds || holds->journal != wanted.journal) continue;
    last = holds;
    place = pair + (second_holds ? 0 : 1);
    known = true;
    break;
  }
  if (last) last->key = key_;
  if (last && (wanted.block < last->block || (wanted.block == last->block && wanted.head != last->head))) {
    auto again = signature(*last);
    if (!again) return tl::unexpected(again.error());
    last->signature = *again;
    return Signed{*last, false};
  }
  if (!known && new_journals_ >= most_new_journals) return bad("it is of one journal too many");
  if (!known && place / 2 >= most_journals)
    return bad("\"" + state_path_ + "\" knows " + std::to_string(most_journals) +
               " journals, and has no room");
  SignedHead head{wanted.journal,
                  wanted.block,
                  wanted.records,
                  wanted.head,
                  (last ? last->counter : 0) + 1,
                  time_us,
                  key_,
                  {}};
  if (!write_whole(state_.get(), state_record(head), static_cast<off_t>(place * state_record_octets)) ||
      fdatasync(state_.get()) != 0)
    return bad("\"" + state_path_ + "\" cannot be written: " + std::strerror(errno));
  if (!known) ++new_journals_;
  auto made = signature(head);
  if (!made) return tl::unexpected(made.error());
  head.signature = *made;
  return Signed{head, true};
}

Result<PublicKey> read_public_key(const std::string& file_or_hex) {
  PublicKey key{};
  if (read_hex(file_or_hex, key)) return key;
  const Fd file(open(file_or_hex.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return tl::unexpected(trouble("read public key", file_or_hex, std::strerror(errno)));
  auto text = read_whole(file.get(), largest_pem, file_or_hex);
  if (!text) return tl::unexpected(text.error());
  while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
  if (read_hex(*text, key)) return key;
  *text += '\n';
  const Bio pem(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())), BIO_free);
  const Key read(PEM_read_bio_PUBKEY(pem.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  std::size_t size = key.size();
  if (!read || EVP_PKEY_get_id(read.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(read.get(), key.data(), &size) != 1 || size != key.size())
    return tl::unexpected(
        trouble("read public key", file_or_hex, "it holds no Ed25519 public key (PEM or hex)"));
  return key;
}

const char* Broker::State::what_is_wrong_with_head(const wire::RequestHead& request, std::string_view text) {
  HeadToSign head;
  if (request.index != 0 || request.pid != 0 || request.token != 0 || request.zero != 0)
    return "a field that sign_head does not take";
  return wire::read_head(text, head) ? nullptr : "a head that cannot be";
}

void Broker::State::open_signer() {
  if (options.seal.key.empty()) return;
  auto opened = HeadSigner::open(options.seal.key);
  if (!opened) return spdlog::error("the journal's heads are not signed: {}", opened.error().message);
  signer.emplace(std::move(*opened));
  if (options.seal.heads.empty()) return;
  heads_file = Fd(open(options.seal.heads.c_str(),
                       O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640));
  if (!heads_file)
    spdlog::error("signed heads are not appended to \"{}\": {}", options.seal.heads, std::strerror(errno));
}

Result<Broker::State::Grant> Broker::State::grant_head(std::string_view text) {
  HeadToSign wanted;
  POSTERN_CHECK(wire::read_head(text, wanted));  // what_is_wrong_with_head has looked
  if (!signer) return failure("cannot sign block " + std::to_string(wanted.block) + ": there is no key");
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t time_us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  auto made = signer->sign(wanted, time_us, Clock::now());
  if (!made) {
    spdlog::warn("{}", made.error().message);
    return tl::unexpected(made.error());
  }
  Grant granted;
  granted.text = line_of(made->head);
  if (!made->fresh) {
    spdlog::error(
        "block {} of journal {} is not signed: block {} was, on {}; the journal was cut off, replaced by an "
        "older copy, or the resolver process was taken over",
        wanted.block, hex_text(wanted.journal), made->head.block, iso_time(made->head.time_us));
    return granted;
  }
  if (options.seal.log) spdlog::info("sealed {}", granted.text);
  const std::string line = granted.text + "\n";
  if (heads_file && write(heads_file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    spdlog::error("a signed head was not appended to \"{}\": {}", options.seal.heads, std::strerror(errno));
  if (!options.seal.exec.empty()) {
    const auto started = hooks.start(options.hooks.size(), line, Clock::now(), seal_hook_token);
    if (!started)
      spdlog::error("{}", started.error().message);
    else if (*started)
      watch_hook((*started)->pidfd);
  }
  return granted;
}

}  // namespace postern
