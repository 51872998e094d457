// Secrets from the environment and from files.
#include "resolver/control/secret_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "resolver/sandbox/broker.h"

namespace postern {
namespace {

std::string label_of(std::string_view text) {
  if (const std::size_t slash = text.rfind('/'); slash != std::string_view::npos)
    text.remove_prefix(slash + 1);
  std::string label(text.substr(0, SecretSet::max_label));
  for (char& c : label)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-')) c = '_';
  return label;
}

Result<std::string> read_value(const std::string& path) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot read the secret file \"" + path + "\": " + why);
  };
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return bad(std::strerror(errno));
  constexpr std::size_t most = SecretSet::max_octets + 2;  // a line end behind it
  std::string value(most + 1, '\0');
  std::size_t size = 0;
  while (size < value.size()) {
    const ssize_t got = read(file.get(), value.data() + size, value.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return bad(std::strerror(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  while (size > 0 && (value[size - 1] == '\n' || value[size - 1] == '\r')) --size;
  if (size > SecretSet::max_octets) {
    wipe(value);
    return bad("it has more than " + std::to_string(SecretSet::max_octets) + " octets");
  }
  value.resize(size);
  return value;
}

}  // namespace

Result<std::vector<SecretValue>> read_secrets(const std::vector<std::string>& variables,
                                              const std::vector<std::string>& files) {
  std::vector<SecretValue> all;
  for (const std::string& variable : variables) {
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr)
      return failure("cannot watch for the secret \"" + variable +
                     "\": there is no such environment variable");
    all.push_back({label_of(variable), value});
  }
  for (const std::string& file : files) {
    auto value = read_value(file);
    if (!value) return tl::unexpected(value.error());
    all.push_back({label_of(file), std::move(*value)});
  }
  if (auto fine = SecretSet::check(all); !fine) return tl::unexpected(fine.error());
  return all;
}

nlohmann::ordered_json secrets_json(const std::vector<SecretValue>& secrets) {
  constexpr std::string_view digits = "0123456789abcdef";
  auto all = nlohmann::ordered_json::array();
  for (const SecretValue& one : secrets) {
    std::string hex;
    for (const char c : one.octets) {
      hex += digits[static_cast<std::uint8_t>(c) >> 4];
      hex += digits[static_cast<std::uint8_t>(c) & 15];
    }
    all.push_back({{"label", one.label}, {"hex", hex}});
  }
  return all;
}

}  // namespace postern
