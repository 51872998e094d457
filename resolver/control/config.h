// The daemon's configuration file (YAML; docs/OPERATING.md).
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "resolver/courier/courier.h"
#include "resolver/journal/retention.h"
#include "resolver/sandbox/broker.h"
#include "rules/public_suffix.h"
#include "rules/result.h"

namespace postern {

// Of a daemon's journal that says nothing else: some hundred million queries, and no disk is filled unasked.
inline constexpr std::int64_t default_journal_octets = std::int64_t{10} << 30;

struct ServeConfig {
  std::string state = "/var/lib/postern";  // folder; what the resolver process sees as its root
  std::string journal;                     // file in it; default STATE/journal.db
  std::string control = "/run/postern/control.sock";
  std::vector<Server> upstream;          // default: the host's resolv.conf, followed when it changes
  std::vector<UpstreamGroup> upstreams;  // groups that policies may forward zones to
  std::string resolv_conf = "/etc/resolv.conf";
  unsigned workers = 1;                   // 1..64
  std::string policy;                     // file; default: the built-in policy
  std::vector<std::string> list_folders;  // whence lists may come, besides the policy's own folder
  std::string alert_exec;                 // program
  Redaction alert_exec_redact = Redaction::none;
  std::vector<Webhook> alert_webhooks;
  Retention keep = {.octets = default_journal_octets};  // journal_keep
  std::optional<gid_t> audit_group;                     // who may read the journal; default: the service user
  bool sync_full = false;                               // journal_sync: full
  bool audit_relaxed = false;                           // audit: relaxed
  std::string seal_key;  // file of the key that signs the journal's heads; default: STATE-seal/key
  std::string seal_heads, seal_exec;  // a file that gets each head, a program that does; default: neither
  std::string public_suffix_list;     // file; default: the system's or libpsl's, whichever is newer
};

// Reads and checks the file. Relative paths are taken from the file's own folder. Errors: "FILE:LINE:COLUMN:
// what, quoting the value".
Result<ServeConfig> read_config(const std::string& file);
Result<ServeConfig> parse_config(const std::string& text, const std::string& file);

// "30d", "12h": microseconds; "forever": 0. The units are s, m, h, d and w. Errors quote the text.
Result<std::int64_t> parse_age(std::string_view text);
// "20GiB", "500 MiB": octets; "unlimited": 0. The units are B, KiB, MiB, GiB and TiB. Errors quote the text.
Result<std::int64_t> parse_file_size(std::string_view text);
// And back, the largest unit that is whole; "1.9 KiB", "20.0 GiB".
std::string age_text(std::int64_t age_us);
std::string size_text(std::int64_t octets);
// "queries 30d, alerts forever, size 20.0 GiB"
std::string keep_text(const Retention& keep);
// Is what is given no less than a journal can do with (retention.h)? Errors say what is.
Result<void> check_retention(const Retention& keep);

// "GROUP=ADDRESS[:PORT]", as --upstream-for takes it: adds the server to its group. Errors quote the text.
Result<void> add_upstream_for(std::string_view text, std::vector<UpstreamGroup>& groups);
std::vector<std::string> group_names(const std::vector<UpstreamGroup>& groups);

// A webhook from its parts, as the configuration and `run` give them; `timeout` in seconds, 0: the default.
Result<Webhook> make_webhook(std::string_view url, std::string secret_file, std::string ca_file,
                             unsigned timeout);

// The public suffix list in `file`; without one the system's, where it is newer than the one built into
// libpsl. Errors quote the path.
Result<std::shared_ptr<const SuffixList>> load_suffix_list(const std::string& file);

// The whole of a regular file; errors quote the path. At most 4 MiB.
Result<std::string> read_text_file(const std::string& path);

}  // namespace postern
