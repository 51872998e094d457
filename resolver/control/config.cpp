// The daemon's configuration: yaml-cpp, with places for every error.
#include "resolver/control/config.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <set>

#include "rules/policy.h"

namespace postern {
namespace {

constexpr std::size_t max_file_octets = 4 << 20;

class Config {
 public:
  Config(const std::string& file, const YAML::Node& root) : file_(file), root_(root) {}

  Result<ServeConfig> read() {
    if (!root_.IsMap() && !root_.IsNull()) return wrong(root_, "expected keys such as \"upstream:\"");
    std::set<std::string> seen;
    for (const auto& pair : root_) {
      if (!pair.first.IsScalar()) return wrong(pair.first, "a key must be a word");
      const std::string key = pair.first.Scalar();
      if (!seen.insert(key).second) return wrong(pair.first, "\"" + key + "\" is given twice");
      if (auto read = set(key, pair.first, pair.second); !read) return tl::unexpected(read.error());
    }
    if (exec_redact_ && config_.alert_exec.empty())
      return wrong(*exec_redact_, "alert_exec_redact is of no use without alert_exec");
    if (config_.journal.empty()) config_.journal = config_.state + "/journal.db";
    if (config_.seal_key.empty()) config_.seal_key = config_.state + "-seal/key";
    for (const std::string& outside : {config_.seal_key, config_.seal_heads})
      if (outside.starts_with(config_.state + "/"))
        return failure(file_ + ": \"" + outside + "\" is in the state folder \"" + config_.state +
                       "\": what vouches for the journal must lie outside");
    for (const char* shared : {"/", "/etc", "/usr", "/var", "/run", "/tmp", "/home", "/root"})
      if (config_.state == shared)
        return failure(file_ + ": the state folder cannot be \"" + config_.state +
                       "\": it must be Postern's own");
    if (std::filesystem::path(config_.journal).parent_path() != std::filesystem::path(config_.state))
      return failure(file_ + ": the journal \"" + config_.journal + "\" is not in the state folder \"" +
                     config_.state + "\": the resolver process sees nothing else");
    return config_;
  }

 private:
  Result<void> set(const std::string& key, const YAML::Node& at, const YAML::Node& value) {
    if (key == "state") return path(value, config_.state);
    if (key == "journal") return path(value, config_.journal);
    if (key == "control") return path(value, config_.control);
    if (key == "policy") return path(value, config_.policy);
    if (key == "list_folders") {
      constexpr std::size_t max_folders = 16;
      if (!value.IsSequence() || value.size() > max_folders)
        return wrong(value, "list_folders must be a list of at most 16 folders");
      for (const auto& one : value)
        if (auto read = path(one, config_.list_folders.emplace_back()); !read) return read;
      return {};
    }
    if (key == "public_suffix_list") return path(value, config_.public_suffix_list);
    if (key == "seal_key") return path(value, config_.seal_key);
    if (key == "seal_heads") return path(value, config_.seal_heads);
    if (key == "seal_exec") return path(value, config_.seal_exec);
    if (key == "alert_exec") return path(value, config_.alert_exec);
    if (key == "alert_exec_redact") {
      exec_redact_ = at;
      return redaction(value, config_.alert_exec_redact);
    }
    if (key == "alert_webhook") return webhooks(value);
    if (key == "resolv_conf") return path(value, config_.resolv_conf);
    if (key == "journal_sync") {
      if (!value.IsScalar() || (value.Scalar() != "normal" && value.Scalar() != "full"))
        return wrong(value, "journal_sync must be \"normal\" or \"full\"" + quoted(value));
      config_.sync_full = value.Scalar() == "full";
      return {};
    }
    if (key == "journal_keep") return keep(value);
    if (key == "audit_group") return audit_group(value);
    if (key == "audit") {
      if (!value.IsScalar() || (value.Scalar() != "strict" && value.Scalar() != "relaxed"))
        return wrong(value, "audit must be \"strict\" or \"relaxed\"" + quoted(value));
      config_.audit_relaxed = value.Scalar() == "relaxed";
      return {};
    }
    if (key == "workers") {
      const std::string text = value.IsScalar() ? value.Scalar() : "";
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), config_.workers);
      if (error != std::errc{} || end != text.data() + text.size() || config_.workers < 1 ||
          config_.workers > 64)
        return wrong(value, "workers must be a number from 1 to 64" + quoted(value));
      return {};
    }
    if (key == "upstreams") {
      if (!value.IsMap()) return wrong(value, "upstreams must map names of groups to lists of addresses");
      for (const auto& group : value) {
        if (!group.first.IsScalar() || !is_policy_word(group.first.Scalar()))
          return wrong(group.first,
                       "a group's name has 1 to 64 letters, digits, hyphens, underscores and dots" +
                           quoted(group.first));
        for (const UpstreamGroup& other : config_.upstreams)
          if (other.name == group.first.Scalar())
            return wrong(group.first, "the group \"" + other.name + "\" is given twice");
        config_.upstreams.push_back({group.first.Scalar(), {}});
        if (auto read = servers(group.second, group.first.Scalar(), config_.upstreams.back().servers); !read)
          return read;
      }
      if (config_.upstreams.size() > max_upstream_groups)
        return wrong(value, "upstreams must name at most " + std::to_string(max_upstream_groups) + " groups");
      return {};
    }
    if (key == "upstream") return servers(value, "upstream", config_.upstream);
    return wrong(at, "unknown key \"" + key + "\"");
  }

  Result<void> redaction(const YAML::Node& value, Redaction& to) {
    const auto level = redaction_of(value.IsScalar() ? value.Scalar() : "");
    if (!level) return wrong(value, level.error().message);
    to = *level;
    return {};
  }

  Result<void> audit_group(const YAML::Node& value) {
    const std::string name = value.IsScalar() ? value.Scalar() : "";
    gid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (const struct group* const known = getgrnam(name.c_str()); !name.empty() && known != nullptr)
      config_.audit_group = known->gr_gid;
    else if (error == std::errc{} && end == name.data() + name.size() && number != gid_t(-1))
      config_.audit_group = number;
    else
      return wrong(value, "audit_group must be a group of this host" + quoted(value));
    return {};
  }

  Result<void> keep(const YAML::Node& value) {
    if (!value.IsMap())
      return wrong(value, "journal_keep has queries, alerts and size, as in {queries: 30d, size: 20GiB}");
    std::set<std::string> given;
    for (const auto& pair : value) {
      const std::string key = pair.first.IsScalar() ? pair.first.Scalar() : "";
      if (key != "queries" && key != "alerts" && key != "size")
        return wrong(pair.first, "journal_keep has queries, alerts and size" + quoted(pair.first));
      if (!given.insert(key).second) return wrong(pair.first, "\"" + key + "\" is given twice");
      if (!pair.second.IsScalar())
        return wrong(pair.second, "expected an age such as 30d or a size such as 20GiB");
      auto read = key == "size" ? parse_file_size(pair.second.Scalar()) : parse_age(pair.second.Scalar());
      if (!read) return wrong(pair.second, read.error().message);
      Retention one;
      (key == "queries" ? one.queries_us : key == "alerts" ? one.alerts_us : one.octets) = *read;
      if (auto fine = check_retention(one); !fine) return wrong(pair.second, fine.error().message);
      (key == "queries"  ? config_.keep.queries_us
       : key == "alerts" ? config_.keep.alerts_us
                         : config_.keep.octets) = *read;
    }
    if (auto fine = check_retention(config_.keep); !fine) return wrong(value, fine.error().message);
    return {};
  }

  Result<void> servers(const YAML::Node& value, const std::string& what, std::vector<Server>& to) {
    if (!value.IsSequence()) return wrong(value, what + " must be a list of addresses");
    for (const auto& one : value) {
      if (!one.IsScalar()) return wrong(one, "an upstream must be ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT");
      auto server = parse_server(one.Scalar());
      if (!server) return wrong(one, server.error().message);
      to.push_back(*server);
    }
    if (to.empty() || to.size() > max_group_servers) return wrong(value, what + " must name 1 to 8 servers");
    return {};
  }

  Result<void> webhooks(const YAML::Node& value) {
    if (!value.IsSequence() || value.size() > Webhook::most)
      return wrong(value, "alert_webhook must be a list of at most 8 addresses");
    for (const auto& one : value) {
      if (!one.IsMap())
        return wrong(one, "an alert_webhook has url, secret_file and perhaps ca_file, timeout, redact");
      std::string url, secret, ca;
      unsigned timeout = 0;
      Redaction redact = Redaction::none;
      for (const auto& pair : one) {
        const std::string key = pair.first.IsScalar() ? pair.first.Scalar() : "";
        Result<void> read;
        if (key == "url" && pair.second.IsScalar()) {
          url = pair.second.Scalar();
        } else if (key == "secret_file") {
          read = path(pair.second, secret);
        } else if (key == "ca_file") {
          read = path(pair.second, ca);
        } else if (key == "redact") {
          read = redaction(pair.second, redact);
        } else if (key == "timeout") {
          const std::string text = pair.second.IsScalar() ? pair.second.Scalar() : "";
          const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), timeout);
          if (error != std::errc{} || end != text.data() + text.size() || timeout < 1 ||
              timeout > Webhook::longest_timeout.count())
            return wrong(pair.second,
                         "timeout must be a number of seconds from 1 to 60" + quoted(pair.second));
        } else {
          return wrong(pair.first, "an alert_webhook has url, secret_file, ca_file, timeout and redact" +
                                       quoted(pair.first));
        }
        if (!read) return read;
      }
      if (secret.empty()) return wrong(one, "an alert_webhook needs a secret_file: what is posted is signed");
      auto made = make_webhook(url, secret, ca, timeout);
      if (!made) return wrong(one, made.error().message);
      made->redact = redact;
      for (const Webhook& other : config_.alert_webhooks)
        if (other.name() == made->name())
          return wrong(one, "the address \"" + made->url.text() + "\" is given twice");
      config_.alert_webhooks.push_back(std::move(*made));
    }
    return {};
  }

  Result<void> path(const YAML::Node& value, std::string& to) {
    if (!value.IsScalar() || value.Scalar().empty() || value.Scalar().find('\0') != std::string::npos)
      return wrong(value, "expected a path");
    std::filesystem::path found(value.Scalar());
    if (found.is_relative()) {
      std::error_code error;
      const auto own = std::filesystem::absolute(file_, error);
      if (error)
        return wrong(value,
                     "cannot find \"" + value.Scalar() + "\" from the working folder: " + error.message());
      found = own.parent_path() / found;
    }
    to = found.lexically_normal().string();
    if (to.size() > 1 && to.back() == '/') to.pop_back();
    return {};
  }

  static std::string quoted(const YAML::Node& value) {
    return value.IsScalar() ? ", not \"" + value.Scalar().substr(0, 100) + "\"" : "";
  }
  tl::unexpected<Error> wrong(const YAML::Node& at, const std::string& what) const {
    const YAML::Mark mark = at.Mark();
    return failure(file_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) +
                   ": " + what);
  }

  const std::string& file_;
  const YAML::Node& root_;
  std::optional<YAML::Node> exec_redact_;  // where it is given
  ServeConfig config_;
};

}  // namespace

Result<std::string> read_text_file(const std::string& path) {
  const auto bad = [&](const std::string& why) { return failure("cannot read \"" + path + "\": " + why); };
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a FIFO must not hold us up
  if (!fd) return bad(std::strerror(errno));
  struct stat about {};
  if (fstat(fd.get(), &about) != 0) return bad(std::strerror(errno));
  if (!S_ISREG(about.st_mode)) return bad("it is not a regular file");
  std::string text;
  char part[65536];
  for (;;) {
    const ssize_t got = read(fd.get(), part, sizeof part);
    if (got < 0) return bad(std::strerror(errno));
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
    if (text.size() > max_file_octets) return bad("it is larger than 4 MiB");
  }
}

Result<void> add_upstream_for(std::string_view text, std::vector<UpstreamGroup>& groups) {
  const std::size_t equals = text.find('=');
  const std::string name(text.substr(0, equals));
  const auto bad = [&](const std::string& why) {
    return failure("cannot read --upstream-for \"" + std::string(text.substr(0, 100)) + "\": " + why);
  };
  if (equals == std::string_view::npos || !is_policy_word(name)) return bad("it is GROUP=ADDRESS[:PORT]");
  auto server = parse_server(text.substr(equals + 1));
  if (!server) return bad(server.error().message);
  auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& one) { return one.name == name; });
  if (group == groups.end()) {
    if (groups.size() >= max_upstream_groups) return bad("there are too many groups");
    group = groups.insert(groups.end(), UpstreamGroup{name, {}});
  }
  if (group->servers.size() >= max_group_servers) return bad("a group has at most 8 servers");
  group->servers.push_back(std::move(*server));
  return {};
}

Result<Webhook> make_webhook(std::string_view url, std::string secret_file, std::string ca_file,
                             unsigned timeout) {
  auto parsed = parse_url(url);
  if (!parsed) return tl::unexpected(parsed.error());
  Webhook webhook;
  webhook.url = std::move(*parsed);
  webhook.secret_file = std::move(secret_file);
  webhook.ca_file = std::move(ca_file);
  if (timeout > 0) webhook.timeout = std::chrono::seconds(timeout);
  return webhook;
}

std::vector<std::string> group_names(const std::vector<UpstreamGroup>& groups) {
  std::vector<std::string> names;
  for (const UpstreamGroup& group : groups) names.push_back(group.name);
  return names;
}

Result<std::shared_ptr<const SuffixList>> load_suffix_list(const std::string& file) {
  const auto builtin = SuffixList::builtin();
  const std::string path = file.empty() ? "/usr/share/publicsuffix/public_suffix_list.dat" : file;
  struct stat about {};
  const bool there = stat(path.c_str(), &about) == 0;
  if (file.empty() && (!there || about.st_mtime <= builtin->date())) return builtin;
  auto text = read_text_file(path);
  if (!text) return tl::unexpected(text.error());
  return SuffixList::parse(*text, path, about.st_mtime);
}

Result<ServeConfig> parse_config(const std::string& text, const std::string& file) {
  try {
    const YAML::Node root = YAML::Load(text);
    return Config(file, root).read();
  } catch (const YAML::Exception& error) {
    return failure(file + ":" + std::to_string(error.mark.line + 1) + ":" +
                   std::to_string(error.mark.column + 1) + ": " + error.msg);
  }
}

Result<ServeConfig> read_config(const std::string& file) {
  auto text = read_text_file(file);
  if (!text) return tl::unexpected(text.error());
  return parse_config(*text, file);
}

}  // namespace postern
